/**
 * Windows by time stand on a column that never changes: a row that moves from a window still to be read
 * into one that was read already would be compared by nobody, and its pass would still be called clean.
 *
 * The definition can rule a column out; nothing in it can prove one. So the UPDATE trigger says when a
 * value changed, and so does a verdict that finds two values; from then on the table's windows are by key.
 */
import type { Tenancy } from '../domain/plan.ts';
import { DatabaseError } from '../domain/errors.ts';
import type { Table } from './catalog.ts';
import { deleteById } from './journal-rows.ts';
import { literal, qualified } from './sql.ts';
import type { Pair } from './tracked.ts';

export interface TimeRefusal {
  readonly problem: string;
  /** Columns of the index that would help; null: no index would. */
  readonly index: readonly string[] | null;
}

const TIMES = new Set(['datetime', 'timestamp', 'date']);

/** @returns why the definition of the table rules out windows by this column; null: it does not */
export function timeRefusal(table: Table, tenancy: Tenancy, time: string): TimeRefusal | null {
  const say = (problem: string): TimeRefusal => ({ problem, index: null });
  if (tenancy.kind !== 'column') return say('needs a tenant column in the same table');
  const column = table.columns.find(({ name }) => name === time);
  if (column === undefined) return say('is no column of the table');
  if (!TIMES.has(column.type)) return say(`is ${column.declared}, not a time`);
  if (column.nullable) return say('may be NULL, and such rows are in no window');
  if (column.updatesItself) return say('changes by itself with every UPDATE (ON UPDATE CURRENT_TIMESTAMP)');
  if (column.generated) return say('is generated from other columns, which may change');
  if (timeIndex(table, tenancy.column, time) !== null) return null;
  const problem = `has no index on exactly (${tenancy.column}, ${time}), or on these and then the primary key`;
  return { problem, index: [tenancy.column, time] };
}

/** The index that reads a tenant's rows in the order of time, then key; InnoDB appends the key to every index. */
export function timeIndex(table: Table, tenant: string, time: string): string | null {
  const walk = timeWalk(table, tenant, time);
  const found = table.indexes.find(
    ({ columns: [first, ...rest], prefixed }) =>
      !prefixed && first === tenant && rest.length > 0 && rest.every((name, place) => name === walk[place]),
  );
  return found?.name ?? null;
}

/** Names of the columns that place a row among its tenant's: the time, then what is left of the key. */
export const timeWalk = (table: Table, tenant: string, time: string): string[] => [
  time,
  ...table.primary.map(({ name }) => name).filter((name) => name !== tenant && name !== time),
];

/** @returns who saw a value of the table's time column change, and when; null: nobody */
export async function timeChanged(pair: Pair, tableId: number): Promise<string | null> {
  const [row] = await pair.source.rows(
    `SELECT time_changed, (SELECT 1 FROM ${qualified(pair.control, 'time_change')} WHERE table_id = ${tableId} LIMIT 1) AS news
     FROM ${qualified(pair.control, 'tracked_table')} WHERE id = ${tableId}`,
  );
  return row?.['time_changed'] ?? (row?.['news'] === '1' ? BY_UPDATE : null);
}

const BY_UPDATE = 'an UPDATE changed it';
export const BY_VERDICT = 'a verdict found two values of it for one key';

/** errno of a control schema that is not installed yet. */
const NOT_INSTALLED = new Set<number | null>([1049, 1146]);

/** @returns a sentence for every table whose windows are by key although the plan names a column */
export async function refusedTimes(pair: Pair): Promise<string[]> {
  const rows = await pair.source
    .rows(
      `SELECT id, name, time_column FROM ${qualified(pair.control, 'tracked_table')} WHERE time_column IS NOT NULL ORDER BY id`,
    )
    .catch((error: unknown) => {
      if (error instanceof DatabaseError && NOT_INSTALLED.has(error.errno)) return [];
      throw error;
    });
  const said = await Promise.all(
    rows.map(async (row) => {
      const why = await timeChanged(pair, Number(row['id']));
      return why === null
        ? []
        : [`windows of ${row['name']} are cut by key, not by ${row['time_column']}: ${why}`];
    }),
  );
  return said.flat();
}

/** Kept for good, or until the plan names another column. */
export async function noteTimeChange(pair: Pair, tableId: number, how: string): Promise<void> {
  await pair.source.run(
    `UPDATE ${qualified(pair.control, 'tracked_table')} SET time_changed = CONCAT(${literal(how)}, ' at ', UTC_TIMESTAMP())
     WHERE id = ${tableId} AND time_changed IS NULL`,
  );
}

const AT_ONCE = 1_000;

/**
 * Takes down what the triggers wrote: one row for every changed value, since looking first would make
 * writers wait for each other.
 */
export async function gatherTimeChanges(pair: Pair): Promise<void> {
  const rows = await pair.source.rows(
    `SELECT id, table_id FROM ${qualified(pair.control, 'time_change')} ORDER BY id LIMIT ${AT_ONCE}`,
  );
  for (const id of new Set(rows.map((row) => row['table_id']!))) {
    await noteTimeChange(pair, Number(id), BY_UPDATE);
  }
  await deleteById(
    pair.source,
    qualified(pair.control, 'time_change'),
    rows.map((row) => row['id']!),
  );
}
