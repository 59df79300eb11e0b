/**
 * Which executor a table gets, and why.
 *
 * The server computes the digest where both servers make one text of one value. That is asked of the servers
 * themselves, not read from their version: each prints known doubles from a column and known JSON, and what they
 * print must be the same. Where it isn't, tables with such a column are streamed; so are columns whose type or
 * character set only one of the two families understands.
 */
import { DatabaseError } from '../domain/errors.ts';
import { readTables, storedColumns, type Column, type Table } from './catalog.ts';
import type { Database, Flavour } from './database.ts';
import type { Executor, ExecutorName } from './executor.ts';
import { SQL_EXECUTOR } from './executor-sql.ts';
import { streamExecutor } from './executor-stream.ts';
import { kindOf } from './kinds.ts';
import type { Pair, Tracked } from './tracked.ts';

/** What a server makes of the known values; null: it can't say them at all. */
interface Rendering {
  readonly flavour: Flavour;
  readonly doubles: string | null;
  readonly json: string | null;
}

export interface Choice {
  readonly table: string;
  readonly executor: ExecutorName;
  /** `sql`: null; `stream`: the first column that needs it, and why. */
  readonly why: string | null;
}

interface Sides {
  readonly source: Database;
  readonly target: Database;
}

/** Both ends of the range, a denormal, -0, and small numbers, which MariaDB prints without an exponent. */
const DOUBLES = [
  '3.3097939544242785e-7',
  '-1.0463013089851482e-6',
  '1e15',
  '-0e0',
  '5e-324',
  '1.7976931348623157e308',
  '0.1',
];
/** Key order, equal keys, 1 and 1.0, the ends of integers, exponents, escapes. */
const JSON_TEXT = String.raw`{"bb": [1, 1.0, 1e2, 1e300, 0.1, 18446744073709551615, -9223372036854775808], "a": "\u00e4\n\"", "a": null, "": {}}`;

/** A derived table that isn't merged, so that the values are a column's and not constants. */
const DOUBLES_SQL = `SELECT GROUP_CONCAT(CONCAT(d) ORDER BY n SEPARATOR ' ') AS text FROM (${DOUBLES.map(
  (value, index) => `SELECT ${index} AS n, CAST('${value}' AS DOUBLE) AS d`,
).join(' UNION ALL ')}) v`;
const JSON_SQL = `SELECT CAST(CAST('${JSON_TEXT.replaceAll('\\', '\\\\')}' AS JSON) AS CHAR CHARACTER SET utf8mb4) AS text`;

async function readRendering(db: Database): Promise<Rendering> {
  const ask = async (sql: string): Promise<string | null> => {
    try {
      return (await db.rows(sql))[0]?.['text'] ?? null;
    } catch (error) {
      // A server that doesn't know the type says so; one that can't be reached says nothing about its types.
      if (error instanceof DatabaseError) return null;
      throw error;
    }
  };
  const [server, doubles, json] = await Promise.all([db.server(), ask(DOUBLES_SQL), ask(JSON_SQL)]);
  return { flavour: server.flavour, doubles, json };
}

const same = (a: string | null, b: string | null): boolean => a !== null && a === b;

/** Character sets that both families convert to Unicode alike; the others have characters in dispute. */
const AGREED = new Set(['ascii', 'latin1', 'utf8', 'utf8mb3', 'utf8mb4', 'ucs2', 'utf16', 'utf32', 'binary']);

/** @returns why this column can't be digested in SQL, or null */
function needsStream(column: Column, there: Column, source: Rendering, target: Rendering): string | null {
  const kind = kindOf(column);
  const families = source.flavour !== target.flavour;
  if ((kind === 'float' || kind === 'double') && !same(source.doubles, target.doubles))
    return 'the servers print doubles differently';
  if ((kind === 'json' || there.type === 'json') && !same(source.json, target.json))
    return 'the servers print JSON differently';
  if (column.type !== there.type && (kind === 'json' || there.type === 'json'))
    return 'it is JSON on one side only';
  if (kind === 'geometry' && families) return 'geometry of two families is compared by its bytes';
  if (families && column.charset !== null && !AGREED.has(column.charset))
    return `the servers may convert ${column.charset} differently`;
  return null;
}

function choose(
  table: Table,
  target: Table | undefined,
  renderings: readonly [Rendering, Rendering],
): Choice & { executor: ExecutorName } {
  const whys = storedColumns(table).flatMap((column) => {
    const there = target?.columns.find(({ name }) => name === column.name) ?? column;
    const why = needsStream(column, there, ...renderings);
    return why === null ? [] : [`${column.name}: ${why}`];
  });
  return { table: table.name, executor: whys.length === 0 ? 'sql' : 'stream', why: whys[0] ?? null };
}

const renderings = new WeakMap<Database, Promise<Rendering>>();

function renderingOf(db: Database): Promise<Rendering> {
  const known = renderings.get(db) ?? readRendering(db);
  renderings.set(db, known);
  known.catch(() => renderings.delete(db));
  return known;
}

/** In the order of `tables`; a table that the target lacks is taken to look as on the source. */
export async function chooseExecutors(
  sides: Sides,
  tables: readonly Table[],
  targets: readonly Table[],
): Promise<Choice[]> {
  const found = await Promise.all([renderingOf(sides.source), renderingOf(sides.target)]);
  return tables.map((table) =>
    choose(
      table,
      targets.find(({ name }) => name === table.name),
      found,
    ),
  );
}

const chosen = new WeakMap<Tracked, Promise<ReadonlyMap<number, Executor>>>();

/** Chosen once for what is tracked: a changed table is tracked anew. */
export async function executorOf(pair: Pair, tracked: Tracked, tableId: number): Promise<Executor> {
  const known = chosen.get(tracked) ?? chooseAll(pair, tracked);
  chosen.set(tracked, known);
  known.catch(() => chosen.delete(tracked));
  return (await known).get(tableId) ?? SQL_EXECUTOR;
}

async function chooseAll(pair: Pair, tracked: Tracked): Promise<ReadonlyMap<number, Executor>> {
  const all = tracked.all();
  const schemas = new Set(all.map(({ id }) => tracked.target(id).table.schema));
  const chosenOf = new Map<number, Executor>();
  for (const schema of schemas) {
    const own = all.filter(({ id }) => tracked.target(id).table.schema === schema);
    const tables = own.map(({ table }) => table);
    const names = tables.map(({ name }) => name);
    const targets = await readTables(pair.target, schema, names);
    const choices = await chooseExecutors(pair, tables, targets);
    own.forEach(({ id, table }, index) => {
      const target = targets.find(({ name }) => name === table.name) ?? table;
      chosenOf.set(id, choices[index]!.executor === 'sql' ? SQL_EXECUTOR : streamOf(table, target));
    });
  }
  return chosenOf;
}

const streamOf = (table: Table, target: Table): Executor =>
  streamExecutor({ source: storedColumns(table), target: storedColumns(target) });

/** For tests: every table by one executor, whatever the servers print. */
export function forceExecutor(tracked: Tracked, name: ExecutorName): void {
  const of = (table: Table): Executor => (name === 'sql' ? SQL_EXECUTOR : streamOf(table, table));
  chosen.set(tracked, Promise.resolve(new Map(tracked.all().map(({ id, table }) => [id, of(table)]))));
}
