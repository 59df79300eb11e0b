/** Evidence of reconcile, in the source's control schema: passes, windows, drift. Keys and hashes, never values. */
import type { Milliseconds } from '../domain/duration.ts';
import { modeOf } from './capture-mode.ts';
import type { WindowDigest } from './digest.ts';
import type { ExecutorName } from './executor.ts';
import { keyLiteral } from './journal-rows.ts';
import { list, literal, qualified, tenantLiteral } from './sql.ts';
import type { Pair, Tracked } from './tracked.ts';
import type { FoundDrift } from './verdict.ts';
import type { Bounds } from './windows.ts';

export interface PassCounts {
  readonly windows: number;
  readonly rows: number;
  readonly suspects: number;
  readonly inFlight: number;
  /** Never stood still: not verified. */
  readonly hot: number;
  readonly repaired: number;
  readonly drifted: number;
}

export interface PassPosition {
  /** Which of the tenant's tables, in their order. */
  readonly table: number;
  readonly from: string | null;
  /** Rows of the next window; null: not known yet. */
  readonly rows: number | null;
  readonly seq: number;
}

export interface Pass {
  readonly id: number;
  readonly tenant: string;
  readonly startedAt: string;
  readonly position: PassPosition;
  readonly counts: PassCounts;
  readonly clean: boolean | null;
}

const START: PassPosition = { table: 0, from: null, rows: null, seq: 0 };

/** The pass that is under way, or a new one. */
export async function openPass(pair: Pair, tenant: string): Promise<Pass> {
  const table = qualified(pair.control, 'pass');
  const select = `SELECT id, started_at, position, windows, row_count, suspects, in_flight, hot, repaired, drifted FROM ${table}
                  WHERE tenant = ${tenantLiteral(tenant)} AND ended_at IS NULL ORDER BY id DESC LIMIT 1`;
  let [row] = await pair.source.rows(select);
  if (row === undefined) {
    await pair.source.run(
      `INSERT INTO ${table} (tenant, started_at) VALUES (${tenantLiteral(tenant)}, NOW(6))`,
    );
    [row] = await pair.source.rows(select);
  }
  return {
    id: Number(row!['id']),
    tenant,
    startedAt: row!['started_at']!,
    position: row!['position'] === null ? START : (JSON.parse(row!['position']!) as PassPosition),
    counts: {
      windows: Number(row!['windows']),
      rows: Number(row!['row_count']),
      suspects: Number(row!['suspects']),
      inFlight: Number(row!['in_flight']),
      hot: Number(row!['hot']),
      repaired: Number(row!['repaired']),
      drifted: Number(row!['drifted']),
    },
    clean: null,
  };
}

/** A pass that began before a backfill or a change of tables proves nothing: it is closed as not clean. */
export async function abandonPass(pair: Pair, tenant: string): Promise<void> {
  await pair.source.run(
    `UPDATE ${qualified(pair.control, 'pass')} SET ended_at = NOW(6), clean = 0 WHERE tenant = ${tenantLiteral(tenant)} AND ended_at IS NULL`,
  );
}

export async function savePosition(pair: Pair, pass: Pass): Promise<void> {
  await pair.source.run(
    `UPDATE ${qualified(pair.control, 'pass')} SET ${counters(pass)}, position = ? WHERE id = ${pass.id}`,
    [JSON.stringify(pass.position)],
  );
}

export async function finishPass(pair: Pair, pass: Pass): Promise<Pass> {
  const clean = pass.counts.drifted === 0 && pass.counts.repaired === 0 && pass.counts.hot === 0;
  await pair.source.run(
    `UPDATE ${qualified(pair.control, 'pass')} SET ${counters(pass)}, ended_at = NOW(6), clean = ${clean ? 1 : 0} WHERE id = ${pass.id}`,
  );
  return { ...pass, clean };
}

const counters = ({ counts }: Pass): string =>
  `windows = ${counts.windows}, row_count = ${counts.rows}, suspects = ${counts.suspects}, in_flight = ${counts.inFlight}, hot = ${counts.hot}, repaired = ${counts.repaired}, drifted = ${counts.drifted}`;

export interface WindowEvidence {
  readonly tableId: number;
  readonly bounds: Bounds;
  readonly source: WindowDigest;
  readonly target: WindowDigest;
  readonly executor: ExecutorName;
  /** How long both sides took, from the first statement on. */
  readonly took: Milliseconds;
}

export async function recordWindow(pair: Pair, pass: Pass, window: WindowEvidence): Promise<void> {
  const { tableId, bounds, source, target, executor, took } = window;
  const text = `(${bounds.from ?? '-inf'}, ${bounds.to ?? '+inf'})`.slice(0, 2_000);
  await pair.source.run(
    `REPLACE INTO ${qualified(pair.control, 'pass_window')} (pass_id, seq, table_id, bounds, source_rows, target_rows, source_digest, target_digest, executor, at, started_at)
     VALUES (${pass.id}, ${pass.position.seq}, ${tableId}, ${literal(text)}, ${source.rows}, ${target.rows}, '${source.digest}', '${target.digest}', '${executor}',
     NOW(6), NOW(6) - INTERVAL ${Math.round(took * 1_000)} MICROSECOND)`,
  );
}

/** Rows of one pass, table and class that are kept one by one; of the others only their number. */
export const DRIFT_KEPT = 1_000;

export interface DriftPolicy {
  readonly repaired: boolean;
  readonly again: Milliseconds;
}

/**
 * Drift of one class and table, as a batch of verdicts found it.
 *
 * @returns how many of them are on record now and were not before
 */
export async function recordDrift(
  pair: Pair,
  pass: Pass,
  tableId: number,
  drifts: readonly FoundDrift[],
  policy: DriftPolicy,
): Promise<number> {
  const [first] = drifts;
  if (first === undefined) return 0;
  const table = qualified(pair.control, 'drift');
  const tenant = tenantLiteral(pass.tenant);
  const same = `tenant = ${tenant} AND class = '${first.class}'`;
  const known = await pair.source.rows(
    `SELECT row_key FROM ${table} WHERE ${same} AND table_id = ${tableId} AND repaired_at IS NULL AND row_key IN (${list(drifts.map(({ judged }) => keyLiteral(judged.key)))})`,
  );
  const open = new Set(known.map((row) => row['row_key']!));
  const fresh = drifts.filter(({ judged }) => !open.has(judged.key));
  const kept = fresh.slice(0, await roomFor(pair, pass, tableId, same, first.class));
  if (kept.length > 0) {
    const [earlier] = await pair.source.rows(
      `SELECT COUNT(*) AS n FROM ${table} WHERE ${same} AND pass_id < ${pass.id} AND found_at > NOW(6) - INTERVAL ${policy.again * 1_000} MICROSECOND`,
    );
    const recurred = first.class === 'missing' && Number(earlier!['n']) > 0;
    const repaired = policy.repaired ? "NOW(6), 'policy'" : 'NULL, NULL';
    const rows = kept.map(
      ({ judged, look }) =>
        `(${tenant}, ${tableId}, ${keyLiteral(judged.key)}, '${first.class}', ${literal(judged.columns.join(', ').slice(0, 2_000))}, ${literal(judged.sourceHash)},
          ${literal(judged.targetHash)}, ${pass.id}, ${repaired}, ${recurred ? 1 : 0}, ${literal(JSON.stringify({ look, ...judged.inputs }))})`,
    );
    await pair.source.run(
      `INSERT INTO ${table} (tenant, table_id, row_key, class, columns_differing, source_hash, target_hash, pass_id, repaired_at, repaired_by, recurred, inputs) VALUES ${list(rows)}`,
    );
  }
  await pair.source.run(
    `INSERT INTO ${qualified(pair.control, 'pass_drift')} VALUES (${pass.id}, ${tableId}, '${first.class}', ${drifts.length}, ${kept.length})
     ON DUPLICATE KEY UPDATE found = found + ${drifts.length}, kept = kept + ${kept.length}`,
  );
  return kept.length;
}

/** Open rows count too, whichever pass found them: a table that stays wrong must not fill the ledger. */
async function roomFor(pair: Pair, pass: Pass, tableId: number, same: string, kind: string): Promise<number> {
  const [row] = await pair.source.rows(
    `SELECT (SELECT kept FROM ${qualified(pair.control, 'pass_drift')} WHERE pass_id = ${pass.id} AND table_id = ${tableId} AND class = '${kind}') AS kept,
            (SELECT COUNT(*) FROM ${qualified(pair.control, 'drift')} WHERE ${same} AND table_id = ${tableId} AND repaired_at IS NULL) AS open_rows`,
  );
  return Math.max(0, DRIFT_KEPT - Math.max(Number(row?.['kept'] ?? 0), Number(row?.['open_rows'])));
}

export interface DriftRow {
  readonly id: number;
  readonly tableId: number;
  readonly key: string;
  readonly class: string;
  readonly columns: string;
  readonly sourceHash: string | null;
  readonly targetHash: string | null;
  readonly foundAt: string;
  readonly repairedAt: string | null;
  readonly verifiedAt: string | null;
  readonly recurred: boolean;
}

/** @param open only what nobody repaired yet */
export async function readDrift(pair: Pair, tenant: string, open: boolean, limit = 100): Promise<DriftRow[]> {
  const rows = await pair.source.rows(
    `SELECT id, table_id, row_key, class, columns_differing, source_hash, target_hash, found_at, repaired_at, verified_at, recurred
     FROM ${qualified(pair.control, 'drift')} WHERE tenant = ${tenantLiteral(tenant)}${open ? ' AND repaired_at IS NULL' : ''} ORDER BY id DESC LIMIT ${limit}`,
  );
  return rows.map((row) => ({
    id: Number(row['id']),
    tableId: Number(row['table_id']),
    key: row['row_key']!,
    class: row['class']!,
    columns: row['columns_differing'] ?? '',
    sourceHash: row['source_hash'] ?? null,
    targetHash: row['target_hash'] ?? null,
    foundAt: row['found_at']!,
    repairedAt: row['repaired_at'] ?? null,
    verifiedAt: row['verified_at'] ?? null,
    recurred: row['recurred'] === '1',
  }));
}

export async function markRepaired(pair: Pair, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  await pair.source.run(
    `UPDATE ${qualified(pair.control, 'drift')} SET repaired_at = NOW(6), repaired_by = 'operator' WHERE id IN (${ids.join(', ')})`,
  );
}

/** A new backfill replaces every row: what was open counts as repaired, and unverified until a pass reads it equal. */
export async function supersedeDrift(pair: Pair, tenant: string): Promise<void> {
  await pair.source.run(
    `UPDATE ${qualified(pair.control, 'drift')} SET repaired_at = NOW(6), repaired_by = 'backfill' WHERE tenant = ${tenantLiteral(tenant)} AND repaired_at IS NULL`,
  );
}

/** A repaired row counts as unverified until a pass that began later reads it equal. */
export async function verifyRepaired(pair: Pair, tracked: Tracked, pass: Pass): Promise<void> {
  const rows = await pair.source.rows(
    `SELECT id, table_id, row_key FROM ${qualified(pair.control, 'drift')} WHERE tenant = ${tenantLiteral(pass.tenant)}
     AND repaired_at IS NOT NULL AND verified_at IS NULL AND repaired_at < ? ORDER BY table_id LIMIT 1000`,
    [pass.startedAt],
  );
  for (const row of rows) {
    const [judged] = await modeOf(tracked).compare(pair, tracked, {
      tenant: pass.tenant,
      tableId: Number(row['table_id']),
      keys: [row['row_key']!],
    });
    if (judged?.verdict.kind !== 'equal') continue;
    await pair.source.run(
      `UPDATE ${qualified(pair.control, 'drift')} SET verified_at = NOW(6) WHERE id = ${row['id']!}`,
    );
  }
}
