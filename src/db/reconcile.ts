/**
 * Reconcile: one pass over every window of a tenant, both sides digested at once.
 *
 * Equal digests: next. Otherwise both sides list (key, hash), the suspects get a verdict, and the policy in
 * `src/domain/drift.ts` says what follows. The position of the pass is in the ledger, so a slice that dies
 * is taken up by the next one. A pass that drifted or repaired anything is not clean.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { DRIFT_POLICY } from '../domain/drift.ts';
import { SECOND, type Milliseconds } from '../domain/duration.ts';
import type { Limits } from '../domain/plan.ts';
import { nextWindowRows } from '../domain/window.ts';
import { tablesOf } from './backfill.ts';
import { modeOf } from './capture-mode.ts';
import type { Database } from './database.ts';
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
import { Pace } from './pace.ts';
import type { TrackedTable } from './tenancy.ts';
import type { Pair, Tracked } from './tracked.ts';
import { Throttle } from './throttle.ts';
import { BY_VERDICT, noteTimeChange } from './time-windows.ts';
import { isTimeChanged, partsOf, same, WindowQueue, type Window } from './window-queue.ts';

export interface ReconcileSlice {
  readonly tenant: string;
  readonly limits: Limits;
  readonly missingAgain: Milliseconds;
  /** Capture `application`: how long both sides must have stood still before a difference is drift. */
  readonly settle?: Milliseconds;
  /** Called after every window; throws to stop. */
  readonly progress: (pass: Pass, why: string | null) => void;
  readonly until: () => boolean;
  /** Rows a second, read again before every window; without one, or 0: no limit. */
  readonly pace?: () => Promise<number>;
  /** Of the worker; without one the slice looks for itself. */
  readonly throttle?: Throttle;
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
const HELD_STEP: Milliseconds = 500;

export async function reconcileSlice(
  pair: Pair,
  tracked: Tracked,
  slice: ReconcileSlice,
): Promise<SliceResult> {
  let pass = await openPass(pair, slice.tenant);
  const tables = tablesOf(tracked, slice.tenant);
  const windows = new WindowQueue(pair, tracked, slice);
  const throttle = slice.throttle ?? new Throttle(pair);
  const pace = new Pace(slice.pace ?? (() => Promise.resolve(0)));
  let stopped = false;
  let fresh = 0;
  try {
    while (!slice.until()) {
      const why = (await throttle.why(slice.limits, 'reconcile')) ?? (await pace.why());
      if (why !== null) {
        slice.progress(pass, why);
        await sleep(HELD_STEP);
        continue;
      }
      const table = tables[pass.position.table];
      if (table === undefined) {
        await verifyRepaired(pair, tracked, pass);
        return { pass: await finishPass(pair, pass), finished: true, stopped, fresh };
      }
      const outcome = await reconcileWindow(pair, tracked, slice, { pass, table, windows, throttle }).catch(
        (error: unknown) => explained(pair, tracked, [table.id], error),
      );
      pace.spent(outcome.pass.counts.rows - pass.counts.rows);
      pass = outcome.pass;
      stopped ||= outcome.stopped;
      fresh += outcome.fresh;
      slice.progress(pass, null);
    }
    return { pass, finished: false, stopped, fresh };
  } finally {
    await windows.settled();
  }
}

interface Turn {
  readonly pass: Pass;
  readonly table: TrackedTable;
  readonly windows: WindowQueue;
  readonly throttle: Throttle;
}

async function reconcileWindow(
  pair: Pair,
  tracked: Tracked,
  slice: ReconcileSlice,
  { pass, table, windows, throttle }: Turn,
): Promise<{ pass: Pass; stopped: boolean; fresh: number }> {
  const { position } = pass;
  const rows = position.rows ?? Math.min(INITIAL_ROWS, slice.limits.reconcileRows);
  const window = await windows.next(table, position.from, rows);
  const { bounds, cut } = window;
  const { source, target, took, tookOn } = await window.digests;
  for (const side of SIDES)
    throttle.took({
      side,
      what: `the digest of ${table.table.name}`,
      tenant: slice.tenant,
      ms: tookOn[side],
      rows: window.rows,
    });
  await Promise.all(
    SIDES.map((side) => assertShapes(pair, tracked, { on: pair[side], side, ids: [table.id] })),
  );
  const evidence = { tableId: table.id, bounds, source, target, executor: window.executor.name, took };
  const found = same(source, target) ? NOTHING : await drillDown(pair, tracked, slice, { pass, window });
  // A row that moved meanwhile may have left a window before it was read for one that was: by key, from the start.
  const again = bounds.to === null && cut.by === 'time' && (await isTimeChanged(pair, table));
  const next = {
    ...pass,
    counts: addCounts(pass.counts, { ...found.counts, windows: 1, rows: source.rows }),
    position: {
      table: bounds.to === null && !again ? position.table + 1 : position.table,
      from: bounds.to,
      rows:
        bounds.to === null
          ? null
          : nextWindowRows(window.rows, took, {
              targetMs: slice.limits.windowTarget,
              rowsMax: slice.limits.reconcileRows,
            }),
      seq: position.seq + 1,
    },
  };
  await Promise.all([recordWindow(pair, pass, evidence), savePosition(pair, next)]);
  return { pass: next, stopped: found.stopped, fresh: found.fresh };
}

const ZERO: PassCounts = {
  windows: 0,
  rows: 0,
  suspects: 0,
  inFlight: 0,
  hot: 0,
  repaired: 0,
  drifted: 0,
};
interface Found {
  readonly counts: PassCounts;
  readonly stopped: boolean;
  readonly fresh: number;
}

const NOTHING: Found = { counts: ZERO, stopped: false, fresh: 0 };

function addCounts(a: PassCounts, b: PassCounts): PassCounts {
  return {
    windows: a.windows + b.windows,
    rows: a.rows + b.rows,
    suspects: a.suspects + b.suspects,
    inFlight: a.inFlight + b.inFlight,
    hot: a.hot + b.hot,
    repaired: a.repaired + b.repaired,
    drifted: a.drifted + b.drifted,
  };
}

/** As the plan's default. */
const SETTLE: Milliseconds = 5 * SECOND;
const DRIFT_POLICIES = Object.entries(DRIFT_POLICY);

interface SuspectWindow {
  readonly pass: Pass;
  readonly window: Window;
}

/** Rows of a list of (key, hash): a larger window is cut into such, and digested once more. */
const LISTED_ROWS = 10_000;

async function drillDown(
  pair: Pair,
  tracked: Tracked,
  slice: ReconcileSlice,
  { pass, window }: SuspectWindow,
): Promise<Found> {
  if (window.rows <= LISTED_ROWS) return judgeWindow(pair, tracked, slice, { pass, window });
  let found: Found = NOTHING;
  for await (const part of partsOf(pair, tracked, window, LISTED_ROWS)) {
    const { source, target } = await part.digests;
    if (same(source, target)) continue;
    const inPart = await judgeWindow(pair, tracked, slice, { pass, window: part });
    found = {
      counts: addCounts(found.counts, inPart.counts),
      stopped: found.stopped || inPart.stopped,
      fresh: found.fresh + inPart.fresh,
    };
  }
  return found;
}

/** Lists both sides of the window and judges what differs; everything from here on works on keys alone. */
async function judgeWindow(
  pair: Pair,
  tracked: Tracked,
  slice: ReconcileSlice,
  { pass, window: { table, query, executor } }: SuspectWindow,
): Promise<Found> {
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
  const mode = modeOf(tracked);
  const { tenant } = slice;
  let counts = { ...ZERO, suspects: suspects.length };
  let stopped = false;
  let fresh = 0;
  for (let at = 0; at < suspects.length; at += mode.judgedAtOnce) {
    const judged = await mode.judge(pair, tracked, {
      tenant,
      tableId: table.id,
      keys: suspects.slice(at, at + mode.judgedAtOnce),
      settle: slice.settle ?? SETTLE,
      beat: () => slice.progress(pass, 'a verdict settles'),
    });
    counts = addCounts(counts, { ...ZERO, inFlight: judged.inFlight, hot: judged.hot });
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
      const repair = { tenants: [tenant], tableId: table.id, keys };
      if (policy.repair) await mode.repairMissing(pair, tracked, repair);
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
