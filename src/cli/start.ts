/** Starts a tenant's workflow, the shared tables' first, or takes up a tenant whose run is gone. */
import type { Client } from '@temporalio/client';

import { COMMAND_NAMES } from '../domain/command.ts';
import { taskQueue } from '../domain/ids.ts';
import { tenantPlan, type Plan } from '../domain/plan.ts';
import { SHARED } from '../domain/stage.ts';
import { planOf } from '../domain/tenant-schema.ts';
import { formatProblem } from '../domain/errors.ts';
import { readMigration } from '../db/migrations.ts';
import { appendAudit } from '../db/stages.ts';
import type { Pair } from '../db/tracked.ts';
import type { TenantInput } from '../../workflows/messages.ts';
import { captureFacts, captureNote } from './capture-text.ts';
import { checkCluster } from './cluster.ts';
import type { Handler } from './commands.ts';
import type { Context, Who } from './context.ts';
import { dryRunOf, type Send } from './dry-run.ts';
import { CliFailure } from './exit.ts';
import type { Input } from './input.ts';
import { oneLine } from './terminal.ts';

/** The same questions as a start asks; then what preflight, its first phase, would find. */
export const dryRun = dryRunOf(async (context, input) => {
  const { scene, tenant } = await setTheScene(context, input);
  const { plan, pair, client } = scene;
  const workflowId = await context.workflowId(tenant);
  const adopting = input.has('adopt');
  const isOpen = (await openRun(client, workflowId)) !== null;
  if (!adopting) await requireFresh(scene, tenant);
  const tenants = [...((await sharedToStart(scene, tenant)) ? [SHARED] : []), ...(isOpen ? [] : [tenant])];
  const { preflight } = await import('../db/preflight.ts');
  const problems = adopting ? [] : await preflight(plan, { source: pair.source, target: pair.target });
  const starts = tenants.map(async (one): Promise<Send> => {
    const start: TenantInput = {
      tenant: one,
      plan: tenantPlan(plan, one),
      adopt: adopting && one === tenant,
      by: scene.who,
    };
    return { to: await context.workflowId(one), as: 'start', name: 'tenantMigration', payload: start };
  });
  return {
    changes: adopting
      ? [{ tenant, what: 'run', from: isOpen ? 'open' : 'gone', to: 'has the tenant, held' }]
      : tenants.map((one) => ({ tenant: one, what: 'phase', from: null, to: 'preflight' })),
    sends: [
      ...(await Promise.all(starts)),
      ...(adopting && isOpen
        ? [{ to: workflowId, as: 'signal' as const, name: 'adopt', payload: scene.who }]
        : []),
    ],
    waits: problems.map((problem) => `preflight: ${formatProblem(problem)}`),
  };
});

async function setTheScene(
  context: Context,
  input: Input,
): Promise<{ readonly scene: Scene; readonly tenant: string }> {
  const plan = await context.plan();
  const tenant = await context.tenant(input.tenant);
  const who = await context.who();
  const [pair, temporal] = await Promise.all([context.pair(), context.temporal()]);
  await requireInstalled(context, pair, tenant);
  await requireAttributes(context);
  return { scene: { context, plan, pair, client: temporal.client, who }, tenant };
}

export const run: Handler = async (context, input) => {
  const { scene, tenant } = await setTheScene(context, input);
  const { plan } = scene;
  const began: Began[] = [];
  if (await sharedToStart(scene, tenant)) began.push(await launch(scene, SHARED, false));
  began.push(await (input.has('adopt') ? adopt(scene, tenant) : startNew(scene, tenant)));
  await noteWithoutWorker(scene);
  const capture = captureFacts(plan.capture);
  return {
    data: { started: began, ...capture },
    lines: [...began.map(say), ...captureNote(capture)],
    next: [context.line('status', tenant, '--watch'), context.line('why', tenant)],
  };
};

interface Scene {
  readonly context: Context;
  readonly plan: Plan;
  readonly pair: Pair;
  readonly client: Client;
  readonly who: Who;
}

interface Began {
  readonly tenant: string;
  readonly how: 'started' | 'adopted' | 'signalled';
  readonly workflowId: string;
  readonly runId: string;
}

// prettier-ignore
const SAYS: Readonly<Record<Began['how'], string>> = {
  started: 'started',
  adopted: 'taken up by a new run where its record stands, held; resume goes on',
  signalled: 'its run is open and was told to take the tenant up where its record stands, held; resume goes on',
};

const say = ({ tenant, how, workflowId }: Began): string =>
  `${oneLine(tenant)}: ${SAYS[how]} (workflow ${workflowId}).`;

/** Unknown schema or table becomes "nothing is installed", with the command. */
async function requireInstalled(context: Context, pair: Pair, tenant: string): Promise<void> {
  const { homes, loadTracked } = await import('../db/tracked.ts');
  const next = [context.change('install')];
  if ((await loadTracked(pair)).all().length === 0)
    throw new CliFailure('not-found', 'no table is tracked yet', { next });
  if ((await homes(pair)).every(({ owner }) => owner !== null && owner !== tenant))
    throw new CliFailure('not-found', `no table of ${oneLine(tenant)} is tracked yet`, { next });
}

export async function requireAttributes(context: Context): Promise<void> {
  const { missing, names, retention } = await checkCluster(await context.temporal(), await context.plan());
  if (missing.length > 0) {
    const message = `the namespace has no search attributes ${names.join(', ')}; create them, then start again`;
    throw new CliFailure('usage', message, { next: missing });
  }
  if (retention !== null) {
    const { namespace } = (await context.plan()).temporal;
    const message = `namespace ${namespace} ${retention.says}; ${retention.remedy}`;
    throw new CliFailure('usage', message, { next: [retention.command] });
  }
}

const WORKFLOW_TASKS = 1;

/** A run waits for a worker for ever, and `status` knows nothing of it until one took it up. */
export async function noteWithoutWorker({
  context,
  plan,
  client,
}: Pick<Scene, 'context' | 'plan' | 'client'>): Promise<void> {
  const name = taskQueue(plan.name, 'control');
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: plan.temporal.namespace,
    taskQueue: { name },
    taskQueueType: WORKFLOW_TASKS,
  });
  if ((pollers ?? []).length > 0) return;
  context.terminal.note(
    `note: no worker polls ${name} yet, so nothing moves; start one: ${context.line('worker')}`,
  );
}

/** The shared tables move before the first tenant. */
async function sharedToStart(scene: Scene, tenant: string): Promise<boolean> {
  const { context, plan, client } = scene;
  if (tenant === SHARED || !tenantPlan(plan, tenant).hasShared) return false;
  if ((await openRun(client, await context.workflowId(SHARED))) !== null) return false;
  await requireFresh(scene, SHARED);
  return true;
}

async function startNew(scene: Scene, tenant: string): Promise<Began> {
  await requireFresh(scene, tenant);
  return launch(scene, tenant, false);
}

/** @throws CliFailure when the tenant runs, or stands somewhere without its run */
async function requireFresh({ context, pair, client }: Scene, tenant: string): Promise<void> {
  const open = await openRun(client, await context.workflowId(tenant));
  if (open !== null) throw running(context, tenant);
  const record = await readMigration(pair.source, pair.control, tenant);
  if (record !== null && record.phase !== 'aborted') throw goneRun(context, tenant, record.phase);
}

async function adopt(scene: Scene, tenant: string): Promise<Began> {
  const { context, client } = scene;
  const workflowId = await context.workflowId(tenant);
  const runId = await openRun(client, workflowId);
  if (runId === null) return launch(scene, tenant, true);
  await client.workflow.getHandle(workflowId).signal('adopt', scene.who);
  await audit(scene, tenant, 'start --adopt');
  return { tenant, how: 'signalled', workflowId, runId };
}

const running = (context: Context, tenant: string): CliFailure =>
  new CliFailure('refused', `${oneLine(tenant)} is running already`, {
    next: [context.line('status', tenant)],
  });

const goneRun = (context: Context, tenant: string, phase: string): CliFailure =>
  new CliFailure(
    'refused',
    `${oneLine(tenant)} stands in ${phase}, but its run is gone; take it up with --adopt`,
    {
      next: [context.change('start', tenant, '--adopt')],
    },
  );

/** @returns the id of the run that is open, or null. */
export async function openRun(client: Client, workflowId: string): Promise<string | null> {
  const { WorkflowNotFoundError } = await import('@temporalio/client');
  try {
    const { status, runId } = await client.workflow.getHandle(workflowId).describe();
    return status.name === 'RUNNING' ? runId : null;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

async function launch(scene: Scene, tenant: string, adopting: boolean): Promise<Began> {
  const { context, plan, client, who } = scene;
  const [{ WorkflowExecutionAlreadyStartedError }, { defineSearchAttributeKey, SearchAttributeType }] =
    await Promise.all([import('@temporalio/client'), import('@temporalio/common')]);
  const workflowId = await context.workflowId(tenant);
  const input: TenantInput = { tenant, plan: tenantPlan(plan, tenant), adopt: adopting, by: who };
  const keyword = (name: string, value: string) => ({
    key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD),
    // By characters: half of an emoji is none.
    value: Array.from(value).slice(0, 255).join(''),
  });
  try {
    const handle = await client.workflow.start('tenantMigration', {
      workflowId,
      taskQueue: taskQueue(plan.name, 'control'),
      args: [input],
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      workflowIdConflictPolicy: 'FAIL',
      typedSearchAttributes: [
        keyword('SwitchbackTenant', tenant),
        keyword('SwitchbackWave', input.plan.wave),
        ...(adopting ? [] : [keyword('SwitchbackPhase', 'preflight'), keyword('SwitchbackMode', 'running')]),
      ],
      staticSummary: summary(`${plan.name}: move ${tenant}`),
      staticDetails: details(scene, tenant),
    });
    await audit(scene, tenant, adopting ? 'start --adopt' : 'start');
    return { tenant, how: adopting ? 'adopted' : 'started', workflowId, runId: handle.firstExecutionRunId };
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) throw running(context, tenant);
    throw error;
  }

  function details({ pair }: Scene, name: string): string {
    const place = planOf(plan, name);
    return [
      `Moves tenant **${oneLine(name)}** of migration **${plan.name}** (wave ${input.plan.wave}).`,
      '',
      `- source \`${place.source.schema}\`, target \`${place.target.schema}\`, control schema \`${pair.control}\``,
      `- started by ${who.actor}: ${who.reason}`,
      `- \`switchback status ${oneLine(name)}\`, \`switchback why ${oneLine(name)}\` work without a worker`,
      `- signals: ${COMMAND_NAMES.join(', ')}; *Send a Signal* shows what each takes`,
    ].join('\n');
  }
}

/** The server takes at most 400 bytes. */
const summary = (text: string): string => oneLine(text).slice(0, 100);

const audit = ({ pair, who }: Scene, tenant: string, event: string): Promise<void> =>
  appendAudit(pair.source, pair.control, {
    tenant,
    event,
    before: null,
    after: null,
    epoch: null,
    requestId: null,
    ...who,
  });
