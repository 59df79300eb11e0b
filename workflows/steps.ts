/**
 * What each phase does until it can advance: one function a row, in the order of the phase table.
 *
 * A step ends with an outcome, never with a phase: the table decides where that leads. It may be cancelled
 * at any await, and may run again from its start.
 */
import { patched } from '@temporalio/workflow';

import { saysDrift } from '../src/domain/drift.ts';
import { SECOND, type Milliseconds } from '../src/domain/duration.ts';
import { PHASES, type Phase } from '../src/domain/phase.ts';
import { startReconcile } from './children.ts';
import { rehearse } from './drill.ts';
import { control, data, gates, reconcile, SLICE } from './proxies.ts';
import type { TenantRun } from './run.ts';

export type Outcome =
  | { readonly kind: 'advance' }
  | { readonly kind: 'drift'; readonly reason: string }
  | { readonly kind: 'stop'; readonly reason: string; readonly hints: readonly string[] }
  /** Somebody flipped the stage without the workflow. */
  | { readonly kind: 'overtaken'; readonly by: string };

const ADVANCE: Outcome = { kind: 'advance' };
const NODES_BOUND = 10 * SECOND;

export const STEPS: Readonly<Record<Exclude<Phase, 'aborted'>, (run: TenantRun) => Promise<Outcome>>> = {
  async preflight({ state }) {
    const { tenant, plan } = state;
    const problems = await data(plan.name, `check both databases for ${tenant}`).preflight({ tenant });
    if (problems.length === 0) return ADVANCE;
    const more = problems.length > 3 ? ` (and ${problems.length - 3} more)` : '';
    return {
      kind: 'stop',
      reason: `preflight: ${problems.slice(0, 3).join('; ')}${more}`,
      hints: ['`switchback plan check` lists every problem'],
    };
  },
  'dual-write': passGates,
  async backfill(run) {
    const { tenant, plan, round } = run.state;
    for (;;) {
      const done = await data(plan.name, `copy ${tenant} (round ${round})`).backfillSlice({
        tenant,
        round,
        limits: plan.limits,
        slice: SLICE,
      });
      if (done.finished) return passGates(run);
    }
  },
  async reconcile(run) {
    const { tenant, plan } = run.state;
    for (let clean = 0; ;) {
      const pass = await reconcile(plan.name, `compare every window of ${tenant}`).reconcileSlice({
        tenant,
        limits: plan.limits,
        missingAgain: plan.durations.missingAgain,
        slice: SLICE,
      });
      if (pass.stopped) return { kind: 'drift', reason: saysDrift(pass.drifted) };
      if (!pass.finished) continue;
      clean = pass.clean ? clean + 1 : 0;
      // Nothing else runs passes in this phase: the gate would wait for ever.
      const enough = plan.gates.cleanPasses <= 1 || clean >= plan.gates.cleanPasses;
      if (clean > 0 && (enough || !patched('every-clean-pass'))) return passGates(run);
    }
  },
  shadow: continuous,
  async drill(run) {
    await startReconcile(run);
    return rehearse(run);
  },
  ready: continuous,
  ramp: continuous,
  async 'rolling-back'({ state }) {
    const nodes = await control(state.plan.name, 'wait for the last node to read from the source').awaitNodes(
      { version: state.version, timeout: NODES_BOUND },
    );
    if (nodes.following < nodes.live) {
      state.afterRollback = {
        mode: state.afterRollback?.mode ?? 'paused',
        reason: `${state.afterRollback?.reason ?? 'rolled back'}; ${nodes.live - nodes.following} nodes did not acknowledge yet`,
      };
    }
    return ADVANCE;
  },
};

async function continuous(run: TenantRun): Promise<Outcome> {
  await startReconcile(run);
  return passGates(run);
}

/** What it has stood, or what the plan asks for. */
function stays({ state: { phase, since, plan } }: TenantRun): Milliseconds {
  const { shadow, soak } = plan.durations;
  const asked = phase === 'shadow' ? shadow : phase === 'ramp' ? soak : 0;
  return Math.max(Date.now() - since, asked);
}

async function passGates(run: TenantRun): Promise<Outcome> {
  const { state } = run;
  const waiting = patched('gates-let-go') ? gates : reconcile;
  // The first look is quick, so that the console says at once what is waited for.
  for (let look = 1; ; look += 1) {
    const { tenant, phase, since, round, approved, waivers, plan } = state;
    const question = { tenant, phase, since, round, approved, waivers, plan };
    const every = plan.durations.gateEvery;
    const answer =
      look === 1
        ? await control(plan.name, `look at the gates of ${phase}`).judge(question)
        : await waiting(plan.name, `wait for the gates of ${phase}`, every, stays(run)).awaitGates({
            ...question,
            every,
          });
    run.gates = answer.verdicts;
    run.gatesAt = answer.evidence.at;
    state.cleanSince = answer.evidence.cleanSince;
    if (answer.stage !== PHASES[phase].stage) return { kind: 'overtaken', by: answer.stageBy };
    if (answer.evidence.captureLost !== null) {
      return {
        kind: 'stop',
        reason: `capture was lost: ${answer.evidence.captureLost}`,
        hints: [
          '`switchback install` puts the triggers back',
          `\`switchback retry ${tenant}\` then copies everything again and asks for a clean pass`,
        ],
      };
    }
    if (answer.open) return ADVANCE;
    // An operator's pause may just be on its way into the record: a look at the gates never overwrites it.
    if (state.mode === 'running' || state.mode === 'waiting') {
      const closed = answer.verdicts.find((verdict) => !verdict.open && !verdict.waived);
      state.mode = 'waiting';
      state.reason = closed === undefined ? null : `${closed.gate}: ${closed.saw}; needs ${closed.needs}`;
    }
    run.show();
  }
}
