/**
 * How far a tenant's copy is: one row on the target for each part of a table, moved on in the transaction
 * that wrote the rows. A part is a key range, so that lanes can copy one big table side by side.
 */
import { TransientDatabaseError } from '../domain/errors.ts';
import { keyLiteral } from './journal-rows.ts';
import type { Database, Session } from './database.ts';
import { afterKey, keySql } from './keys.ts';
import { ident, list, qualified, tenantLiteral } from './sql.ts';
import { joinChain, ownedBy, type TrackedTable } from './tenancy.ts';
import type { Pair } from './tracked.ts';

/** A part of a table: the keys in `(afterKey, endKey]` are still to be copied. */
export interface CopyCursor {
  readonly tableId: number;
  readonly part: number;
  /** Null: from the first key. */
  readonly afterKey: string | null;
  /** Null: to the last key, whatever comes to be there. */
  readonly endKey: string | null;
  readonly copiedRows: number;
  readonly estimatedRows: number;
  readonly finished: boolean;
}

export interface CopyRun {
  readonly tenant: string;
  readonly round: number;
}

/** A table's parts together. */
export interface TableProgress {
  readonly tableId: number;
  readonly copiedRows: number;
  readonly estimatedRows: number;
  readonly finished: boolean;
}

const cursorTable = (pair: Pair): string => qualified(pair.control, 'backfill_cursor');

const ofRun = ({ tenant, round }: CopyRun): string =>
  `tenant = ${tenantLiteral(tenant)} AND round = ${round}`;

export async function readCursors(pair: Pair, tenant: string, round: number): Promise<CopyCursor[]> {
  const rows = await pair.target.rows(
    `SELECT table_id, part, after_key, end_key, copied_rows, estimated_rows, finished FROM ${cursorTable(pair)}
     WHERE ${ofRun({ tenant, round })} ORDER BY table_id, part`,
  );
  return rows.map((row) => ({
    tableId: Number(row['table_id']),
    part: Number(row['part']),
    afterKey: row['after_key'] ?? null,
    endKey: row['end_key'] ?? null,
    copiedRows: Number(row['copied_rows']),
    estimatedRows: Number(row['estimated_rows']),
    finished: row['finished'] === '1',
  }));
}

export async function readProgress(pair: Pair, tenant: string, round: number): Promise<TableProgress[]> {
  const cursors = await readCursors(pair, tenant, round);
  return [...new Set(cursors.map(({ tableId }) => tableId))].map((tableId) =>
    together(
      tableId,
      cursors.filter((cursor) => cursor.tableId === tableId),
    ),
  );
}

export const together = (tableId: number, parts: readonly CopyCursor[]): TableProgress => ({
  tableId,
  copiedRows: parts.reduce((sum, part) => sum + part.copiedRows, 0),
  estimatedRows: parts.reduce((sum, part) => sum + part.estimatedRows, 0),
  finished: parts.length > 0 && parts.every((part) => part.finished),
});

/** Small parts keep every lane busy to the end; many parts cost a row each. */
const PART_ROWS = 25_000;
const PARTS_MAX = 64;

/**
 * Cuts a table into parts and keeps them: a run that dies takes up the same ones.
 *
 * @param index that leads with the tenant and goes on with the key; null: the table can't be cut for one tenant
 */
export async function planParts(
  pair: Pair,
  tracked: TrackedTable,
  run: CopyRun,
  index: string | null,
): Promise<CopyCursor[]> {
  const rows = await countOwned(pair.source, tracked, run.tenant);
  const size = Math.max(PART_ROWS, Math.ceil(rows / PARTS_MAX));
  const ends =
    index === null ? [] : await boundaries(pair.source, tracked, run.tenant, { index, rows, size });
  const parts = [...ends, null].map((endKey, part): CopyCursor => ({
    tableId: tracked.id,
    part,
    afterKey: ends[part - 1] ?? null,
    endKey,
    copiedRows: 0,
    estimatedRows: endKey === null ? Math.max(0, rows - size * ends.length) : size,
    finished: false,
  }));
  await pair.target.transaction(async (target) => {
    await target.run(
      `DELETE FROM ${cursorTable(pair)} WHERE tenant = ${tenantLiteral(run.tenant)} AND table_id = ${tracked.id}`,
    );
    await target.run(
      `INSERT INTO ${cursorTable(pair)} (tenant, table_id, part, round, after_key, end_key, copied_rows, estimated_rows, finished, updated_at)
       VALUES ${list(parts.map((part) => `(${tenantLiteral(run.tenant)}, ${part.tableId}, ${part.part}, ${run.round}, ${keyOrNull(part.afterKey)}, ${keyOrNull(part.endKey)}, 0, ${part.estimatedRows}, 0, NOW(6))`))}`,
    );
  });
  return parts;
}

const keyOrNull = (key: string | null): string => (key === null ? 'NULL' : keyLiteral(key));

/** The last key of every part but the last, found by walking the index. */
async function boundaries(
  source: Database,
  tracked: TrackedTable,
  tenant: string,
  { index, rows, size }: { readonly index: string; readonly rows: number; readonly size: number },
): Promise<string[]> {
  const { table } = tracked;
  const found: string[] = [];
  while ((found.length + 1) * size < rows && found.length < PARTS_MAX - 1) {
    const last = found.at(-1);
    const [row] = await source.rows(
      `SELECT ${keySql(table, 't')} AS row_key FROM ${qualified(table.schema, table.name)} t FORCE INDEX (${ident(index)})
       WHERE ${ownedBy(tracked, 't', tenant)}${last === undefined ? '' : ` AND ${afterKey(table, 't', last)}`}
       ORDER BY ${list(table.primary.map((column) => `t.${ident(column.name)}`))} LIMIT 1 OFFSET ${size - 1}`,
    );
    if (row === undefined) break;
    found.push(row['row_key']!);
  }
  return found;
}

/** For parts and progress only; 0 where counting takes longer than a statement may. */
async function countOwned(source: Database, tracked: TrackedTable, tenant: string): Promise<number> {
  const { table } = tracked;
  const count = source.rows(
    `SELECT COUNT(*) AS n FROM ${qualified(table.schema, table.name)} t ${joinChain(tracked, 't', 'JOIN')} WHERE ${ownedBy(tracked, 't', tenant)}`,
  );
  const [row] = await count.catch((error: unknown) => {
    if (error instanceof TransientDatabaseError && STATEMENT_TOO_LONG.has(error.errno)) return [];
    throw error;
  });
  return Number(row?.['n'] ?? 0);
}

/** errno of MySQL and of MariaDB. */
const STATEMENT_TOO_LONG = new Set<number | null>([3024, 1969]);

/**
 * Moves a part on, in the transaction that wrote its rows.
 *
 * @throws TransientDatabaseError when it isn't where this run left it: another attempt copies the same part
 */
export async function moveCursor(
  target: Session,
  pair: Pair,
  run: CopyRun,
  { from, to }: { readonly from: CopyCursor; readonly to: CopyCursor },
): Promise<void> {
  const { affectedRows } = await target.run(
    `UPDATE ${cursorTable(pair)} SET after_key = ${keyOrNull(to.afterKey)}, copied_rows = ${to.copiedRows}, finished = ${to.finished ? 1 : 0}, updated_at = NOW(6)
     WHERE ${ofRun(run)} AND table_id = ${from.tableId} AND part = ${from.part} AND after_key <=> ${keyOrNull(from.afterKey)} AND finished = 0`,
  );
  if (affectedRows !== 1)
    throw new TransientDatabaseError('target: another attempt copies the same part; it goes on from there');
}
