/**
 * One tenant from `preflight` to `ramp`, across weeks and worker restarts.
 *
 * An interpreter of the phase table: a step works until it can advance, the inbox brings commands and
 * reports, and this loop carries both out. A rollback flips first and tidies up afterwards. Nothing but
 * the table or an operator ends a migration: a fault stops the line, a bug parks the workflow task.
 */
import { CancellationScope, condition, isCancellation } from '@temporalio/workflow';

import { judge, type Command } from '../src/domain/command.ts';
import {
  canRollBack,
  move,
  PHASES,
  reconcilesContinuously,
  type Phase,
  type PhaseEvent,
} from '../src/domain/phase.ts';
import { stopReconcile } from './children.ts';
import type { TenantInput } from './messages.ts';
import { orStop, saveMode, stopFor } from './modes.ts';
import { control } from './proxies.ts';
import { TenantRun, type Event } from './run.ts';
import { STEPS, type Outcome } from './steps.ts';

export async function tenantMigration(input: TenantInput): Promise<{ phase: Phase }> {
  const run = new TenantRun(input);
  run.register();
  await takeUp(run, input.adopt);
  while (run.state.phase !== 'aborted') {
    run.show();
    if (held(run)) {
      await condition(() => run.inbox.length > 0);
      await carryOut(run, run.inbox.shift()!);
    } else {
      await work(run);
    }
  }
  run.show();
  return { phase: run.state.phase };
}

const held = ({ state }: TenantRun): boolean => {
  // A rollback that began is finished in every mode: reads are on the source, its nodes are waited for.
  if (state.phase === 'rolling-back' && !state.lost) return false;
  return state.lost || state.mode === 'paused' || state.mode === 'stopped';
};

async function takeUp(run: TenantRun, adopting: boolean): Promise<void> {
  const { tenant, plan } = run.state;
  await orStop(run, async () => {
    run.take(
      await control(plan.name, `take up ${tenant}`).claim({ tenant, wave: plan.wave, adopt: adopting }),
    );
    run.state.lost = false;
    run.state.claimed = true;
    if (adopting) await settleAdoption(run);
  });
}

/** Held where the record stands; a flip that happened meanwhile decides the phase. */
async function settleAdoption(run: TenantRun): Promise<void> {
  const { state } = run;
  if (state.mode !== 'stopped')
    await saveMode(run, 'paused', `adopted in ${state.phase}; resume goes on`, 'adopt');
  if (state.phase !== 'aborted' && state.stage !== PHASES[state.phase].stage)
    await overtaken(run, 'found at adoption');
}

/** Runs the step of the phase until it ends or an event interrupts it. */
async function work(run: TenantRun): Promise<void> {
  const { state } = run;
  const scope = new CancellationScope();
  const ended: { outcome: Outcome | null; error: unknown; done: boolean } = {
    outcome: null,
    error: null,
    done: false,
  };
  const step = scope
    .run(() => STEPS[state.phase as Exclude<Phase, 'aborted'>](run))
    .then(
      (outcome) => Object.assign(ended, { outcome, done: true }),
      (error: unknown) => Object.assign(ended, { error, done: true }),
    );
  while (!ended.done) {
    await condition(() => ended.done || run.inbox.length > 0);
    const event = ended.done ? undefined : run.inbox.shift();
    if (event === undefined) continue;
    const keep = await carryOut(run, event);
    if (keep) continue;
    scope.cancel();
    await step;
    return;
  }
  if (ended.outcome !== null) await conclude(run, ended.outcome);
  else if (!isCancellation(ended.error)) await stopFor(run, ended.error);
}

async function conclude(run: TenantRun, outcome: Outcome): Promise<void> {
  switch (outcome.kind) {
    case 'advance':
      return advance(run);
    case 'drift':
      return drifted(run, outcome.reason);
    case 'overtaken':
      return overtaken(run, outcome.by);
    case 'stop':
      run.hints = outcome.hints;
      await saveMode(run, 'stopped', outcome.reason, 'stop');
  }
}

async function advance(run: TenantRun): Promise<void> {
  const { state } = run;
  if (state.phase !== 'rolling-back')
    return enter(run, 'advance', { why: `the gates of ${state.phase} are open` });
  const after = state.afterRollback ?? { mode: 'paused' as const, reason: 'rolled back; resume goes on' };
  state.afterRollback = null;
  return enter(run, 'advance', {
    why: 'reads are back on the source',
    mode: after.mode,
    reason: after.reason,
  });
}

interface Entry {
  readonly why: string;
  readonly mode?: 'running' | 'paused' | 'stopped';
  readonly reason?: string;
  readonly command?: Command;
}

/** Moves along the table; the stage flips in the same transaction. */
async function enter(run: TenantRun, event: PhaseEvent, entry: Entry): Promise<void> {
  const to = move(run.state.phase, event);
  if (to !== null) await enterAt(run, to, entry);
}

async function enterAt(run: TenantRun, to: Phase, entry: Entry): Promise<void> {
  const { state } = run;
  run.entering = to;
  await orStop(run, async () => {
    const summary =
      PHASES[to].stage === state.stage ? `enter ${to}` : `flip to ${PHASES[to].stage}: enter ${to}`;
    run.take(
      await control(state.plan.name, summary).enterPhase({
        tenant: state.tenant,
        from: state.phase,
        to,
        mode: entry.mode ?? 'running',
        reason: entry.reason ?? null,
        actor: entry.command?.actor ?? 'switchback',
        why: entry.command?.reason ?? entry.why,
        requestId: entry.command?.requestId ?? null,
      }),
    );
    run.gates = [];
    run.gatesAt = null;
    run.hints = entry.mode === 'stopped' ? driftHints(state.tenant) : [];
    run.show();
  });
  run.entering = null;
  if (!reconcilesContinuously(state.phase)) await stopReconcile(run);
}

const driftHints = (tenant: string): string[] => [
  `\`switchback why ${tenant}\` shows the rows`,
  `\`switchback repair ${tenant} --reason "..."\` mirrors them from the source`,
  `\`switchback retry ${tenant} --reason "..."\` goes on; a clean pass is asked for again`,
];

/** Reads first, the line second. */
async function drifted(run: TenantRun, reason: string): Promise<void> {
  const { state } = run;
  if (canRollBack(state.phase)) {
    state.afterRollback = { mode: 'stopped', reason };
    return enter(run, 'drift', { why: reason, mode: 'stopped', reason });
  }
  await enter(run, 'drift', { why: reason, mode: 'stopped', reason });
  if (state.mode !== 'stopped') await saveMode(run, 'stopped', reason, 'stop');
  run.hints = driftHints(state.tenant);
}

/** `rollback --direct`, lost capture or a trip back changed the stage: the phase follows it. */
async function overtaken(run: TenantRun, by: string): Promise<void> {
  const { state } = run;
  const reason = `reads were put back on the source without this workflow (${by})`;
  if (canRollBack(state.phase)) {
    state.afterRollback = { mode: 'stopped', reason };
    return enter(run, 'rollback', { why: reason, mode: 'stopped', reason });
  }
  return enterAt(run, state.phase, { why: 'the stage of the phase is set again' });
}

/** @returns whether the step that is running may go on */
async function carryOut(run: TenantRun, event: Event): Promise<boolean> {
  run.underWay = event;
  try {
    return await act(run, event);
  } finally {
    run.underWay = null;
  }
}

async function act(run: TenantRun, event: Event): Promise<boolean> {
  if (event.kind === 'adopt') {
    await takeUp(run, true);
    return false;
  }
  if (event.kind === 'report') {
    // A late report of a phase that was left: its rows are copied and compared again, or are on their way back.
    const { lost, phase } = run.state;
    if (lost || phase === 'rolling-back' || !reconcilesContinuously(phase)) return true;
    await drifted(run, event.report.message);
    return false;
  }
  // The phase may have changed since the command was accepted.
  const why = run.state.lost
    ? 'this run lost its tenant; start --adopt takes it up'
    : judge(event.command, run.view());
  if (why !== null) {
    run.refuse(`${event.command.name} by ${event.command.actor}: ${why}`);
    return true;
  }
  return COMMAND_ACTS[event.command.name](run, event.command);
}

const COMMAND_ACTS: Readonly<
  Record<Command['name'], (run: TenantRun, command: Command) => Promise<boolean>>
> = {
  async pause(run, command) {
    await saveMode(run, 'paused', `paused by ${command.actor}: ${command.reason}`, 'pause', command);
    return false;
  },
  async resume(run, command) {
    await saveMode(run, 'running', null, 'resume', command);
    return false;
  },
  async advance(run, command) {
    run.state.approved = true;
    run.state.approvers = [...run.state.approvers, command.actor];
    await saveMode(run, 'running', null, 'advance', command);
    return false;
  },
  async drill(run, command) {
    await enter(run, 'rehearse', { why: command.reason, command });
    return false;
  },
  async rollback(run, command) {
    run.state.afterRollback = {
      mode: 'paused',
      reason: `rolled back by ${command.actor}: ${command.reason}`,
    };
    await enter(run, 'rollback', { why: command.reason, command });
    return false;
  },
  async retry(run, command) {
    run.hints = [];
    if (!run.state.claimed) {
      await takeUp(run, false);
    } else {
      const { captureLost } = await saveMode(run, 'running', null, 'retry', command);
      if (captureLost !== null) {
        await enter(run, 'recapture', {
          why: `everything is copied and compared again: ${captureLost}`,
          command,
        });
      }
    }
    return false;
  },
  async waive(run, command) {
    const waiver = {
      gate: command.gate!,
      until: command.until!,
      actor: command.actor,
      reason: command.reason,
    };
    run.state.waivers = [...run.state.waivers, waiver];
    await saveMode(run, run.state.mode, run.state.reason, `waive ${waiver.gate}`.slice(0, 32), command);
    return false;
  },
  async setPace(run, command) {
    await saveMode(run, run.state.mode, run.state.reason, 'setPace', command);
    return true;
  },
  async abort(run, command) {
    await enterAt(run, 'aborted', { why: command.reason, command });
    return false;
  },
};
