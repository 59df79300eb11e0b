/** Preflight and backfill: long work in time-boxed slices. The cursor is in the database, committed with the rows. */
import { activityInfo, cancellationSignal, CancelledFailure, heartbeat } from '@temporalio/activity';

import { SECOND, type Milliseconds } from '../src/domain/duration.ts';
import { formatProblem, type Problem } from '../src/domain/errors.ts';
import type { Limits } from '../src/domain/plan.ts';
import { isPerTenant, planOf } from '../src/domain/tenant-schema.ts';
import { copyTables, tablesOf } from '../src/db/backfill.ts';
import { readProgress, type TableProgress } from '../src/db/copy-cursor.ts';
import { lostCapture } from '../src/db/capture-loss.ts';
import { lostFor } from '../src/db/lost-capture.ts';
import { probeDigest } from '../src/db/digest.ts';
import { preflight } from '../src/db/preflight.ts';
import { Lately } from '../src/db/preflight/lately.ts';
import { readMigration } from '../src/db/migrations.ts';
import { ProgressRow } from '../src/db/progress.ts';
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
  const { pair, plan, throttle } = deps;
  const look = (tenant: string): Promise<readonly Problem[]> => {
    const { source, target } = pair;
    // A drill of another tenant may cut this worker's connections meanwhile.
    return target.undisturbed(() => preflight(planOf(plan, tenant), { source, target }));
  };
  const ofAll = new Lately(() => look(''));
  return guarded<DataActivities>({
    async preflight({ tenant }) {
      const isAlone = isPerTenant(plan.source.schema);
      const problems = [
        ...(isAlone ? await look(tenant) : await ofAll.problems()),
        ...(await pair.target.undisturbed(async () => (await throttle.check(plan.limits)).problems)),
      ];
      if (problems.length > 0) return problems.map(formatProblem);
      await probeDigest(pair.source);
      await probeDigest(pair.target);
      const lost = await lostCapture(pair);
      const captured = await deps.tracked();
      if (
        captured.of(tenant).length === 0 &&
        captured.all().every(({ tenancy }) => tenancy.kind === 'schema')
      )
        return ['capture: is not installed; run switchback install'];
      return lostFor(lost, tenant).map(({ why }) => `capture: ${why}; run switchback install`);
    },
    async backfillSlice({ tenant, round, limits, slice }) {
      const tracked = await deps.tracked();
      const ends = Date.now() + slice;
      const progress = new Progress(await readProgress(pair, tenant, round));
      const row = new ProgressRow(pair, tenant, 'backfill');
      const tables = tablesOf(tracked, tenant);
      const copied = await copyTables(pair, tracked, tables, {
        tenant,
        round,
        limits,
        pace: async () =>
          (await readMigration(pair.source, pair.control, tenant))?.rowsPerSecond || limits.rowsPerSecond,
        progress: (table, why) => {
          const told = progress.add(table);
          row.note(progress.rows, why);
          const { name } = tracked.source(table.tableId).table;
          beat({ table: name, ...told, ...(why === null ? {} : { throttled: why }) });
        },
        until: () => Date.now() > ends,
        throttle,
      });
      const finished = copied.every((table) => table.finished);
      await row.end(finished);
      return { finished, ...sum(copied) };
    },
  });
}

const sum = (tables: readonly TableProgress[]): { copied: number; estimated: number } => ({
  copied: tables.reduce((total, table) => total + table.copiedRows, 0),
  estimated: tables.reduce((total, table) => total + Math.max(table.estimatedRows, table.copiedRows), 0),
});

/** What the Temporal UI shows under the pending activity. */
class Progress {
  readonly #tables: Map<number, TableProgress>;
  readonly #started = Date.now();
  readonly #before: number;

  constructor(done: readonly TableProgress[]) {
    this.#tables = new Map(done.map((table) => [table.tableId, table]));
    this.#before = sum(done).copied;
  }

  /** Copied by this attempt. */
  get rows(): number {
    return sum([...this.#tables.values()]).copied - this.#before;
  }

  add(table: TableProgress): { copied: number; estimated: number; rowsPerSecond: number; attempt: number } {
    this.#tables.set(table.tableId, table);
    const total = sum([...this.#tables.values()]);
    const seconds = Math.max((Date.now() - this.#started) / SECOND, 0.001);
    return {
      ...total,
      rowsPerSecond: Math.round((total.copied - this.#before) / seconds),
      attempt: activityInfo().attempt,
    };
  }
}
