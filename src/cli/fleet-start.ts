/** Starts the fleet's workflow: the plan's waves become its roster, and tenants start wave by wave. */
import { fleetWorkflowId, taskQueue } from '../domain/ids.ts';
import { fleetPlan } from '../domain/plan.ts';
import { enroll } from '../db/fleet.ts';
import { loadTracked } from '../db/tracked.ts';
import type { FleetInput } from '../../workflows/messages.ts';
import type { Handler } from './commands.ts';
import { CliFailure } from './exit.ts';
import { noteWithoutWorker, openRun, requireAttributes } from './start.ts';

export const run: Handler = async (context) => {
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
