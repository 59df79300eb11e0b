/** Reconcile passes, and the wait for gates: long, cheap, and they report only what changes a decision. */
import { activityInfo, heartbeat } from '@temporalio/activity';

import { MINUTE, type Milliseconds } from '../src/domain/duration.ts';
import { lookPace, type LookPace } from '../src/domain/look-pace.ts';
import type { Limits } from '../src/domain/plan.ts';
import { PHASES } from '../src/domain/phase.ts';
import { readMigration, tripBack } from '../src/db/migrations.ts';
import { reconcileSlice } from '../src/db/reconcile.ts';
import { judgeNow, noteWaiting, type GateAnswer, type GateQuestion } from './control.ts';
import { beat } from './data.ts';
import { ProgressRow } from '../src/db/progress.ts';
import { readStage } from '../src/db/stages.ts';
import type { Deps } from './deps.ts';
import { guarded } from './failures.ts';
import { pause } from './pause.ts';

export interface PassResult {
  readonly finished: boolean;
  readonly clean: boolean;
  /** A row differs or is extra: the line stops. Reads were put back on the source already. */
  readonly stopped: boolean;
  /** Rows of it that were not on record before: only they are reported. */
  readonly fresh: number;
  readonly drifted: number;
  readonly repaired: number;
  readonly windows: number;
  readonly rows: number;
}

export interface ReconcileActivities {
  readonly reconcileSlice: (input: {
    tenant: string;
    limits: Limits;
    missingAgain: Milliseconds;
    slice: Milliseconds;
  }) => Promise<PassResult>;
  /**
   * Waits until every gate is open, or somebody changed the stage, or `every` is over.
   *
   * Looks as often as `lookPace` says, and when the stage changes, but returns early for a changed
   * set of closed gates only after an eighth of `every`: six weeks of a flapping gate must not fill the history.
   */
  readonly awaitGates: (input: Omit<GateQuestion, 'runId'> & { every: Milliseconds }) => Promise<GateAnswer>;
}

export function reconcileActivities(deps: Deps): ReconcileActivities {
  const { pair, publish, throttle } = deps;
  return guarded<ReconcileActivities>({
    async reconcileSlice({ tenant, limits, missingAgain, slice }) {
      const ends = Date.now() + slice;
      const row = new ProgressRow(pair, tenant, 'reconcile');
      let before: number | null = null;
      const result = await reconcileSlice(pair, await deps.tracked(), {
        tenant,
        limits,
        missingAgain,
        settle: deps.plan.durations.settle,
        progress: ({ counts, position }, why) => {
          before ??= counts.rows;
          row.note(counts.rows - before, why);
          beat({ ...counts, table: position.table + 1, ...(why === null ? {} : { throttled: why }) });
        },
        until: () => Date.now() > ends,
        throttle,
        pace: async () =>
          (await readMigration(pair.source, pair.control, tenant))?.reconcileRowsPerSecond ?? 0,
      });
      await row.end(result.finished);
      if (result.stopped) {
        const flipped = await tripBack(
          pair,
          tenant,
          'switchback',
          'drift was proven while reads were on the target',
        );
        if (flipped !== null) await publish(flipped);
      }
      const { drifted, repaired, windows, rows } = result.pass.counts;
      return {
        finished: result.finished,
        clean: result.pass.clean === true,
        stopped: result.stopped,
        fresh: result.fresh,
        drifted,
        repaired,
        windows,
        rows,
      };
    },
    async awaitGates({ every, ...input }) {
      const question: GateQuestion = { ...input, runId: activityInfo().workflowExecution?.runId ?? '' };
      const started = Date.now();
      let first: string | null = null;
      const beat = (pace: LookPace): Milliseconds =>
        Math.min(pace.beat, (activityInfo().heartbeatTimeoutMs ?? MINUTE) / 3);
      for (;;) {
        const version = (await readStage(pair.source, pair.control, question.tenant))?.version ?? 0;
        const answer = await judgeNow(deps, question);
        await noteWaiting(deps, question, answer);
        const waitsFor = closed(answer);
        heartbeat({ waitsFor });
        first ??= closed(answer);
        const waited = Date.now() - started;
        const changed = closed(answer) !== first && waited > every / 8;
        if (answer.open || answer.stage !== PHASES[question.phase].stage || changed || waited >= every)
          return answer;
        const pace = lookPace(question.phase, Math.max(0, Date.now() - question.since));
        const until = Date.now() + Math.min(pace.gates, every - waited);
        for (let left = until - Date.now(); left > 0; left = until - Date.now()) {
          const isHeard = await heardWithin(deps, question.tenant, version, Math.min(left, beat(pace)));
          heartbeat({ waitsFor });
          if (isHeard) break;
        }
      }
    },
  });
}

/** @returns whether the tenant's stage changed meanwhile */
async function heardWithin(
  { stages }: Deps,
  tenant: string,
  version: number,
  ms: Milliseconds,
): Promise<boolean> {
  const [heard, leaving] = [new AbortController(), new AbortController()];
  void stages.changed(tenant, version, leaving.signal).then(() => heard.abort());
  try {
    await pause(ms, heard.signal);
    return heard.signal.aborted;
  } finally {
    leaving.abort();
  }
}

const closed = (answer: GateAnswer): string =>
  answer.verdicts
    .filter((verdict) => !verdict.open && !verdict.waived)
    .map((verdict) => verdict.gate)
    .join(', ');
