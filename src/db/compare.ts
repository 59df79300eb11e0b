/**
 * The independent comparison of one tenant: every row of both sides, read side by side and compared by value.
 *
 * Reads only, takes no lock and leaves no trace, not even in the ledger. It trusts neither the copy nor the
 * digest and shares no code with them. A window is a range of keys; rows of both sides meet in it by key, so
 * that it does not matter in which order a server sorts them, and memory holds one hash for each row of a
 * window that has not met its partner yet. What does not meet its equal is looked at again
 * (`compare-looks.ts`), since a write may be on its way.
 */
import { createHash } from 'node:crypto';

import type { Milliseconds } from '../domain/duration.ts';
import { SchemaMismatchError, TransientDatabaseError } from '../domain/errors.ts';
import { nextWindowRows } from '../domain/window.ts';
import { readTables, storedColumns } from './catalog.ts';
import { look, type Difference } from './compare-looks.ts';
import { readingOf, type Reading } from './compare-values.ts';
import type { Database, RawRow } from './database.ts';
import { afterKey, keySql, upToKey } from './keys.ts';
import { ident, list, qualified } from './sql.ts';
import { joinChain, ownedBy, type TrackedTable } from './tenancy.ts';
import type { Pair, Tracked } from './tracked.ts';

export interface Compared {
  readonly table: string;
  /** Was it read to its end? */
  readonly finished: boolean;
  readonly sourceRows: number;
  readonly targetRows: number;
  readonly equal: number;
  /** Differed, and the journal said why, at every look. */
  readonly inFlight: number;
  readonly missing: number;
  readonly extra: number;
  readonly different: number;
  /** The first of the rows that differ. */
  readonly rows: readonly Difference[];
}

export interface Comparison {
  readonly tenant: string;
  readonly table: TrackedTable;
  /** Rows that are named one by one. */
  readonly named: number;
  /** Called after every window. */
  readonly progress: (soFar: Compared) => void;
  readonly signal: AbortSignal;
}

/** A table with what to read of each row, and how. */
export interface Shape {
  readonly source: TrackedTable;
  readonly target: TrackedTable;
  readonly readings: readonly Reading[];
}

const WINDOW_MS: Milliseconds = 400;
const FIRST_ROWS = 500;
const ROWS_MAX = 20_000;
/** errno of MySQL and of MariaDB: the window was too much for one statement. */
const TOO_LONG = new Set<number | null>([3024, 1969]);

/** @returns what was compared until the end of the table, or until `signal` */
export async function compareTable(pair: Pair, tracked: Tracked, comparison: Comparison): Promise<Compared> {
  const { table, tenant, named, progress, signal } = comparison;
  const shape = await shapeOf(pair, tracked, table.id);
  let sum: Compared = {
    table: table.table.name,
    finished: false,
    sourceRows: 0,
    targetRows: 0,
    equal: 0,
    inFlight: 0,
    missing: 0,
    extra: 0,
    different: 0,
    rows: [],
  };
  let from: string | null = null;
  let rows = FIRST_ROWS;
  while (!signal.aborted) {
    const started = Date.now();
    const to: string | null = await windowEnd(pair.source, table, tenant, from, rows);
    try {
      const window = await readWindow(pair, shape, tenant, { from, to });
      const found = await look(pair, shape, tenant, window.unmatched);
      sum = add(sum, window, found, named);
    } catch (error) {
      if (!(error instanceof TransientDatabaseError) || !TOO_LONG.has(error.errno) || rows === 1) throw error;
      rows = Math.max(1, Math.floor(rows / 8));
      continue;
    }
    if (to === null) sum = { ...sum, finished: true };
    progress(sum);
    if (to === null) break;
    from = to;
    rows = nextWindowRows(rows, Date.now() - started, { targetMs: WINDOW_MS, rowsMax: ROWS_MAX });
  }
  return sum;
}

function add(sum: Compared, window: Window, found: readonly Difference[], named: number): Compared {
  const of = (kind: Difference['class']): number => found.filter((one) => one.class === kind).length;
  const differing = found.filter((one) => !['equal', 'gone', 'in-flight'].includes(one.class));
  return {
    ...sum,
    sourceRows: sum.sourceRows + window.sourceRows,
    targetRows: sum.targetRows + window.targetRows,
    equal: sum.equal + window.equal + of('equal'),
    inFlight: sum.inFlight + of('in-flight'),
    missing: sum.missing + of('missing'),
    extra: sum.extra + of('extra'),
    different: sum.different + of('different'),
    rows: [...sum.rows, ...differing.slice(0, Math.max(0, named - sum.rows.length))],
  };
}

/** @throws SchemaMismatchError when the two sides can't be compared column by column */
async function shapeOf(pair: Pair, tracked: Tracked, tableId: number): Promise<Shape> {
  const source = tracked.source(tableId);
  const target = tracked.target(tableId);
  const { schema, name } = target.table;
  const [there] = await readTables(pair.target, schema, [name]);
  if (there === undefined)
    throw new SchemaMismatchError(`the target has no table ${name}; run switchback install --target-schema`);
  const readings = storedColumns(source.table).map((column) => {
    const other = there.columns.find((candidate) => candidate.name === column.name);
    const reading = other === undefined ? null : readingOf(column, other);
    if (reading === null)
      throw new SchemaMismatchError(
        `column ${name}.${column.name} has no like on the target to compare with`,
      );
    return reading;
  });
  // Its indexes are its own: a hint that names one it lacks is an error.
  return { source, target: { ...target, table: { ...target.table, indexes: there.indexes } }, readings };
}

interface Range {
  readonly from: string | null;
  readonly to: string | null;
}

/**
 * Inside the tenant where an index of the tenant's column is followed by the key (InnoDB appends it), else
 * over the whole table.
 */
function orderOf({ table, tenancy }: TrackedTable): { index: string; tenantOnly: boolean } {
  const lead = tenancy.kind === 'column' ? tenancy.column : null;
  if (lead === table.primary[0]?.name) return { index: 'PRIMARY', tenantOnly: true };
  const own = table.indexes.find(
    ({ columns, prefixed }) => !prefixed && columns.length === 1 && columns[0] === lead,
  );
  return own === undefined ? { index: 'PRIMARY', tenantOnly: false } : { index: own.name, tenantOnly: true };
}

async function windowEnd(
  source: Database,
  side: TrackedTable,
  tenant: string,
  from: string | null,
  rows: number,
): Promise<string | null> {
  const { table } = side;
  const { index, tenantOnly } = orderOf(side);
  const where = [
    tenantOnly ? ownedBy(side, 't', tenant) : 'TRUE',
    from === null ? 'TRUE' : afterKey(table, 't', from),
  ];
  const [row] = await source.rows(
    `SELECT ${keySql(table, 't')} AS row_key FROM ${qualified(table.schema, table.name)} t FORCE INDEX (${ident(index)})
     WHERE ${where.join(' AND ')} ORDER BY ${list(table.primary.map(({ name }) => `t.${ident(name)}`))} LIMIT 1 OFFSET ${rows - 1}`,
  );
  return row?.['row_key'] ?? null;
}

interface Window {
  readonly sourceRows: number;
  readonly targetRows: number;
  readonly equal: number;
  readonly unmatched: readonly string[];
}

/** Both sides at once: whichever row of a key comes first waits for the other. */
async function readWindow(pair: Pair, shape: Shape, tenant: string, range: Range): Promise<Window> {
  const waiting = new Map<string, string>();
  const differing = new Set<string>();
  let equal = 0;
  const meet = (key: string, print: string): void => {
    const other = waiting.get(key);
    if (other === undefined) return void waiting.set(key, print);
    waiting.delete(key);
    if (other === print) equal += 1;
    else differing.add(key);
  };
  const [sourceRows, targetRows] = await Promise.all(
    [['source', shape.source] as const, ['target', shape.target] as const].map(([side, tracked]) =>
      readRange(pair[side], windowSql(tracked, shape.readings, tenant, range), shape.readings, meet),
    ),
  );
  const unmatched = [...new Set([...differing, ...waiting.keys()])];
  return { sourceRows: sourceRows!, targetRows: targetRows!, equal, unmatched };
}

function windowSql(side: TrackedTable, readings: readonly Reading[], tenant: string, range: Range): string {
  const { table } = side;
  const where = [
    ownedBy(side, 't', tenant),
    ...(range.from === null ? [] : [afterKey(table, 't', range.from)]),
    ...(range.to === null ? [] : [upToKey(table, 't', range.to)]),
  ];
  const columns = readings.map((reading) => reading.select('t'));
  return `SELECT ${list([keySql(table, 't'), ...columns])} FROM ${qualified(table.schema, table.name)} t FORCE INDEX (${ident(orderOf(side).index)})
          ${joinChain(side, 't', 'JOIN')} WHERE ${where.join(' AND ')}`;
}

async function readRange(
  db: Database,
  sql: string,
  readings: readonly Reading[],
  meet: (key: string, print: string) => void,
): Promise<number> {
  let rows = 0;
  await db.session(async (session) => {
    for await (const batch of session.stream(sql)) {
      for (const [key, ...values] of batch) {
        rows += 1;
        meet(key!.toString('latin1'), rowPrint(readings, values));
      }
    }
  });
  return rows;
}

/** 256 bits over all values of a row: none of them can reach into its neighbour. */
function rowPrint(readings: readonly Reading[], values: RawRow): string {
  const hash = createHash('sha256');
  for (const [position, { form }] of readings.entries()) {
    const value = values[position] ?? null;
    if (value === null) {
      hash.update('-');
      continue;
    }
    const formed = form(value);
    const length = typeof formed === 'string' ? Buffer.byteLength(formed) : formed.length;
    hash.update(`+${length}:`).update(formed);
  }
  return hash.digest('base64');
}
