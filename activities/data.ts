/** Preflight and backfill: long work in time-boxed slices. The cursor is in the database, committed with the rows. */
import { activityInfo, cancellationSignal, CancelledFailure, heartbeat } from '@temporalio/activity';

import { SECOND, type Milliseconds } from '../src/domain/duration.ts';
import { formatProblem } from '../src/domain/errors.ts';
import type { Limits } from '../src/domain/plan.ts';
import { copyTable, readCursors, tablesOf, type CopyCursor } from '../src/db/backfill.ts';
import { lostCapture } from '../src/db/capture.ts';
import { probeDigest } from '../src/db/digest.ts';
import { preflight } from '../src/db/preflight.ts';
import { readMigration } from '../src/db/migrations.ts';
import type { Deps } from './deps.ts';
import { guarded } from './failures.ts';

export interface BackfillResult {
  readonly finished: boolean;
  readonly copied: number;
  readonly estimated: number;
}

export interface DataActivities {
  /** @returns problems as lines; empty when every check is green */
  readonly preflight: (input: { tenant: string }) => Promise<string[]>;
  readonly backfillSlice: (input: {
    tenant: string;
    round: number;
    limits: Limits;
    slice: Milliseconds;
  }) => Promise<BackfillResult>;
}

/** Throws the right failure when the attempt was cancelled, paused or its worker stops. */
export function beat(details: unknown): void {
  heartbeat(details);
  if (cancellationSignal().aborted) throw new CancelledFailure('stopped between two windows');
}

export function dataActivities(deps: Deps): DataActivities {
  const { pair, plan } = deps;
  return guarded<DataActivities>({
    async preflight() {
      const problems = await preflight(plan, { source: pair.source, target: pair.target });
      if (problems.length > 0) return problems.map(formatProblem);
      await probeDigest(pair.source);
      await probeDigest(pair.target);
      const lost = await lostCapture(pair);
      const captured = await deps.tracked();
      if (captured.all().length === 0) return ['capture: is not installed; run switchback install'];
      return lost.map(({ why }) => `capture: ${why}; run switchback install`);
    },
    async backfillSlice({ tenant, round, limits, slice }) {
      const tracked = await deps.tracked();
      const ends = Date.now() + slice;
      const done = await readCursors(pair, tenant, round);
      const open = tablesOf(tracked, tenant).filter(
        ({ id }) => !done.some((cursor) => cursor.tableId === id && cursor.finished),
      );
      const progress = new Progress(done);
      let failed = false;
      const fail = (error: unknown): never => {
        failed = true;
        throw error;
      };
      const copyNext = async (): Promise<void> => {
        for (let table = open.shift(); table !== undefined; table = open.shift()) {
          const { name } = table.table;
          await copyTable(pair, tracked, {
            tenant,
            round,
            tableId: table.id,
            limits,
            pace: async () =>
              (await readMigration(pair.source, pair.control, tenant))?.rowsPerSecond || limits.rowsPerSecond,
            progress: (cursor, why) =>
              beat({ table: name, ...progress.add(cursor), ...(why === null ? {} : { throttled: why }) }),
            until: () => failed || Date.now() > ends,
          });
        }
      };
      // Every lane has ended before the attempt ends: whoever goes on after it must know that nobody writes.
      const lanes = Array.from({ length: Math.max(1, limits.backfillParallel) }, () =>
        copyNext().catch(fail),
      );
      const broken = (await Promise.allSettled(lanes)).find((lane) => lane.status === 'rejected');
      if (broken !== undefined) throw broken.reason;
      const cursors = await readCursors(pair, tenant, round);
      const finished = tablesOf(tracked, tenant).every(({ id }) =>
        cursors.some((cursor) => cursor.tableId === id && cursor.finished),
      );
      return { finished, ...sum(cursors) };
    },
  });
}

const sum = (cursors: readonly CopyCursor[]): { copied: number; estimated: number } => ({
  copied: cursors.reduce((total, cursor) => total + cursor.copiedRows, 0),
  estimated: cursors.reduce((total, cursor) => total + Math.max(cursor.estimatedRows, cursor.copiedRows), 0),
});

/** What the Temporal UI shows under the pending activity. */
class Progress {
  readonly #cursors: Map<number, CopyCursor>;
  readonly #started = Date.now();
  readonly #before: number;

  constructor(done: readonly CopyCursor[]) {
    this.#cursors = new Map(done.map((cursor) => [cursor.tableId, cursor]));
    this.#before = sum(done).copied;
  }

  add(cursor: CopyCursor): { copied: number; estimated: number; rowsPerSecond: number; attempt: number } {
    this.#cursors.set(cursor.tableId, cursor);
    const total = sum([...this.#cursors.values()]);
    const seconds = Math.max((Date.now() - this.#started) / SECOND, 0.001);
    return {
      ...total,
      rowsPerSecond: Math.round((total.copied - this.#before) / seconds),
      attempt: activityInfo().attempt,
    };
  }
}
