/**
 * Verdict and repair where the application mirrors: there is no journal that could say what is in flight.
 *
 * A suspect is read on both sides again and again. Equal: fine. While either side changes, it is in flight. When
 * both stood still for the plan's settle time and still differ, the source row is locked for one round trip to
 * the target and both are read once more: what is on the source is older than the application's deadline, so its
 * target write has ended, and a newer one waits for our lock. Then it is drift. A key that never stands still is
 * hot: not verified, and the pass is not clean. Source: research/reconciliation.md, section E.
 *
 * What no look can see: a row that goes from A to B and back to A between two looks, with its last target write in
 * flight at each of them. The looks come at uneven times.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { SECOND, type Milliseconds } from '../domain/duration.ts';
import { DatabaseError, TransientDatabaseError } from '../domain/errors.ts';
import { UNRESOLVED } from '../domain/stage.ts';
import { deleteRows, IMAGE_BYTES_MAX, ImagesTooLarge, readImages, type Image } from './image-rows.ts';
import type { Session } from './database.ts';
import type { Reader } from './executor.ts';
import { executorOf } from './executors.ts';
import { HELD_ROWS_MAX, holdStill, isBusy, lockKeys, patiently } from './held.ts';
import { uniqueHolders } from './holders.ts';
import { compare, judgeRows, readSide, unmirrored, type Judged } from './judge.ts';
import { writeImages } from './load.ts';
import { admitLocks, lockTenants } from './lock.ts';
import { assertShapes, judged } from './shapes.ts';
import { mirroredTenants } from './stages.ts';
import type { Pair, Tracked } from './tracked.ts';
import type { Findings, FoundDrift, Suspects } from './verdict.ts';

/** Pauses between two looks, as shares of the settle time; the first is short, since most are merely in flight. */
const PAUSES = [0, 1 / 20, 1, 1, 2] as const;
const LOOKED_AT_ONCE = 100;
const CONFIRMED_AT_ONCE = 50;
const STEP: Milliseconds = SECOND;

interface Watched {
  readonly key: string;
  readonly sourceHash: string | null;
  readonly targetHash: string | null;
  /** When both sides were first seen as they are. */
  readonly since: Milliseconds;
}

export async function judgeSettled(pair: Pair, tracked: Tracked, suspects: Suspects): Promise<Findings> {
  const drifts: FoundDrift[] = [];
  let open = new Map<string, Watched | null>(suspects.keys.map((key) => [key, null]));
  let inFlight = 0;
  for (const [at, share] of PAUSES.entries()) {
    if (open.size === 0) break;
    await pause(share * suspects.settle * (1 + Math.random() / 20), suspects.beat);
    const began = performance.now();
    open = await lookAgain(pair, tracked, suspects, open);
    const settled = [...open.values()].filter(
      (watched): watched is Watched => watched !== null && began - watched.since >= suspects.settle,
    );
    for (const judged of await confirm(pair, tracked, suspects, settled)) {
      const { verdict } = judged;
      if (verdict.kind === 'drift') drifts.push({ class: verdict.class, judged, look: at + 1 });
      if (verdict.kind !== 'in-flight') open.delete(judged.key);
    }
    if (share === 0) inFlight = open.size;
  }
  return { drifts, inFlight: inFlight - drifts.length - open.size, hot: open.size };
}

async function pause(time: Milliseconds, beat: () => void): Promise<void> {
  for (let left = time; left > 0; left -= STEP) {
    beat();
    await sleep(Math.min(left, STEP));
  }
}

/** @returns the keys whose sides still differ, with since when they are as they are */
async function lookAgain(
  pair: Pair,
  tracked: Tracked,
  { tableId, beat }: Suspects,
  open: ReadonlyMap<string, Watched | null>,
): Promise<Map<string, Watched | null>> {
  const still = new Map<string, Watched | null>();
  for (const keys of batches([...open.keys()], LOOKED_AT_ONCE)) {
    beat();
    for (const { key, verdict, sourceHash, targetHash } of await look(pair, tracked, tableId, keys)) {
      if (verdict.kind === 'equal') continue;
      const before = open.get(key) ?? null;
      const same = before?.sourceHash === sourceHash && before.targetHash === targetHash;
      still.set(key, same ? before : { key, sourceHash, targetHash, since: performance.now() });
    }
  }
  return still;
}

/** One look at both sides, with nothing locked: only `equal` means anything. */
export async function look(
  pair: Pair,
  tracked: Tracked,
  tableId: number,
  keys: readonly string[],
): Promise<Judged[]> {
  return judgeRows(await readBoth(pair, tracked, { tableId, keys }, pair));
}

async function readBoth(
  pair: Pair,
  tracked: Tracked,
  { tableId, keys }: { readonly tableId: number; readonly keys: readonly string[] },
  { source, target }: { readonly source: Reader; readonly target: Reader },
) {
  const executor = await executorOf(pair, tracked, tableId);
  const before = await readSide(executor, source, tracked.source(tableId), keys);
  const onTarget = await readSide(executor, target, tracked.target(tableId), keys);
  const absent = await unmirrored(pair, [...before.values()]);
  const journaled = new Set<string>();
  return { executor, tableId, keys, source: before, onTarget, absent, journaled, anyOwner: true };
}

/** Reads both sides under the source rows' locks; whoever changed since, or can't be locked now, stays in flight. */
async function confirm(
  pair: Pair,
  tracked: Tracked,
  { tenant, tableId }: Suspects,
  settled: readonly Watched[],
): Promise<Judged[]> {
  const confirmed: Judged[] = [];
  for (const batch of batches(settled, CONFIRMED_AT_ONCE)) {
    const keys = batch.map(({ key }) => key);
    const hold = {
      lockTarget: (target: Session) => lockTenants(target, pair.control, [tenant]),
      lockSource: lockKeys(tracked.source(tableId), keys),
    };
    const judged = await holdStill(pair, hold, async (source, target) => {
      const both = await readBoth(pair, tracked, { tableId, keys }, { source, target });
      return compare(pair, target, tracked, { ...both, how: 'settled', locked: [tenant] });
    }).catch((error: unknown) => {
      if (isBusy(error)) return [];
      throw error;
    });
    judged.forEach((one, index) => {
      const { sourceHash, targetHash } = batch[index]!;
      const moved = one.sourceHash !== sourceHash || one.targetHash !== targetHash;
      confirmed.push(
        moved && one.verdict.kind === 'drift' ? { ...one, verdict: { kind: 'in-flight' } } : one,
      );
    });
  }
  return confirmed;
}

export interface Repair {
  readonly tenants: readonly string[];
  readonly tableId: number;
  readonly keys: readonly string[];
}

/**
 * Inserts what is missing, and nothing else: a duplicate key means that the row arrived meanwhile, or that another
 * row holds its unique value; the next pass compares again.
 */
export const insertMissing = (pair: Pair, tracked: Tracked, repair: Repair): Promise<void> =>
  repairHeld(pair, tracked, repair, async (target, images, { tableId }) => {
    const { table } = tracked.target(tableId);
    for (const { values } of images) {
      await writeImages(target, table, [values], PLAIN).catch((error: unknown) => {
        if (!(error instanceof DatabaseError) || error.errno !== DUPLICATE) throw error;
      });
    }
  });

/** An operator's repair, and the way out of a unique value that a stale row holds: the target's rows are replaced. */
export const replaceRows = (pair: Pair, tracked: Tracked, repair: Repair): Promise<void> =>
  repairHeld(pair, tracked, repair, async (target, images, { tableId, keys }) => {
    const side = tracked.target(tableId);
    await deleteRows(target, side, keys);
    const rows = images.map(({ values }) => values);
    await writeImages(target, side.table, rows, PLAIN);
  });

const DUPLICATE = 1062;
const PLAIN = { method: 'insert', isReplacing: false } as const;
const ROUNDS = 12;

type Write = (target: Session, images: readonly Image[], repair: Repair) => Promise<void>;

async function repairHeld(pair: Pair, tracked: Tracked, repair: Repair, write: Write): Promise<void> {
  for (const keys of batches(repair.keys, CONFIRMED_AT_ONCE)) {
    try {
      await repairBatch(pair, tracked, { ...repair, keys }, write);
    } catch (error) {
      if (!(error instanceof ImagesTooLarge)) throw error;
      for (const key of keys) await repairBatch(pair, tracked, { ...repair, keys: [key] }, write);
    }
  }
}

/** More tenants, and more keys, join until the locks cover what is written. */
async function repairBatch(pair: Pair, tracked: Tracked, first: Repair, write: Write): Promise<void> {
  let repair = first;
  for (let round = 1; round <= ROUNDS; round += 1) {
    const missing = await patiently(() => attempt(pair, tracked, repair, write));
    if (missing.tenants.length === 0 && missing.keys.length === 0) return;
    await admitLocks(pair, missing.tenants);
    repair = {
      ...repair,
      tenants: [...new Set([...repair.tenants, ...missing.tenants])],
      keys: [...new Set([...repair.keys, ...missing.keys])],
    };
    if (repair.keys.length > HELD_ROWS_MAX) break;
  }
  throw new TransientDatabaseError('target: the locks or the unique values of a repair did not settle');
}

async function attempt(
  pair: Pair,
  tracked: Tracked,
  repair: Repair,
  write: Write,
): Promise<{ tenants: string[]; keys: string[] }> {
  const { tenants, tableId, keys } = repair;
  const hold = {
    lockTarget: (target: Session) => lockTenants(target, pair.control, tenants),
    lockSource: lockKeys(tracked.source(tableId), keys),
  };
  try {
    return await judged(pair, () =>
      holdStill(pair, hold, async (source, target) => {
        const bytes = keys.length === 1 ? Number.POSITIVE_INFINITY : IMAGE_BYTES_MAX;
        const images = await readImages(source, { side: tracked.source(tableId), keys }, { bytes });
        const executor = await executorOf(pair, tracked, tableId);
        const onTarget = await readSide(executor, target, tracked.target(tableId), keys);
        const owners = [...images, ...onTarget.values()].map(({ tenant }) => tenant ?? UNRESOLVED);
        const missing = [...new Set(owners)].filter((owner) => !tenants.includes(owner));
        if (missing.length > 0) return { tenants: missing, keys: [] };
        const mirrored = await mirroredTenants(source, pair.control, new Set(owners));
        const owned = images.filter(({ tenant }) => tenant !== null && mirrored.has(tenant));
        await assertShapes(pair, tracked, { on: source, side: 'source', ids: [tableId] });
        await write(target, owned, repair);
        await assertShapes(pair, tracked, { on: target, side: 'target', ids: [tableId] });
        return { tenants: [], keys: [] };
      }),
    );
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.errno !== DUPLICATE) throw error;
    const holders = await uniqueHolders(pair, tracked, tableId, new Set(keys));
    const others = holders.filter(({ key }) => !keys.includes(key));
    if (others.length === 0)
      throw new TransientDatabaseError('target: a unique value of a repair is just being moved');
    return {
      tenants: others.map(({ tenant }) => tenant).filter((tenant) => !tenants.includes(tenant)),
      keys: others.map(({ key }) => key),
    };
  }
}

function batches<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, index) =>
    all.slice(index * size, (index + 1) * size),
  );
}
