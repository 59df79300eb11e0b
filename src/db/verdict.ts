/**
 * The verdict: is a suspect drift, or merely in flight? Taken under the tenant's lock, so it needs no
 * settle time and locks nothing on the source (promise P4).
 *
 * Under the lock: source rows, target rows under any tenant, then the journal. A write committed before
 * the source was read whose journal row is already gone reached the target before we got the lock, so the
 * rows are equal; a later write has its journal row. Otherwise the two sides differ, now.
 */
import { TransientDatabaseError } from '../domain/errors.ts';
import type { DriftClass } from '../domain/drift.ts';
import type { Milliseconds } from '../domain/duration.ts';
import { UNRESOLVED } from '../domain/stage.ts';
import { converge } from './converge.ts';
import { executorOf } from './executors.ts';
import { journalOfKeys } from './journal-rows.ts';
import { compare, readSide, unmirrored, type Judged } from './judge.ts';
import { admitLocks, lockTenants } from './lock.ts';
import { assertShapes, judged } from './shapes.ts';
import type { Pair, Tracked } from './tracked.ts';

const ROUNDS = 12;

export async function judgeKeys(
  pair: Pair,
  tracked: Tracked,
  tenant: string,
  tableId: number,
  keys: readonly string[],
): Promise<Judged[]> {
  let tenants = [tenant];
  const executor = await executorOf(pair, tracked, tableId);
  for (let round = 1; round <= ROUNDS; round += 1) {
    const outcome = await judged(pair, () =>
      pair.target.transaction(async (target): Promise<Judged[] | { missing: string[] }> => {
        const locked = await lockTenants(target, pair.control, tenants);
        const source = await readSide(executor, pair.source, tracked.source(tableId), keys);
        const onTarget = await readSide(executor, target, tracked.target(tableId), keys);
        const owners = [...source.values(), ...onTarget.values()].map((side) => side.tenant ?? UNRESOLVED);
        const missing = [...new Set(owners)].filter((owner) => !locked.includes(owner));
        if (missing.length > 0) return { missing };
        // Rows that were read through another definition differ without having drifted.
        await assertShapes(pair, tracked, { on: pair.source, side: 'source', ids: [tableId] });
        await assertShapes(pair, tracked, { on: target, side: 'target', ids: [tableId] });
        const absent = await unmirrored(pair, [...source.values()]);
        const spelled = [...source.values(), ...onTarget.values()].map((side) => side.key);
        const journaled = await journaledKeys(pair, tableId, [...new Set([...keys, ...spelled])]);
        return compare(pair, target, tracked, {
          executor,
          how: 'read',
          locked,
          tableId,
          keys,
          source,
          onTarget,
          absent,
          journaled,
          anyOwner: false,
        });
      }),
    );
    if (Array.isArray(outcome)) return outcome;
    tenants = [...tenants, ...outcome.missing];
    await admitLocks(pair, outcome.missing);
  }
  throw new TransientDatabaseError(`target: the locks of ${tenants.length} tenants did not settle`);
}

async function journaledKeys(pair: Pair, tableId: number, keys: readonly string[]): Promise<Set<string>> {
  const rows = await pair.source.rows(
    `SELECT DISTINCT j.row_key AS row_key FROM ${journalOfKeys(pair.control, tableId, keys)}`,
  );
  return new Set(rows.map((row) => row['row_key']!));
}

/**
 * A key that is in flight whenever it is looked at: mirror it under the lock and compare what was written
 * with the snapshot that it was written from.
 */
export async function judgeHot(
  pair: Pair,
  tracked: Tracked,
  tenant: string,
  tableId: number,
  keys: readonly string[],
): Promise<Judged[]> {
  let judged: Judged[] = [];
  const executor = await executorOf(pair, tracked, tableId);
  await converge(pair, tracked, {
    tenants: [tenant],
    journal: null,
    keys: new Map([[tableId, new Set(keys)]]),
    atOneInstant: async (source, target, locked) => {
      const before = await readSide(executor, source, tracked.source(tableId), keys);
      const after = await readSide(executor, target, tracked.target(tableId), keys);
      const absent = await unmirrored(pair, [...before.values()]);
      judged = await compare(pair, target, tracked, {
        executor,
        how: 'mirrored',
        locked,
        tableId,
        keys,
        source: before,
        onTarget: after,
        absent,
        journaled: new Set(),
        anyOwner: false,
      });
    },
  });
  return judged;
}

/** Repair is a mirror of keys: the same locks, the same order, the same proof. */
export async function repairKeys(
  pair: Pair,
  tracked: Tracked,
  tenant: string,
  tableId: number,
  keys: readonly string[],
): Promise<void> {
  await converge(pair, tracked, {
    tenants: [tenant],
    journal: null,
    keys: new Map([[tableId, new Set(keys)]]),
  });
}

export interface FoundDrift {
  readonly class: DriftClass;
  readonly judged: Judged;
  /** At which look it was proven; the earlier ones found the key in flight. */
  readonly look: number;
}

/** Keys of one window whose hashes differ. */
export interface Suspects {
  readonly tenant: string;
  readonly tableId: number;
  readonly keys: readonly string[];
  /** How long both sides must have stood still, where there is no journal to ask. */
  readonly settle: Milliseconds;
  /** Called at least every second while a verdict waits; throws to stop. */
  readonly beat: () => void;
}

/** Drift that was proven, and how many keys were merely in flight, or never stood still and are not verified. */
export interface Findings {
  readonly drifts: readonly FoundDrift[];
  readonly inFlight: number;
  readonly hot: number;
}

const LOOKS = 3;

/** In flight is looked at again; a key that stays in flight is mirrored and compared as it is written. */
export async function judgeSuspects(
  pair: Pair,
  tracked: Tracked,
  { tenant, tableId, keys }: Suspects,
): Promise<Findings> {
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
  return { drifts, inFlight, hot: 0 };
}
