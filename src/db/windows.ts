/**
 * Windows of a reconcile pass: half-open, without a gap, the first and the last open-ended, so that no row
 * can hide between or beyond them. Cut by time where the plan names a column, else by key.
 *
 * The backfill cuts its own windows: two pieces of code that enumerate differently can't skip the same row.
 */
import type { Database } from './database.ts';
import { afterKey, keySql, upToKey } from './keys.ts';
import { ident, list, literal, qualified } from './sql.ts';
import { ownedBy, type TrackedTable } from './tenancy.ts';

/** Where the window begins and ends: times or journal keys; null: open. */
export interface Bounds {
  readonly from: string | null;
  readonly to: string | null;
}

export interface WindowCutter {
  /** End of the window of about `rows` rows that begins at `from`; null: it is the last. */
  readonly end: (source: Database, from: string | null, rows: number) => Promise<string | null>;
  readonly where: (tracked: TrackedTable, bounds: Bounds) => string;
  readonly index: string | null;
}

export function cutter(tracked: TrackedTable, tenant: string): WindowCutter {
  return tracked.time === null || tracked.tenancy.kind !== 'column'
    ? byKey(tracked, tenant)
    : byTime(tracked, tenant, tracked.time);
}

/** `[from, to)` on an immutable time column. */
function byTime(tracked: TrackedTable, tenant: string, time: string): WindowCutter {
  const { table, tenancy } = tracked;
  const column = `t.${ident(time)}`;
  const lead = tenancy.kind === 'column' ? tenancy.column : '';
  const index = table.indexes.find(({ columns }) => columns[0] === lead && columns[1] === time)?.name ?? null;
  const from = `FROM ${qualified(table.schema, table.name)} t${index === null ? '' : ` FORCE INDEX (${ident(index)})`} WHERE ${ownedBy(tracked, 't', tenant)}`;
  return {
    index,
    where: (_, bounds) =>
      [
        ...(bounds.from === null ? [] : [`${column} >= ${literal(bounds.from)}`]),
        ...(bounds.to === null ? [] : [`${column} < ${literal(bounds.to)}`]),
      ].join(' AND ') || 'TRUE',
    async end(source, start, rows) {
      const after = start === null ? 'TRUE' : `${column} >= ${literal(start)}`;
      const [row] = await source.rows(
        `SELECT ${column} AS bound ${from} AND ${after} ORDER BY ${column} LIMIT 1 OFFSET ${rows}`,
      );
      const bound = row?.['bound'] ?? null;
      if (bound === null || bound !== start) return bound;
      // More rows than a window share one instant: they stay together.
      const [next] = await source.rows(
        `SELECT MIN(${column}) AS bound ${from} AND ${column} > ${literal(start)}`,
      );
      return next?.['bound'] ?? null;
    },
  };
}

/** `(from, to]` on the primary key. */
function byKey(tracked: TrackedTable, tenant: string): WindowCutter {
  const { table, tenancy } = tracked;
  const lead = tenancy.kind === 'column' ? tenancy.column : null;
  const keyColumns = table.primary.map((column) => column.name);
  const found = table.indexes.find(
    ({ columns, prefixed }) =>
      !prefixed &&
      columns[0] === lead &&
      (keyColumns[0] === lead ? columns[1] === keyColumns[1] : columns.length === 1),
  );
  const index = found?.name ?? null;
  const owned = index === null ? 'TRUE' : ownedBy(tracked, 't', tenant);
  return {
    index: index ?? 'PRIMARY',
    where: (side, bounds) =>
      [
        ...(bounds.from === null ? [] : [afterKey(side.table, 't', bounds.from)]),
        ...(bounds.to === null ? [] : [upToKey(side.table, 't', bounds.to)]),
      ].join(' AND ') || 'TRUE',
    async end(source, start, rows) {
      const after = start === null ? 'TRUE' : afterKey(table, 't', start);
      const [row] = await source.rows(
        `SELECT ${keySql(table, 't')} AS bound FROM ${qualified(table.schema, table.name)} t FORCE INDEX (${ident(index ?? 'PRIMARY')})
         WHERE ${owned} AND ${after} ORDER BY ${list(table.primary.map((column) => `t.${ident(column.name)}`))} LIMIT 1 OFFSET ${rows - 1}`,
      );
      return row?.['bound'] ?? null;
    },
  };
}
