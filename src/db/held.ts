/**
 * Source rows held still from their read until the target has committed: only where the application mirrors.
 *
 * Without a journal nothing is applied later that would mend a stale image, so nothing may change on the source
 * between our read and our write. Share locks are taken by a locking read under REPEATABLE READ, which takes the
 * gaps too: no row of the range, or of the keys, can come, change or go. Interleavings with an application that
 * commits on the source and then writes the target:
 *   - its source write before our lock, its target write before ours: we replace the row by the same version;
 *   - before our lock, target write after ours: an update or a delete finds the row; an insert gets a duplicate
 *     key (1062) with the values that it wanted, which it must take for success;
 *   - its source write after our lock: it waits until our target commit; then its target write finds our row.
 *     With a plain read its UPDATE or DELETE would find no row, and ours would then put a stale one there, or a
 *     deleted one back: that is what the lock is for;
 *   - its insert into a gap that we hold waits as well, so a row that is on the target and not in what we read is
 *     not on the source: removing it destroys nothing that was written meanwhile;
 *   - its target write failed: our image is the newer one; where it was an update of a row that is not in the
 *     window any more, reconcile finds it;
 *   - its target write comes so late that we wrote a newer version in between: the row goes back in time until
 *     the next pass. Nothing here can prevent that; it is why promise P3 is weaker in this mode;
 *   - it holds a source row open while it writes the target: either side would wait for the other for ever, so
 *     both of our sessions give up after a second.
 * A frozen worker must not hold the source: the server ends the silent session. The target's ends earlier than the
 * source's, and the source is asked once more before the target commits: whatever commits was still held.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { TransientDatabaseError } from '../domain/errors.ts';
import type { Capture } from '../domain/capture.ts';
import type { Limits } from '../domain/plan.ts';
import { inTransaction, type Session } from './database.ts';
import { keysJoin, keysTable } from './keys.ts';
import { qualified } from './sql.ts';
import type { TrackedTable } from './tenancy.ts';
import type { Pair } from './tracked.ts';

export interface Hold {
  /** The tenants' locks, which come first: they may take their time while nothing of the source is held. */
  readonly lockTarget: (target: Session) => Promise<unknown>;
  /** A locking read. */
  readonly lockSource: (source: Session) => Promise<unknown>;
}

/** Rows of one hold, and the time that it is sized for, whatever the plan allows: others may want them. */
export const HELD_ROWS_MAX = 1_000;
const HELD_TARGET_MS = 100;

export const heldLimits = (capture: Capture, limits: Limits): Limits =>
  capture === 'triggers'
    ? limits
    : {
        ...limits,
        windowRows: Math.min(limits.windowRows, HELD_ROWS_MAX),
        windowTarget: Math.min(limits.windowTarget, HELD_TARGET_MS),
      };

const TARGET_IDLE_SECONDS = 3;
const SOURCE_IDLE_SECONDS = 6;

/** Holds the source's rows until the target has committed what `use` wrote. */
export async function holdStill<T>(
  pair: Pair,
  { lockTarget, lockSource }: Hold,
  use: (source: Session, target: Session) => Promise<T>,
): Promise<T> {
  const begin = ['SET TRANSACTION ISOLATION LEVEL REPEATABLE READ', 'START TRANSACTION'];
  return pair.source.session((source) =>
    impatient(source, SOURCE_IDLE_SECONDS, () =>
      inTransaction(source, begin, () =>
        pair.target.session((target) =>
          impatient(target, TARGET_IDLE_SECONDS, () =>
            inTransaction(target, ['START TRANSACTION'], async () => {
              await lockTarget(target);
              await lockSource(source);
              const result = await use(source, target);
              await source.run('DO 1');
              return result;
            }),
          ),
        ),
      ),
    ),
  );
}

/** As long as a journal mends what changes meanwhile, a window needs no lock on the source. */
export const HOLDS: Readonly<Record<Capture, typeof holdStill>> = {
  triggers: (pair, { lockTarget }, use) =>
    patiently(
      () =>
        pair.target.transaction(async (target) => {
          await lockTarget(target);
          return pair.source.session((source) => use(source, target));
        }),
      isVictim,
    ),
  application: (pair, hold, use) => patiently(() => holdStill(pair, hold, use)),
};

const LOCK_WAIT = 1205;
const DEADLOCK = 1213;

/** Two waited for each other, and the server rolled this one back. */
const isVictim = (error: unknown): boolean =>
  error instanceof TransientDatabaseError && error.errno === DEADLOCK;

/** Somebody else has the row: nothing was done, nothing is wrong. */
export const isBusy = (error: unknown): boolean =>
  isVictim(error) || (error instanceof TransientDatabaseError && error.errno === LOCK_WAIT);

const ATTEMPTS = 10;

/** Gives up for whoever has the row; it is tried again after a moment in which nothing is held. */
export async function patiently<T>(work: () => Promise<T>, again = isBusy): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!again(error) || attempt === ATTEMPTS) throw error;
      await sleep(Math.random() * 50 * attempt);
    }
  }
}

/** Waits a second for a row at most, and is ended by the server when it falls silent. */
async function impatient<T>(session: Session, idleSeconds: number, use: () => Promise<T>): Promise<T> {
  await session.run(
    `SET @switchback_wait = @@SESSION.innodb_lock_wait_timeout, @switchback_idle = @@SESSION.wait_timeout,
     SESSION innodb_lock_wait_timeout = 1, SESSION wait_timeout = ${idleSeconds}`,
  );
  const restore = () =>
    session.run(
      'SET SESSION innodb_lock_wait_timeout = @switchback_wait, SESSION wait_timeout = @switchback_idle',
    );
  try {
    const result = await use();
    await restore();
    return result;
  } catch (error) {
    // A session with a transient fault is given up by whoever opened it.
    if (!(error instanceof TransientDatabaseError)) await restore().catch(() => session.destroy());
    throw error;
  }
}

/** Share locks on the rows of the keys, and on the gaps of those that are not there; never on their parents. */
export const lockKeys =
  ({ table }: TrackedTable, keys: readonly string[]) =>
  (source: Session): Promise<unknown> =>
    source.rows(
      `SELECT k.n FROM ${keysTable(table.primary, keys)} k STRAIGHT_JOIN ${qualified(table.schema, table.name)} t FORCE INDEX (PRIMARY)
       ON ${keysJoin(table.primary, 'k', 't')} LOCK IN SHARE MODE`,
    );
