/** The application of the protocol stress: its tables, its random writers, and a checker that shares nothing with src/. */
import { setTimeout as sleep } from 'node:timers/promises';

import { createConnection, type Connection } from 'mysql2/promise';

import { seeded, type Random } from './random.ts';

/** The last one does not migrate: rows move to it and back. */
export const STARTED = ['ant', 'bee', 'cat'] as const;
export const IDLE = 'dog';
const TENANTS = [...STARTED, IDLE];
export const CUSTOMERS = 40;
const NOTES = 80;
const CODES = ['abc', 'ABC', 'Abc ', 'äbc', 'x', 'X', 'straße', 'STRASSE'];

export const TABLES = [
  `CREATE TABLE customers (id BIGINT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, email VARCHAR(40) NOT NULL, n BIGINT NOT NULL, KEY (tenant_id), UNIQUE KEY (email))`,
  // No tenant, no foreign key: notes outlive their customer, and find another one under its number.
  `CREATE TABLE notes (id BIGINT PRIMARY KEY, customer_id BIGINT NOT NULL, n BIGINT NOT NULL, KEY (customer_id))`,
  `CREATE TABLE codes (tenant_id VARCHAR(20) NOT NULL, code VARCHAR(20) COLLATE utf8mb4_unicode_ci NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (tenant_id, code))`,
];

type Op = (random: Random, n: number) => string[];
const quoted = (text: string): string => `'${text}'`;
const customer = (random: Random): number => 1 + random.below(CUSTOMERS);
const note = (random: Random): number => 1 + random.below(NOTES);
const tenant = (random: Random): string => quoted(random.pick(TENANTS));
const email = (random: Random): string => quoted(`e${random.below(50)}@x`);
const code = (random: Random): string => quoted(random.pick(CODES));

// prettier-ignore
const OPS: readonly Op[] = [
  (r, n) => [`INSERT INTO customers VALUES (${customer(r)}, ${tenant(r)}, ${email(r)}, ${n})`],
  (r, n) => [`UPDATE customers SET n = ${n} WHERE id = ${customer(r)}`],
  (r, n) => [`UPDATE customers SET n = ${n} WHERE id = ${customer(r)}`],
  (r) => [`DELETE FROM customers WHERE id = ${customer(r)}`],
  (r, n) => [`UPDATE customers SET id = ${customer(r)}, n = ${n} WHERE id = ${customer(r)}`],
  (r, n) => [`UPDATE customers SET tenant_id = ${tenant(r)}, n = ${n} WHERE id = ${customer(r)}`],
  (r, n) => [`UPDATE customers SET email = ${email(r)}, n = ${n} WHERE id = ${customer(r)}`],
  (r, n) => swapEmails(customer(r), customer(r), n),
  (r, n) => [`REPLACE INTO customers VALUES (${customer(r)}, ${tenant(r)}, ${email(r)}, ${n})`],
  (r, n) => [`INSERT INTO customers VALUES (${customer(r)}, ${tenant(r)}, ${email(r)}, ${n}) ON DUPLICATE KEY UPDATE n = ${n}`],
  (r, n) => [`UPDATE customers SET n = ${n} WHERE tenant_id = ${tenant(r)}`],
  (r, n) => [`INSERT INTO notes VALUES (${note(r)}, ${customer(r)}, ${n})`],
  (r, n) => [`UPDATE notes SET n = ${n} WHERE id = ${note(r)}`],
  (r, n) => [`UPDATE notes SET customer_id = ${customer(r)}, n = ${n} WHERE id = ${note(r)}`],
  (r, n) => [`UPDATE notes SET id = ${note(r)}, n = ${n} WHERE id = ${note(r)}`],
  (r) => [`DELETE FROM notes WHERE customer_id = ${customer(r)}`],
  (r, n) => [`INSERT INTO codes VALUES (${tenant(r)}, ${code(r)}, ${n})`],
  (r, n) => [`UPDATE codes SET code = ${code(r)}, n = ${n} WHERE tenant_id = ${tenant(r)} AND code = ${code(r)}`],
  (r, n) => [`UPDATE codes SET tenant_id = ${tenant(r)}, n = ${n} WHERE tenant_id = ${tenant(r)} AND code = ${code(r)}`],
  (r) => [`DELETE FROM codes WHERE tenant_id = ${tenant(r)} AND code = ${code(r)}`],
];

const swapEmails = (a: number, b: number, n: number): string[] => [
  `SELECT email INTO @a FROM customers WHERE id = ${a}`,
  `SELECT email INTO @b FROM customers WHERE id = ${b}`,
  `UPDATE customers SET email = CONCAT('swapping', CONNECTION_ID()) WHERE id = ${a}`,
  `UPDATE customers SET email = IFNULL(@a, email), n = ${n} WHERE id = ${b}`,
  `UPDATE customers SET email = IFNULL(@b, email), n = ${n} WHERE id = ${a}`,
];

export interface Writes {
  committed: number;
  rolledBack: number;
}

/** A value written once only: a stale image can't look like a fresh one. */
let counter = 0;

/** Expected of random writes: duplicate, deadlock, lock wait. */
const EXPECTED = new Set([1062, 1213, 1205]);

export async function write(url: string, seed: number, until: () => boolean, writes: Writes): Promise<void> {
  const connection = await createConnection(url);
  const random = seeded(seed);
  while (!until()) {
    const ops = Array.from({ length: 1 + random.below(3) }, () => random.pick(OPS));
    try {
      await connection.query('BEGIN');
      for (const op of ops) for (const sql of op(random, (counter += 1))) await connection.query(sql);
      const rollBack = random.chance(0.2);
      await connection.query(rollBack ? 'ROLLBACK' : 'COMMIT');
      writes[rollBack ? 'rolledBack' : 'committed'] += 1;
    } catch (error) {
      if (!EXPECTED.has((error as { errno: number }).errno)) throw error;
      await connection.query('ROLLBACK');
      writes.rolledBack += 1;
    }
    await sleep(random.below(30));
  }
  await connection.end();
}

const OWNED = `tenant_id IN (${STARTED.map(quoted).join(', ')})`;

const EXPECTED_ROWS: Readonly<Record<string, string>> = {
  customers: `SELECT id, tenant_id, email, n FROM customers WHERE ${OWNED} ORDER BY id`,
  notes: `SELECT id, customer_id, n FROM notes WHERE customer_id IN (SELECT id FROM customers WHERE ${OWNED}) ORDER BY id`,
  codes: `SELECT tenant_id, HEX(code) AS code, n FROM codes WHERE ${OWNED} ORDER BY HEX(tenant_id), HEX(code)`,
};
const ACTUAL_ROWS: Readonly<Record<string, string>> = {
  customers: 'SELECT id, tenant_id, email, n FROM customers ORDER BY id',
  notes: 'SELECT id, customer_id, n FROM notes ORDER BY id',
  codes: 'SELECT tenant_id, HEX(code) AS code, n FROM codes ORDER BY HEX(tenant_id), HEX(code)',
};

/** @returns every row that one side has and the other has not, said with its table and side */
export async function differences(sourceUrl: string, targetUrl: string): Promise<string[]> {
  const [source, target] = await Promise.all([createConnection(sourceUrl), createConnection(targetUrl)]);
  const found: string[] = [];
  for (const table of Object.keys(EXPECTED_ROWS)) {
    const expected = await texts(source, EXPECTED_ROWS[table]!);
    const actual = await texts(target, ACTUAL_ROWS[table]!);
    found.push(...[...expected].filter((row) => !actual.has(row)).map((row) => `${table} source ${row}`));
    found.push(...[...actual].filter((row) => !expected.has(row)).map((row) => `${table} target ${row}`));
  }
  await Promise.all([source.end(), target.end()]);
  return found;
}

async function texts(connection: Connection, sql: string): Promise<Set<string>> {
  const [rows] = await connection.query(sql);
  return new Set((rows as object[]).map((row) => JSON.stringify(row)));
}
