/**
 * Fills the portal's schema, the same rows on every run: `node --import tsx examples/sms-portal/seed.ts`.
 *
 * Rows have ids of their own and come in large inserts over a few connections; 212,000 of them take seconds.
 */
import { pathToFileURL } from 'node:url';

import { createPool, type Pool } from 'mysql2/promise';

import { createTable, TABLES } from './schema.sql.ts';

/** Shares of the messages; the internal tenant is the smallest. */
export const TENANTS: Readonly<Record<string, number>> = { acme: 0.2, globex: 0.45, initech: 0.35 };

export interface SeedOptions {
  /** `mysql://user:password@host:port` of the source. */
  readonly url: string;
  readonly schema?: string;
  readonly messages?: number;
}

type Value = string | number | null | Buffer;

const INSERT_ROWS = 1_000;
const CONNECTIONS = 4;
const CUSTOMERS_SHARE = 0.12;
const SENDERS = 20;
const START = Date.UTC(2026, 0, 1);

const COUNTRIES = [
  ['de', 'Germany', 49, '0.071000'],
  ['fr', 'France', 33, '0.064500'],
  ['ci', 'Côte d’Ivoire', 225, '0.110000'],
  ['jp', '日本', 81, '0.072500'],
  ['br', 'Brasil', 55, '0.039000'],
] as const;

const TEXTS = [
  'Your code is',
  'Ihr Paket kommt heute – gruß',
  'Réservation confirmée ✅ nº',
  '荷物が届きました 📦',
  "It's 20 % off; reply \\STOP",
  'Line one\nline two\t',
];

/**
 * Creates schema and tables where they are missing, and fills them when there are no messages yet.
 *
 * @returns rows in all tables together
 */
export async function seed({ url, schema = 'sms', messages = 100_000 }: SeedOptions): Promise<number> {
  await createSchema(url, schema);
  const pool = createPool({
    uri: withSchema(url, schema),
    connectionLimit: CONNECTIONS,
    charset: 'utf8mb4',
    timezone: 'Z',
  });
  try {
    for (const name of Object.keys(TABLES)) await pool.query(createTable(name));
    const [found] = await pool.query('SELECT 1 FROM messages LIMIT 1');
    if ((found as unknown[]).length === 0) await fill(pool, messages);
    return await countRows(pool);
  } finally {
    await pool.end();
  }
}

async function fill(pool: Pool, total: number): Promise<void> {
  const customers = Math.floor(total * CUSTOMERS_SHARE);
  await insert(pool, 'countries', ['code', 'name', 'prefix', 'price'], COUNTRIES.length, (id) => [
    ...COUNTRIES[id - 1]!,
  ]);
  await insert(
    pool,
    'customers',
    ['id', 'tenant_id', 'email', 'name', 'country', 'balance', 'flags', 'created_at', 'updated_at'],
    customers,
    (id) => {
      const country = COUNTRIES[id % COUNTRIES.length]![0];
      return [
        id,
        tenantOf(id),
        `c${id}@example.com`,
        `Søren Müller-${id} 😀`,
        country,
        `${id * 3}.${String(id % 10_000).padStart(4, '0')}`,
        id % 256,
        time(id, 600),
        time(id, 600),
      ];
    },
  );
  await insert(pool, 'senders', ['id', 'tenant_id', 'label', 'number'], SENDERS * 3, (id) => [
    id,
    Object.keys(TENANTS)[(id - 1) % 3]!,
    `sender ${id}`,
    id % 7 === 0 ? null : `+4930${String(100_000 + id)}`,
  ]);
  await insert(
    pool,
    'messages',
    ['id', 'tenant_id', 'customer_id', 'body', 'status', 'price', 'meta', 'created_at', 'updated_at'],
    total,
    (id) => {
      const customer = 1 + (id % customers);
      const status = ['queued', 'sent', 'delivered', 'failed'][id % 4]!;
      const meta =
        id % 5 === 0 ? null : JSON.stringify({ campaign: id % 50, tags: ['a', '✓'], rate: id / 8 });
      return [
        id,
        tenantOf(customer),
        customer,
        `${TEXTS[id % TEXTS.length]!} ${id}`,
        status,
        `0.0${String(10_000 + (id % 90_000))}`,
        meta,
        time(id, 60),
        time(id + 1, 60),
      ];
    },
  );
  await insert(pool, 'deliveries', ['id', 'message_id', 'attempt', 'status', 'at', 'raw'], total, (id) => {
    const raw = id % 3 === 0 ? null : Buffer.from([0, 255, id & 255, (id >> 8) & 255, 39, 92]);
    return [id, id, 1, ['accepted', 'delivered', 'failed'][id % 3]!, time(id, 60), raw];
  });
}

/** By the customer's id, so that a message and its customer belong to one tenant. */
function tenantOf(customer: number): string {
  let rest = ((customer * 7_919) % 1_000) / 1_000;
  for (const [tenant, share] of Object.entries(TENANTS)) {
    if (rest < share) return tenant;
    rest -= share;
  }
  return 'initech';
}

const time = (id: number, secondsApart: number): string =>
  new Date(START + id * secondsApart * 1_000 + (id % 1_000))
    .toISOString()
    .replace('T', ' ')
    .replace('Z', `${String(id % 1_000).padStart(3, '0')}`);

async function insert(
  pool: Pool,
  table: string,
  columns: readonly string[],
  count: number,
  row: (id: number) => Value[],
): Promise<void> {
  const starts = Array.from({ length: Math.ceil(count / INSERT_ROWS) }, (_, index) => index * INSERT_ROWS);
  const next = starts[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (const start of next) {
      const rows = Array.from({ length: Math.min(INSERT_ROWS, count - start) }, (_, index) =>
        row(start + index + 1),
      );
      await pool.query(`INSERT INTO ${table} (${columns.join(', ')}) VALUES ?`, [rows]);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, work));
}

async function countRows(pool: Pool): Promise<number> {
  let rows = 0;
  for (const name of Object.keys(TABLES)) {
    const [found] = await pool.query(`SELECT COUNT(*) AS n FROM ${name}`);
    rows += Number((found as { n: number }[])[0]!.n);
  }
  return rows;
}

async function createSchema(url: string, schema: string): Promise<void> {
  const pool = createPool({ uri: withSchema(url, ''), connectionLimit: 1 });
  try {
    await pool.query(
      `CREATE DATABASE IF NOT EXISTS \`${schema}\` DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci`,
    );
  } finally {
    await pool.end();
  }
}

function withSchema(url: string, schema: string): string {
  const changed = new URL(url);
  changed.pathname = `/${schema}`;
  return changed.href;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const url = process.env['SWITCHBACK_SOURCE'];
  if (url === undefined) {
    console.error('SWITCHBACK_SOURCE is not set; it holds mysql://user:password@host:port');
    process.exitCode = 2;
  } else {
    console.log(`${await seed({ url })} rows in the schema sms`);
  }
}
