/**
 * The fleet: starts tenants wave by wave, and stops itself when too many of them stopped.
 *
 * The control schema holds the roster and the wave, an activity counts and decides, this loop starts the tenants that
 * are due. They are children only in name (ABANDON): a fleet that ends, is paused or terminated leaves every tenant on
 * its way. It continues as new long before its history is full, at a moment when nothing is under way.
 */
import {
  ActivityFailure,
  ApplicationFailure,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/common';
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';

import type { FleetCommand } from '../src/domain/fleet-command.ts';
import { taskQueue, tenantWorkflowId } from '../src/domain/ids.ts';
import { planInWave } from '../src/domain/plan.ts';
import { SHARED } from '../src/domain/stage.ts';
import type { FleetLook } from '../activities/fleet.ts';
import { showFleet } from './fleet-console.ts';
import { FleetRun } from './fleet-run.ts';
import type { FleetInput, TenantInput } from './messages.ts';
import { control, reconcile } from './proxies.ts';
import type { tenantMigration } from './tenant.ts';

const EVENTS_MAX = 2_000;

export async function fleetMigration(input: FleetInput): Promise<never> {
  const run = new FleetRun(input);
  run.register();
  await orHold(run, async () => {
    const hasShared = await takeUp(run, input.by, input.after?.runId ?? null);
    if (run.plan.hasShared && !hasShared) await startTenant(run, SHARED);
  });
  for (;;) {
    showFleet(run);
    if (isFull(input) && run.inbox.length === 0) await goOn(run, input);
    if (isHeld(run)) await condition(() => run.inbox.length > 0);
    const command = run.inbox.shift();
    if (command === undefined) await look(run);
    else await underWay(run, command);
  }
}

const isHeld = ({ mode, lost }: FleetRun): boolean => lost || mode === 'paused' || mode === 'stopped';

const isFull = ({ eventsMax = EVENTS_MAX }: FleetInput): boolean => {
  const { historyLength, continueAsNewSuggested } = workflowInfo();
  return continueAsNewSuggested || historyLength >= eventsMax;
};

async function goOn(run: FleetRun, { by, eventsMax }: FleetInput): Promise<never> {
  await condition(allHandlersFinished);
  const { wave, mode, reason, seen, refusals } = run;
  return continueAsNew<typeof fleetMigration>({
    plan: run.plan,
    by,
    after: { runId: workflowInfo().runId, seen, refusals, stands: { wave, mode, reason } },
    ...(eventsMax === undefined ? {} : { eventsMax }),
  });
}

/** Waits for something to do; an order interrupts it. */
async function look(run: FleetRun): Promise<void> {
  const { plan, wave, mode, reason, counts } = run;
  const scope = new CancellationScope();
  let ended = false;
  const looking = scope
    .run(() =>
      reconcile(plan.name, `watch wave ${wave}`, plan.durations.gateEvery).awaitFleet({
        waves: plan.waves,
        every: plan.durations.gateEvery,
        shown: counts.length === 0 ? null : JSON.stringify([wave, mode, reason, counts]),
      }),
    )
    .finally(() => (ended = true));
  looking.catch(() => {}); // it is awaited below
  await condition(() => ended || run.inbox.length > 0);
  if (!ended) scope.cancel();
  await orHold(run, async () => {
    try {
      const found = await looking;
      run.take(found.row);
      run.counts = found.counts;
      await startDue(run, found);
    } catch (error) {
      if (!isCancellation(error)) throw error;
    }
  });
}

const startDue = (run: FleetRun, { due, row }: FleetLook) =>
  Promise.all(due.map((tenant) => startTenant(run, tenant, row.wave)));

/** One that runs already is left alone: an operator was faster, or an answer was lost. */
async function startTenant({ plan }: FleetRun, tenant: string, wave: string | null = null): Promise<void> {
  const policy = plan.waves.find(({ name }) => name === wave) ?? null;
  const input: TenantInput = { tenant, plan: planInWave(plan, policy, tenant), adopt: false };
  try {
    await startChild<typeof tenantMigration>('tenantMigration', {
      workflowId: tenantWorkflowId(plan.name, tenant),
      taskQueue: taskQueue(plan.name, 'control'),
      args: [input],
      parentClosePolicy: 'ABANDON',
      cancellationType: 'ABANDON',
      staticSummary: brief(`${plan.name}: move ${tenant}`),
      staticDetails: `Moves tenant **${tenant}** of migration **${plan.name}** (wave ${wave ?? 'none'}). Started by the fleet.`,
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

async function underWay(run: FleetRun, command: FleetCommand): Promise<void> {
  run.underWay = command;
  await orHold(run, () => carryOut(run, command));
  run.underWay = null;
}

async function carryOut(run: FleetRun, command: FleetCommand): Promise<void> {
  const { plan } = run;
  if (run.lost) await takeUp(run, command, null);
  const summary = brief(`${command.name} by ${command.actor}`);
  const { row, refused } = await control(plan.name, summary).orderFleet({ waves: plan.waves, command });
  run.take(row);
  if (refused !== null) run.refuse(`${command.name} by ${command.actor}: ${refused}`);
}

/** @returns whether the shared tables are on their way already */
async function takeUp(run: FleetRun, by: FleetInput['by'], after: string | null): Promise<boolean> {
  const firstWave = run.plan.waves[0]?.name ?? '';
  const { row, hasShared } = await control(run.plan.name, 'take up the fleet').claimFleet({
    firstWave,
    after,
    actor: by.actor,
    why: by.reason,
  });
  run.take(row);
  run.lost = false;
  return hasShared;
}

/** Transient faults are retried for ever; what comes back is for an operator. */
async function orHold(run: FleetRun, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof ActivityFailure)) throw error;
    const { cause } = error;
    run.lost = cause instanceof ApplicationFailure && cause.type === 'LostClaimError';
    run.mode = 'stopped';
    run.reason = cause?.message ?? error.message;
  }
}

/** The server takes at most 400 bytes; by characters, since half of an emoji is none. */
const brief = (text: string): string => Array.from(text).slice(0, 90).join('');
