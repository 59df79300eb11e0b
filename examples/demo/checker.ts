/**
 * The last word, by code that shares nothing with the product: both databases row by row, and every write that
 * a client saw acknowledged against both of them.
 *
 * Values are compared as the servers print them, binary as hex. Rows arrive in key order from two streams; only
 * one row of each side is held. Nothing may write while it runs, and the mirror must have ended.
 */
import { createConnection, type Connection } from 'mysql2';

import type { Acknowledged } from './book.ts';

export interface CheckOptions {
  readonly sourceUrl: string;
  readonly targetUrl: string;
  readonly schema: string;
  readonly tables: readonly string[];
  readonly acknowledged: readonly Acknowledged[];
}

export interface Difference {
  readonly table: string;
  readonly key: string;
  readonly what: 'missing' | 'extra' | 'different';
  /** Columns that differ; no values. */
  readonly columns: readonly string[];
}

export interface Lost {
  readonly side: 'source' | 'target';
  readonly table: string;
  readonly id: string;
  readonly why: string;
}

export interface CheckReport {
  readonly rowsCompared: number;
  readonly rowsDiffering: number;
  readonly firstDifferences: readonly Difference[];
  /** Acknowledged writes whose outcome was looked up. */
  readonly acknowledgedWrites: number;
  readonly lostWrites: number;
  readonly firstLost: readonly Lost[];
}

type Row = Readonly<Record<string, string | null>>;

interface Column {
  readonly name: string;
  readonly select: string;
}

interface Shape {
  readonly columns: readonly Column[];
  readonly key: readonly string[];
}

const FIRST = 10;
const LOOKUP = 500;
const BINARY = new Set([
  'binary',
  'varbinary',
  'tinyblob',
  'blob',
  'mediumblob',
  'longblob',
  'bit',
  'geometry',
]);

export async function check(options: CheckOptions): Promise<CheckReport> {
  const [source, target] = await Promise.all([open(options.sourceUrl), open(options.targetUrl)]);
  try {
    const differences: Difference[] = [];
    const lost: Lost[] = [];
    let rowsCompared = 0;
    let rowsDiffering = 0;
    for (const table of options.tables) {
      const shape = await readShape(source, options.schema, table);
      const [here, there] = [source, target].map((side) => streamRows(side, options.schema, table, shape));
      for await (const found of compareStreams(table, shape, here!, there!)) {
        rowsCompared += 1;
        if (found === null) continue;
        rowsDiffering += 1;
        if (differences.length < FIRST) differences.push(found);
      }
    }
    for (const [side, connection] of [
      ['source', source],
      ['target', target],
    ] as const) {
      lost.push(...(await lostOn(side, connection, options)));
    }
    return {
      rowsCompared,
      rowsDiffering,
      firstDifferences: differences,
      acknowledgedWrites: options.acknowledged.reduce((sum, { writes }) => sum + writes, 0),
      lostWrites: new Set(lost.map(({ table, id }) => `${table}/${id}`)).size,
      firstLost: lost.slice(0, FIRST),
    };
  } finally {
    source.end();
    target.end();
  }
}

async function open(url: string): Promise<Connection> {
  const address = new URL(url);
  address.pathname = '/';
  const connection = createConnection({
    uri: address.href,
    charset: 'utf8mb4',
    typeCast: (field) => field.string('utf8'),
  });
  await ask(connection, "SET SESSION time_zone = '+00:00', SESSION sql_mode = ''");
  return connection;
}

const ask = (connection: Connection, sql: string, params: readonly unknown[] = []): Promise<Row[]> =>
  new Promise((resolve, reject) => {
    connection.query(sql, [...params], (error, rows) =>
      error === null ? resolve(rows as unknown as Row[]) : reject(error),
    );
  });

async function readShape(source: Connection, schema: string, table: string): Promise<Shape> {
  const columns = await ask(
    source,
    'SELECT COLUMN_NAME AS name, DATA_TYPE AS type, COLUMN_KEY AS k FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION',
    [schema, table],
  );
  const key = await ask(
    source,
    "SELECT COLUMN_NAME AS name FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX",
    [schema, table],
  );
  if (columns.length === 0 || key.length === 0) throw new Error(`${table} has no columns or no primary key`);
  return {
    columns: columns.map((row) => columnOf(row['name']!, row['type']!)),
    key: key.map((row) => row['name']!),
  };
}

/** JSON as its text; what has no text, as hex. */
function columnOf(name: string, type: string): Column {
  const quoted = `\`${name}\``;
  if (BINARY.has(type)) return { name, select: `HEX(${quoted}) AS ${quoted}` };
  return { name, select: type === 'json' ? `CAST(${quoted} AS CHAR) AS ${quoted}` : quoted };
}

function streamRows(
  connection: Connection,
  schema: string,
  table: string,
  { columns, key }: Shape,
): AsyncIterable<Row> {
  const order = key.map((name) => `\`${table}\`.\`${name}\``).join(', ');
  return connection
    .query(
      `SELECT ${columns.map(({ select }) => select).join(', ')} FROM \`${schema}\`.\`${table}\` ORDER BY ${order}`,
    )
    .stream({ highWaterMark: 500 }) as AsyncIterable<Row>;
}

/** One element for each key on either side: null where both rows are the same. */
async function* compareStreams(
  table: string,
  shape: Shape,
  source: AsyncIterable<Row>,
  target: AsyncIterable<Row>,
): AsyncGenerator<Difference | null> {
  const here = source[Symbol.asyncIterator]();
  const there = target[Symbol.asyncIterator]();
  let [one, other] = await Promise.all([here.next(), there.next()]);
  while (one.done !== true || other.done !== true) {
    const order =
      one.done === true ? 1 : other.done === true ? -1 : compareKeys(shape.key, one.value, other.value);
    const key = shape.key.map((name) => (order > 0 ? other : one).value[name]).join(',');
    if (order !== 0) {
      yield { table, key, what: order < 0 ? 'missing' : 'extra', columns: [] };
    } else {
      const columns = shape.columns
        .map(({ name }) => name)
        .filter((name) => one.value[name] !== other.value[name]);
      yield columns.length === 0 ? null : { table, key, what: 'different', columns };
    }
    if (order <= 0) one = await here.next();
    if (order >= 0) other = await there.next();
  }
}

/** As the servers ordered them: numbers by value, text by its bytes. */
function compareKeys(key: readonly string[], one: Row, other: Row): number {
  for (const name of key) {
    const [a, b] = [one[name] ?? '', other[name] ?? ''];
    if (a === b) continue;
    if (/^-?\d+$/.test(a) && /^-?\d+$/.test(b)) return BigInt(a) < BigInt(b) ? -1 : 1;
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
  }
  return 0;
}

async function lostOn(
  side: Lost['side'],
  connection: Connection,
  { schema, acknowledged }: CheckOptions,
): Promise<Lost[]> {
  const lost: Lost[] = [];
  for (const table of new Set(acknowledged.map((entry) => entry.table))) {
    const entries = acknowledged.filter((entry) => entry.table === table);
    const { columns } = await readShape(connection, schema, table);
    for (let start = 0; start < entries.length; start += LOOKUP) {
      const some = entries.slice(start, start + LOOKUP);
      const rows = await ask(
        connection,
        `SELECT ${columns.map(({ select }) => select).join(', ')} FROM \`${schema}\`.\`${table}\` WHERE id IN (?)`,
        [some.map(({ id }) => id)],
      );
      const byId = new Map(rows.map((row) => [row['id'], row]));
      for (const entry of some) {
        const why = whyLost(entry, byId.get(entry.id));
        if (why !== null) lost.push({ side, table, id: entry.id, why });
      }
    }
  }
  return lost;
}

function whyLost({ state, tenant }: Acknowledged, row: Row | undefined): string | null {
  if (state === null) return row === undefined ? null : 'it was removed and is there';
  if (row === undefined) return 'it is not there';
  const expected: Row = 'tenant_id' in row ? { ...state, tenant_id: tenant } : state;
  const wrong = Object.keys(expected).filter((name) => row[name] !== expected[name]);
  return wrong.length === 0 ? null : `${wrong.join(', ')} is not what was acknowledged`;
}
