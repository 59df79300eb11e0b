/**
 * Backfill: the copy of everything that nobody touches while it is copied.
 *
 * A window holds the tenant's lock shared, so disjoint windows run beside each other while mirror and
 * verdict wait; it reads the source with a plain read, replaces the tenant's rows of that key range on
 * the target, and commits them with its cursor. Nothing can be resurrected: a delete that commits after
 * the read has a journal row, and that is applied later.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { SECOND, type Milliseconds } from '../domain/duration.ts';
import { DatabaseError, TransientDatabaseError } from '../domain/errors.ts';
import type { Limits } from '../domain/plan.ts';
import { nextWindowRows } from '../domain/window.ts';
import { SHARED } from '../domain/stage.ts';
import { converge, keyLiteral } from './converge.ts';
import type { Database, RawRow, Session } from './database.ts';
import { uniqueHolders } from './holders.ts';
import { insertImages, selectImage } from './images.ts';
import { afterKey, keySql, upToKey } from './keys.ts';
import { shareTenant } from './lock.ts';
import { ident, list, qualified, tenantLiteral } from './sql.ts';
import { joinChain, ownedBy, type TrackedTable } from './tenancy.ts';
import { throttled } from './throttle.ts';
import type { Pair, Tracked } from './tracked.ts';

export interface CopyCursor {
  readonly tableId: number;
  readonly afterKey: string | null;
  readonly copiedRows: number;
  readonly estimatedRows: number;
  readonly finished: boolean;
}

export interface CopySlice {
  readonly tenant: string;
  readonly round: number;
  readonly tableId: number;
  readonly limits: Limits;
  /** Rows a second; read again before every window, so that `setPace` acts at once. */
  readonly pace: () => Promise<number>;
  /** Called after every committed window; throws to stop. */
  readonly progress: (cursor: CopyCursor, why: string | null) => void;
  readonly until: () => boolean;
}

const PACE_STEP: Milliseconds = 500;

/** Tables of a tenant, parents before children; `_shared` owns the shared ones and no other. */
export const tablesOf = (tracked: Tracked, tenant: string): TrackedTable[] =>
  tracked.all().filter(({ tenancy }) => (tenancy.kind === 'shared') === (tenant === SHARED));

const cursorTable = (pair: Pair): string => qualified(pair.control, 'backfill_cursor');

export async function readCursors(pair: Pair, tenant: string, round: number): Promise<CopyCursor[]> {
  const rows = await pair.target.rows(
    `SELECT table_id, after_key, copied_rows, estimated_rows, finished FROM ${cursorTable(pair)}
     WHERE tenant = ${tenantLiteral(tenant)} AND round = ${round} AND part = 0`,
  );
  return rows.map((row) => ({
    tableId: Number(row['table_id']),
    afterKey: row['after_key'] ?? null,
    copiedRows: Number(row['copied_rows']),
    estimatedRows: Number(row['estimated_rows']),
    finished: row['finished'] === '1',
  }));
}

/** Copies windows of one table until its end, until `until` says stop, or until `progress` throws. */
export async function copyTable(pair: Pair, tracked: Tracked, slice: CopySlice): Promise<CopyCursor> {
  const table = tracked.source(slice.tableId);
  let cursor = (await readCursors(pair, slice.tenant, slice.round)).find(
    (found) => found.tableId === slice.tableId,
  ) ?? {
    tableId: slice.tableId,
    afterKey: null,
    copiedRows: 0,
    estimatedRows: await countOwned(pair.source, table, slice.tenant),
    finished: false,
  };
  let rows = Math.min(1_000, slice.limits.windowRows);
  while (!cursor.finished && !slice.until()) {
    const why = await throttled(pair, slice.limits);
    if (why !== null) {
      slice.progress(cursor, why);
      await sleep(500);
      continue;
    }
    const started = Date.now();
    const before = cursor.copiedRows;
    cursor = await copyWindow(pair, tracked, slice, cursor, rows);
    const took = Date.now() - started;
    slice.progress(cursor, null);
    await keepPace(slice, cursor, { rows: cursor.copiedRows - before, started });
    rows = nextWindowRows(rows, took, {
      targetMs: slice.limits.windowTarget,
      rowsMax: slice.limits.windowRows,
    });
  }
  return cursor;
}

/** Waits in short steps: a cancel, a stop of the worker or a new pace acts within one of them. */
async function keepPace(
  slice: CopySlice,
  cursor: CopyCursor,
  window: { readonly rows: number; readonly started: number },
): Promise<void> {
  for (;;) {
    const pace = await slice.pace();
    const due = pace > 0 ? window.started + (window.rows / pace) * SECOND : 0;
    const wait = due - Date.now();
    if (wait <= 0 || slice.until()) return;
    await sleep(Math.min(wait, PACE_STEP));
    slice.progress(cursor, `pace of ${pace} rows a second`);
  }
}

/** errno of MySQL and of MariaDB. */
const STATEMENT_TOO_LONG = new Set<number | null>([3024, 1969]);

/** For progress only; 0 where counting takes longer than a statement may. */
async function countOwned(db: Database, table: TrackedTable, tenant: string): Promise<number> {
  const count = db.rows(
    `SELECT COUNT(*) AS n FROM ${qualified(table.table.schema, table.table.name)} t ${joinChain(table, 't', 'JOIN')} WHERE ${ownedBy(table, 't', tenant)}`,
  );
  const [row] = await count.catch((error: unknown) => {
    if (error instanceof TransientDatabaseError && STATEMENT_TOO_LONG.has(error.errno)) return [];
    throw error;
  });
  return Number(row?.['n'] ?? 0);
}

/**
 * Windows walk the primary key: inside the tenant where an index leads with the tenant and continues with
 * the key (InnoDB appends it), else over the whole table with the tenant as a filter.
 */
function tenantIndex({ table, tenancy }: TrackedTable): string | null {
  if (tenancy.kind !== 'column') return null;
  const key = table.primary.map((column) => column.name);
  if (key[0] === tenancy.column) return 'PRIMARY';
  const index = table.indexes.find((candidate) => {
    const [first, ...rest] = candidate.columns;
    return (
      !candidate.prefixed &&
      first === tenancy.column &&
      rest.every((column, position) => column === key[position])
    );
  });
  return index?.name ?? null;
}

async function windowEnd(
  pair: Pair,
  tracked: TrackedTable,
  tenant: string,
  after: string | null,
  rows: number,
): Promise<string | null> {
  const { table } = tracked;
  const index = tenantIndex(tracked);
  const conditions = [
    ...(index === null ? [] : [ownedBy(tracked, 't', tenant)]),
    ...(after === null ? [] : [afterKey(table, 't', after)]),
  ];
  const [row] = await pair.source.rows(
    `SELECT ${keySql(table, 't')} AS row_key FROM ${qualified(table.schema, table.name)} t FORCE INDEX (${ident(index ?? 'PRIMARY')})
     WHERE ${conditions.join(' AND ') || 'TRUE'} ORDER BY ${list(table.primary.map((column) => `t.${ident(column.name)}`))} LIMIT 1 OFFSET ${rows - 1}`,
  );
  return row?.['row_key'] ?? null;
}

function windowWhere(
  tracked: TrackedTable,
  row: string,
  tenant: string,
  { after, end }: { readonly after: string | null; readonly end: string | null },
): string {
  return [
    ownedBy(tracked, row, tenant),
    ...(after === null ? [] : [afterKey(tracked.table, row, after)]),
    ...(end === null ? [] : [upToKey(tracked.table, row, end)]),
  ].join(' AND ');
}

const ATTEMPTS = 8;

async function copyWindow(
  pair: Pair,
  tracked: Tracked,
  slice: CopySlice,
  cursor: CopyCursor,
  rows: number,
): Promise<CopyCursor> {
  const source = tracked.source(slice.tableId);
  const end = await windowEnd(pair, source, slice.tenant, cursor.afterKey, rows);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const images: RawRow[] = [];
    try {
      return await pair.target.transaction(async (target) => {
        await shareTenant(target, pair.control, slice.tenant);
        images.push(...(await readWindow(pair.source, source, slice.tenant, cursor.afterKey, end)));
        const side = tracked.target(slice.tableId);
        await replaceWindow(target, side, slice.tenant, { after: cursor.afterKey, end }, images);
        const next = {
          ...cursor,
          afterKey: end ?? cursor.afterKey,
          copiedRows: cursor.copiedRows + images.length,
          finished: end === null,
        };
        await writeCursor(target, pair, slice, next);
        return next;
      });
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.errno !== 1062) throw error;
      await freeUniqueValues(pair, tracked, slice, images);
    }
  }
  throw new TransientDatabaseError(
    `target: unique values of ${source.table.name} kept moving during ${ATTEMPTS} attempts`,
  );
}

/** @returns the key, then the values of each row */
async function readWindow(
  source: Database,
  tracked: TrackedTable,
  tenant: string,
  after: string | null,
  end: string | null,
): Promise<RawRow[]> {
  const { table } = tracked;
  return source.raw(
    `SELECT ${keySql(table, 't')}, ${selectImage(table, 't')} FROM ${qualified(table.schema, table.name)} t FORCE INDEX (${ident(tenantIndex(tracked) ?? 'PRIMARY')})
     ${joinChain(tracked, 't', 'JOIN')} WHERE ${windowWhere(tracked, 't', tenant, { after, end })}`,
  );
}

async function replaceWindow(
  target: Session,
  tracked: TrackedTable,
  tenant: string,
  range: { readonly after: string | null; readonly end: string | null },
  rows: readonly RawRow[],
): Promise<void> {
  const { table } = tracked;
  const name = qualified(table.schema, table.name);
  await target.write(
    `DELETE ${name} FROM ${name} ${joinChain(tracked, name, 'JOIN')} WHERE ${windowWhere(tracked, name, tenant, range)}`,
  );
  await insertImages(
    target,
    table,
    rows.map(([, ...values]) => values),
  );
}

async function writeCursor(
  target: Session,
  pair: Pair,
  { tenant, round }: CopySlice,
  cursor: CopyCursor,
): Promise<void> {
  const key = cursor.afterKey === null ? 'NULL' : keyLiteral(cursor.afterKey);
  await target.run(
    `REPLACE INTO ${cursorTable(pair)} (tenant, table_id, part, round, after_key, end_key, copied_rows, estimated_rows, finished, updated_at)
     VALUES (${tenantLiteral(tenant)}, ${cursor.tableId}, 0, ${round}, ${key}, NULL, ${cursor.copiedRows}, ${cursor.estimatedRows}, ${cursor.finished ? 1 : 0}, NOW(6))`,
  );
}

/** The rows in the way are mirrored first, under their own tenants' locks: then the source has moved their values on. */
async function freeUniqueValues(
  pair: Pair,
  tracked: Tracked,
  slice: CopySlice,
  images: readonly RawRow[],
): Promise<void> {
  const keys = new Set(images.map(([key]) => key!.toString('latin1')));
  const holders = await uniqueHolders(pair, tracked.target(slice.tableId), keys);
  await converge(pair, tracked, {
    tenants: [...new Set([slice.tenant, ...holders.map((holder) => holder.tenant)])],
    journal: null,
    keys: new Map([[slice.tableId, new Set(holders.map((holder) => holder.key))]]),
  });
}
