/**
 * Reconcile: one pass over every window of a tenant, both sides digested at once.
 *
 * Equal digests: next. Otherwise both sides list (key, hash), the suspects get a verdict, and the policy in
 * `src/domain/drift.ts` says what follows. The position of the pass is in the ledger, so a slice that dies
 * is taken up by the next one. A pass that drifted or repaired anything is not clean.
 */
import { DRIFT_POLICY } from '../domain/drift.ts';
import type { Milliseconds } from '../domain/duration.ts';
import type { Limits } from '../domain/plan.ts';
import { nextWindowRows } from '../domain/window.ts';
import { tablesOf } from './backfill.ts';
import type { Database } from './database.ts';
import type { WindowDigest } from './digest.ts';
import type { RowsQuery } from './executor.ts';
import { executorOf } from './executors.ts';
import { keySql } from './keys.ts';
import {
  finishPass,
  openPass,
  recordDrift,
  recordWindow,
  savePosition,
  verifyRepaired,
  type Pass,
  type PassCounts,
} from './ledger.ts';
import { assertShapes, explained, SIDES } from './shapes.ts';
import { ident, qualified } from './sql.ts';
import { joinChain, ownedBy, type TrackedTable } from './tenancy.ts';
import type { Pair, Tracked } from './tracked.ts';
import { judgeHot, judgeKeys, repairKeys, type Judged } from './verdict.ts';
import { BY_VERDICT, noteTimeChange, timeChanged } from './time-windows.ts';
import { cutter, type Bounds } from './windows.ts';

export interface ReconcileSlice {
  readonly tenant: string;
  readonly limits: Limits;
  readonly missingAgain: Milliseconds;
  /** Called after every window; throws to stop. */
  readonly progress: (pass: Pass) => void;
  readonly until: () => boolean;
}

export interface SliceResult {
  readonly pass: Pass;
  readonly finished: boolean;
  /** Did a verdict stop the line in this slice? */
  readonly stopped: boolean;
  /** Drift that stops the line and was not on record before. */
  readonly fresh: number;
}

const INITIAL_ROWS = 2_000;

export async function reconcileSlice(
  pair: Pair,
  tracked: Tracked,
  slice: ReconcileSlice,
): Promise<SliceResult> {
  let pass = await openPass(pair, slice.tenant);
  const tables = tablesOf(tracked, slice.tenant);
  let stopped = false;
  let fresh = 0;
  while (!slice.until()) {
    const table = tables[pass.position.table];
    if (table === undefined) {
      await verifyRepaired(pair, tracked, pass);
      return { pass: await finishPass(pair, pass), finished: true, stopped, fresh };
    }
    const outcome = await reconcileWindow(pair, tracked, slice, pass, table).catch((error: unknown) =>
      explained(pair, tracked, [table.id], error),
    );
    pass = outcome.pass;
    stopped ||= outcome.stopped;
    fresh += outcome.fresh;
    await savePosition(pair, pass);
    slice.progress(pass);
  }
  return { pass, finished: false, stopped, fresh };
}

async function reconcileWindow(
  pair: Pair,
  tracked: Tracked,
  slice: ReconcileSlice,
  pass: Pass,
  table: TrackedTable,
): Promise<{ pass: Pass; stopped: boolean; fresh: number }> {
  const { position } = pass;
  const cut = cutter(table, slice.tenant, await isTimeChanged(pair, table));
  const rows = position.rows ?? Math.min(INITIAL_ROWS, slice.limits.windowRows);
  const from = cut.resume(position.from);
  const { to, index } = await cut.cut(pair.source, from, rows);
  const bounds: Bounds = { from, to };
  const started = Date.now();
  const query =
    (side: TrackedTable): RowsQuery =>
    (select) =>
      windowSql(side, slice.tenant, { where: cut.where(bounds), index }, select);
  const executor = await executorOf(pair, tracked, table.id);
  const there = tracked.target(table.id);
  const [source, target] = await Promise.all([
    executor.digest(pair.source, table, query(table)),
    executor.digest(pair.target, there, query(there)),
  ]);
  const took = Date.now() - started;
  await Promise.all(
    SIDES.map((side) => assertShapes(pair, tracked, { on: pair[side], side, ids: [table.id] })),
  );
  const { name } = executor;
  await recordWindow(pair, pass, { tableId: table.id, bounds, source, target, executor: name, took });
  const found = same(source, target)
    ? NOTHING
    : await drillDown(pair, tracked, slice, { pass, table, query });
  // A row that moved meanwhile may have left a window before it was read for one that was: by key, from the start.
  const again = to === null && cut.by === 'time' && (await isTimeChanged(pair, table));
  const next = {
    ...pass,
    counts: addCounts(pass.counts, { ...found.counts, windows: 1, rows: source.rows }),
    position: {
      table: bounds.to === null && !again ? position.table + 1 : position.table,
      from: bounds.to,
      rows:
        bounds.to === null
          ? null
          : nextWindowRows(rows, took, {
              targetMs: slice.limits.windowTarget,
              rowsMax: slice.limits.windowRows,
            }),
      seq: position.seq + 1,
    },
  };
  return { pass: next, stopped: found.stopped, fresh: found.fresh };
}

const same = (a: WindowDigest, b: WindowDigest): boolean => a.rows === b.rows && a.digest === b.digest;

const isTimeChanged = async (pair: Pair, { id, time }: TrackedTable): Promise<boolean> =>
  time !== null && (await timeChanged(pair, id)) !== null;

function windowSql(
  side: TrackedTable,
  tenant: string,
  { where, index }: { readonly where: string; readonly index: string },
  select: string,
): string {
  const from = `${qualified(side.table.schema, side.table.name)} t FORCE INDEX (${ident(index)})`;
  return `SELECT ${select} FROM ${from} ${joinChain(side, 't', 'JOIN')} WHERE ${ownedBy(side, 't', tenant)} AND ${where}`;
}

const ZERO: PassCounts = { windows: 0, rows: 0, suspects: 0, inFlight: 0, repaired: 0, drifted: 0 };
const NOTHING = { counts: ZERO, stopped: false, fresh: 0 };

function addCounts(a: PassCounts, b: PassCounts): PassCounts {
  return {
    windows: a.windows + b.windows,
    rows: a.rows + b.rows,
    suspects: a.suspects + b.suspects,
    inFlight: a.inFlight + b.inFlight,
    repaired: a.repaired + b.repaired,
    drifted: a.drifted + b.drifted,
  };
}

const JUDGED_AT_ONCE = 100;
const DRIFT_POLICIES = Object.entries(DRIFT_POLICY);

interface SuspectWindow {
  readonly pass: Pass;
  readonly table: TrackedTable;
  readonly query: (side: TrackedTable) => RowsQuery;
}

/** Lists both sides of the window and judges what differs; everything from here on works on keys alone. */
async function drillDown(
  pair: Pair,
  tracked: Tracked,
  slice: ReconcileSlice,
  { pass, table, query }: SuspectWindow,
): Promise<{ counts: PassCounts; stopped: boolean; fresh: number }> {
  const executor = await executorOf(pair, tracked, table.id);
  const list = async (db: Database, side: TrackedTable): Promise<Map<string, string>> => {
    const beside = [keySql(side.table, 't')];
    const rows = await executor.hashes(db, side, { rows: query(side), beside, parts: 'row' });
    return new Map(rows.map((row) => [row.beside[0]!, row.hashes[0]!]));
  };
  const [source, target] = await Promise.all([
    list(pair.source, table),
    list(pair.target, tracked.target(table.id)),
  ]);
  const suspects = [...new Set([...source.keys(), ...target.keys()])].filter(
    (key) => source.get(key) !== target.get(key),
  );
  let counts = { ...ZERO, suspects: suspects.length };
  let stopped = false;
  let fresh = 0;
  for (let at = 0; at < suspects.length; at += JUDGED_AT_ONCE) {
    const judged = await judgeBatch(
      pair,
      tracked,
      slice.tenant,
      table.id,
      suspects.slice(at, at + JUDGED_AT_ONCE),
    );
    counts = { ...counts, inFlight: counts.inFlight + judged.inFlight };
    for (const [kind, policy] of DRIFT_POLICIES) {
      const drifts = judged.drifts.filter((one) => one.class === kind);
      if (drifts.length === 0) continue;
      const { time } = table;
      if (time !== null && drifts.some((one) => one.judged.columns.includes(time)))
        await noteTimeChange(pair, table.id, BY_VERDICT);
      const unknown = await recordDrift(pair, pass, table.id, drifts, {
        repaired: policy.repair,
        again: slice.missingAgain,
      });
      const keys = drifts.map((one) => one.judged.key);
      if (policy.repair) await repairKeys(pair, tracked, slice.tenant, table.id, keys);
      counts = {
        ...counts,
        repaired: counts.repaired + (policy.repair ? drifts.length : 0),
        drifted: counts.drifted + drifts.length,
      };
      stopped ||= policy.stopsLine;
      fresh += policy.stopsLine ? unknown : 0;
    }
  }
  return { counts, stopped, fresh };
}

export interface FoundDrift {
  readonly class: 'missing' | 'different' | 'extra';
  readonly judged: Judged;
  /** At which look it was proven; the earlier ones found the key in flight. */
  readonly look: number;
}

const LOOKS = 3;

/** In flight is looked at again; a key that stays in flight is mirrored and compared as it is written. */
async function judgeBatch(
  pair: Pair,
  tracked: Tracked,
  tenant: string,
  tableId: number,
  keys: readonly string[],
): Promise<{ drifts: FoundDrift[]; inFlight: number }> {
  const drifts: FoundDrift[] = [];
  let open = keys;
  let inFlight = 0;
  for (let look = 1; look <= LOOKS && open.length > 0; look += 1) {
    const judged =
      look < LOOKS
        ? await judgeKeys(pair, tracked, tenant, tableId, open)
        : await judgeHot(pair, tracked, tenant, tableId, open);
    for (const one of judged) {
      if (one.verdict.kind === 'drift') drifts.push({ class: one.verdict.class, judged: one, look });
    }
    open = judged.filter((one) => one.verdict.kind === 'in-flight').map((one) => one.key);
    if (look === 1) inFlight = open.length;
  }
  return { drifts, inFlight };
}
