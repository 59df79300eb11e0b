/** Gives running migrations the plan as the file has it now, and says what changes. */
import { defaultPayloadConverter } from '@temporalio/common';
import type { Client } from '@temporalio/client';

import { formatDuration } from '../domain/duration.ts';
import { fleetWorkflowId } from '../domain/ids.ts';
import { fleetPlan, tenantPlan, type FleetPlan, type Plan, type TenantPlan } from '../domain/plan.ts';
import { readRoster } from '../db/fleet.ts';
import { appendAudit } from '../db/stages.ts';
import type { Pair } from '../db/tracked.ts';
import type { Handler } from './commands.ts';
import { tenantsOf, type Context, type Who } from './context.ts';
import { dryRunOf, type Change, type Send } from './dry-run.ts';
import { CliFailure } from './exit.ts';
import { noRun } from './order.ts';
import { oneLine } from './terminal.ts';

/** What a tenant's run, or the fleet's, carries. */
type RunPlan = TenantPlan | FleetPlan;

interface Applied {
  readonly tenant: string;
  readonly changes: readonly string[];
}

/** The same look at every run; nothing is signalled. */
export const dryRun = dryRunOf(async (context, input) => {
  const plan = await context.plan();
  const one = input.word(0);
  const tenants = one === null ? tenantsOf(plan) : [await context.tenant(one)];
  const { client } = await context.temporal();
  const runs = await Promise.all(
    tenants.map(async (tenant) => ({
      tenant,
      workflowId: await context.workflowId(tenant),
      plan: tenantPlan(plan, tenant) as RunPlan,
    })),
  );
  const fleet = { tenant: null, workflowId: fleetWorkflowId(plan.name), plan: fleetPlan(plan) };
  const changes: Change[] = [];
  const sends: Send[] = [];
  let open = 0;
  for (const run of one === null ? [fleet, ...runs] : runs) {
    const running = await planOfRun(client, run.workflowId);
    if (running === null) continue;
    open += 1;
    const found = changed(running, run.plan);
    if (found.length === 0) continue;
    changes.push(...found.map((change) => ({ tenant: run.tenant, ...change })));
    sends.push({ to: run.workflowId, as: 'signal', name: 'applyPlan', payload: run.plan });
  }
  if (open === 0) throw one === null ? nothingRuns(context) : await noRun(context, one);
  return { changes, sends };
});

const nothingRuns = (context: Context): CliFailure =>
  new CliFailure('not-found', 'no migration of this plan is running', {
    next: [context.change('start', 'TENANT')],
  });

export const run: Handler = async (context, input) => {
  const plan = await context.plan();
  const one = input.word(0);
  const who = await context.who();
  const tenants = one === null ? tenantsOf(plan) : [await context.tenant(one)];
  const [pair, { client }] = await Promise.all([context.pair(), context.temporal()]);
  const applied: Applied[] = [];
  for (const tenant of tenants) {
    const changes = await give(client, await context.workflowId(tenant), tenantPlan(plan, tenant));
    if (changes === null) {
      if (one !== null) throw await noRun(context, tenant);
      continue;
    }
    if (changes.length > 0)
      await appendAudit(pair.source, pair.control, { ...NOTHING_ELSE, tenant, ...because(who, changes) });
    applied.push({ tenant, changes });
  }
  const fleet = one === null ? await give(client, fleetWorkflowId(plan.name), fleetPlan(plan)) : null;
  if (applied.length === 0 && fleet === null) throw nothingRuns(context);
  const absent = fleet === null ? [] : await notEnrolled(pair, plan);
  return {
    data: { applied, fleet, notInFleet: absent },
    lines: [...(fleet === null ? [] : say({ tenant: 'the fleet', changes: fleet })), ...applied.flatMap(say)],
    next: [
      ...absent.slice(0, ABSENT_SHOWN).map((tenant) => context.change('fleet', 'add', tenant)),
      ...nextOf(context, applied),
    ],
  };
};

const ABSENT_SHOWN = 5;
const NOTHING_ELSE = { event: 'plan', before: null, after: null, epoch: null, requestId: null } as const;

const because = ({ actor, reason }: Who, changes: readonly string[]) => ({
  actor,
  reason: `${reason} (${changes.join('; ')})`,
});

/** @returns what changed by it; null: no run is open */
async function give(client: Client, workflowId: string, plan: RunPlan): Promise<string[] | null> {
  const running = await planOfRun(client, workflowId);
  if (running === null) return null;
  const changes = differences(running, plan);
  if (changes.length > 0) await client.workflow.getHandle(workflowId).signal('applyPlan', plan);
  return changes;
}

/** Tenants that were put into a wave after the fleet had started. */
async function notEnrolled(pair: Pair, plan: Plan): Promise<string[]> {
  const roster = new Set((await readRoster(pair.source, pair.control)).map(({ tenant }) => tenant));
  return plan.waves.flatMap((wave) => wave.tenants).filter((tenant) => !roster.has(tenant));
}

const nextOf = (context: Context, applied: readonly Applied[]): string[] =>
  applied.some(({ changes }) => changes.length > 0) ? [context.line('status')] : [];

const say = ({ tenant, changes }: Applied): string[] =>
  changes.length === 0
    ? [`${oneLine(tenant)}: nothing changes.`]
    : [`${oneLine(tenant)}: sent to its workflow.`, ...changes.map((change) => `  ${change}`)];

/**
 * The plan that a run works with: of the last `applyPlan` in its history, else of its start. Read from the
 * history, so that no worker is needed.
 *
 * @returns null when no run is open
 */
async function planOfRun(client: Client, workflowId: string): Promise<RunPlan | null> {
  const { WorkflowNotFoundError } = await import('@temporalio/client');
  const handle = client.workflow.getHandle(workflowId);
  try {
    const description = await handle.describe();
    if (description.status.name !== 'RUNNING') return null;
    const { events } = await client.workflow.getHandle(workflowId, description.runId).fetchHistory();
    const payloads = (events ?? []).flatMap(
      ({
        workflowExecutionStartedEventAttributes: started,
        workflowExecutionSignaledEventAttributes: signaled,
      }) => {
        if (signaled?.signalName === 'applyPlan')
          return [defaultPayloadConverter.fromPayload<RunPlan>(signaled.input!.payloads![0]!)];
        return started
          ? [defaultPayloadConverter.fromPayload<{ plan: RunPlan }>(started.input!.payloads![0]!).plan]
          : [];
      },
    );
    return payloads.at(-1) ?? null;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** @returns lines such as `durations.soak: 7d → 3d` */
export const differences = (before: RunPlan, after: RunPlan): string[] =>
  changed(before, after).map(({ what, from, to }) => `${what}: ${from ?? 'not set'} → ${to ?? 'not set'}`);

function changed(before: RunPlan, after: RunPlan): Omit<Change, 'tenant'>[] {
  const from = flat(before);
  const to = flat(after);
  return [...new Set([...from.keys(), ...to.keys()])]
    .filter((path) => from.get(path) !== to.get(path))
    .map((what) => ({ what, from: from.get(what) ?? null, to: to.get(what) ?? null }));
}

const IS_DURATION =
  /^durations\.|^limits\.(windowTarget|throttle\.replicaLag)$|^gates\.(replicaLag|retention)$|^waves\.\d+\.(every|soak)$/;
const IS_TIME = /^freeze\.\d+\.(from|to)$/;

function flat(value: unknown, path = '', found = new Map<string, string>()): Map<string, string> {
  if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value))
      flat(inner, path === '' ? key : `${path}.${key}`, found);
    return found;
  }
  found.set(
    path,
    IS_DURATION.test(path)
      ? formatDuration(Number(value))
      : IS_TIME.test(path)
        ? new Date(Number(value)).toISOString()
        : String(value),
  );
  return found;
}
