/** Starts the fleet's workflow: the plan's waves become its roster, and tenants start wave by wave. */
import { fleetWorkflowId, taskQueue } from '../domain/ids.ts';
import { fleetPlan } from '../domain/plan.ts';
import { enroll, readFleet, readRoster } from '../db/fleet.ts';
import { loadTracked } from '../db/tracked.ts';
import type { FleetInput } from '../../workflows/messages.ts';
import type { Handler } from './commands.ts';
import type { Context } from './context.ts';
import { dryRunOf } from './dry-run.ts';
import { CliFailure } from './exit.ts';
import { noteWithoutWorker, openRun, requireAttributes } from './start.ts';

/** The same questions; then whom the roster would take in, and where the fleet would stand. */
export const dryRun = dryRunOf(async (context) => {
  const { plan, pair, workflowId, who } = await ready(context);
  const [roster, fleet] = await Promise.all([
    readRoster(pair.source, pair.control),
    readFleet(pair.source, pair.control),
  ]);
  const known = new Set(roster.map(({ tenant }) => tenant));
  const added = plan.waves.flatMap(({ name, tenants }) =>
    tenants
      .filter((tenant) => !known.has(tenant))
      .map((tenant) => ({ tenant, what: 'wave', from: null, to: name })),
  );
  const stands =
    fleet === null
      ? { tenant: null, what: 'wave under way', from: null, to: plan.waves[0]!.name }
      : { tenant: null, what: 'fleet', from: 'its run is gone', to: `taken up in ${fleet.wave}, held` };
  const payload: FleetInput = { plan: fleetPlan(plan), by: who };
  return {
    changes: [stands, ...added],
    sends: [{ to: workflowId, as: 'start', name: 'fleetMigration', payload }],
  };
});

/** @throws CliFailure for whatever is in the way */
async function ready(context: Context) {
  const plan = await context.plan();
  const who = await context.who();
  if (plan.waves.length === 0)
    throw new CliFailure('usage', 'the plan has no waves; write waves: with a name and its tenants');
  const [pair, { client }] = await Promise.all([context.pair(), context.temporal()]);
  if ((await loadTracked(pair)).all().length === 0)
    throw new CliFailure('not-found', 'no table is tracked yet', { next: [context.change('install')] });
  await requireAttributes(context);
  const workflowId = fleetWorkflowId(plan.name);
  if ((await openRun(client, workflowId)) !== null)
    throw new CliFailure('refused', 'the fleet is running already', {
      next: [context.line('fleet', 'status')],
    });
  return { plan, pair, client, workflowId, who };
}

export const run: Handler = async (context) => {
  const { plan, pair, client, workflowId, who } = await ready(context);
  await enroll(pair, plan.waves);
  const input: FleetInput = { plan: fleetPlan(plan), by: who };
  const handle = await client.workflow.start('fleetMigration', {
    workflowId,
    taskQueue: taskQueue(plan.name, 'control'),
    args: [input],
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    workflowIdConflictPolicy: 'FAIL',
    staticSummary: `${plan.name}: the fleet`,
    staticDetails: `Moves every wave of migration **${plan.name}**, one after the other. Started by ${who.actor}: ${who.reason}`,
  });
  await noteWithoutWorker({ context, plan, client });
  const tenants = plan.waves.reduce((sum, wave) => sum + wave.tenants.length, 0);
  return {
    data: { workflowId, runId: handle.firstExecutionRunId, waves: plan.waves.length, tenants },
    lines: [
      `The fleet was started: ${tenants} tenants in ${plan.waves.length} waves (workflow ${workflowId}).`,
    ],
    next: [context.line('fleet', 'status'), context.line('status', '--watch')],
  };
};
