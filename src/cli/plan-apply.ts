/** Gives running migrations the plan as the file has it now, and says what changes. */
import { defaultPayloadConverter } from '@temporalio/common';
import type { Client } from '@temporalio/client';

import { formatDuration } from '../domain/duration.ts';
import { tenantPlan, type TenantPlan } from '../domain/plan.ts';
import { appendAudit } from '../db/stages.ts';
import type { TenantInput } from '../../workflows/messages.ts';
import type { Handler } from './commands.ts';
import { tenantsOf, type Context } from './context.ts';
import { CliFailure } from './exit.ts';
import { noRun } from './order.ts';
import { oneLine } from './terminal.ts';

interface Applied {
  readonly tenant: string;
  readonly changes: readonly string[];
}

export const run: Handler = async (context, input) => {
  const plan = await context.plan();
  const one = input.word(0);
  const who = await context.who();
  const tenants = one === null ? tenantsOf(plan) : [await context.tenant(one)];
  const [pair, { client }] = await Promise.all([context.pair(), context.temporal()]);
  const applied: Applied[] = [];
  for (const tenant of tenants) {
    const running = await planOfRun(client, await context.workflowId(tenant));
    if (running === null) {
      if (one !== null) throw await noRun(context, tenant);
      continue;
    }
    const changes = differences(running, tenantPlan(plan, tenant));
    if (changes.length > 0) {
      await client.workflow
        .getHandle(await context.workflowId(tenant))
        .signal('applyPlan', tenantPlan(plan, tenant));
      await appendAudit(pair.source, pair.control, {
        tenant,
        event: 'plan',
        before: null,
        after: null,
        epoch: null,
        requestId: null,
        actor: who.actor,
        reason: `${who.reason} (${changes.join('; ')})`,
      });
    }
    applied.push({ tenant, changes });
  }
  if (applied.length === 0)
    throw new CliFailure('not-found', 'no migration of this plan is running', {
      next: [context.change('start', 'TENANT')],
    });
  return { data: { applied }, lines: applied.flatMap(say), next: nextOf(context, applied) };
};

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
async function planOfRun(client: Client, workflowId: string): Promise<TenantPlan | null> {
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
          return [defaultPayloadConverter.fromPayload<TenantPlan>(signaled.input!.payloads![0]!)];
        return started
          ? [defaultPayloadConverter.fromPayload<TenantInput>(started.input!.payloads![0]!).plan]
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
export function differences(before: TenantPlan, after: TenantPlan): string[] {
  const from = flat(before);
  const to = flat(after);
  return [...new Set([...from.keys(), ...to.keys()])]
    .filter((path) => from.get(path) !== to.get(path))
    .map((path) => `${path}: ${from.get(path) ?? 'not set'} → ${to.get(path) ?? 'not set'}`);
}

const DURATIONS_OF_LIMITS = new Set(['limits.windowTarget', 'limits.throttle.replicaLag']);

function flat(value: unknown, path = '', found = new Map<string, string>()): Map<string, string> {
  if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value))
      flat(inner, path === '' ? key : `${path}.${key}`, found);
    return found;
  }
  const isDuration = path.startsWith('durations.') || DURATIONS_OF_LIMITS.has(path);
  found.set(path, isDuration ? formatDuration(Number(value)) : String(value));
  return found;
}
