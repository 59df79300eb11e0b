/** Where every tenant stands, or one: from the control schema, without Temporal and without a worker. */
import { alteredTables } from '../db/shapes.ts';
import type { Handler } from './commands.ts';
import { firstTenant, tenantsOf, type Context } from './context.ts';
import { CliFailure } from './exit.ts';
import { readFleet, type Fleet } from './fleet.ts';
import { fleetLines, tenantLines } from './status-text.ts';
import { oneLine, type Outcome } from './terminal.ts';
import { watch } from './watch.ts';

export const run: Handler = async (context, input) => {
  const tenant = input.word(0);
  const look = async () => {
    const outcome = await show(context, tenant);
    return { outcome, facts: factsOf(outcome.data as unknown as Fleet) };
  };
  return input.has('watch') ? watch(context, look) : (await look()).outcome;
};

const factsOf = ({ tenants }: Fleet): string =>
  JSON.stringify(
    tenants.map(({ tenant, phase, mode, reason, stage, epoch, openDrift }) => [
      tenant,
      phase,
      mode,
      reason,
      stage,
      epoch,
      openDrift,
    ]),
  );

const startWorker = (context: Context, { noWorkerForMs }: Fleet): string[] =>
  noWorkerForMs === null ? [] : [context.line('worker')];

async function show(context: Context, tenant: string | null): Promise<Outcome> {
  const plan = await context.plan();
  const pair = await context.pair();
  const fleet = await readFleet(pair, plan, tenantsOf(plan));
  if (tenant === null) {
    const stopped = fleet.tenants.find(({ mode }) => mode === 'stopped');
    const next = [
      ...startWorker(context, fleet),
      ...(stopped === undefined ? [] : [context.line('why', stopped.tenant)]),
      ...(fleet.tenants.length === 0 ? [context.change('start', firstTenant(plan))] : []),
    ];
    return { data: { ...fleet }, lines: fleetLines(context.terminal, fleet), next };
  }
  const state = fleet.tenants.find((candidate) => candidate.tenant === tenant);
  if (state === undefined) {
    await context.tenant(tenant);
    throw new CliFailure('not-found', `${oneLine(tenant)} was not started yet`, {
      next: [context.change('start', tenant)],
    });
  }
  const altered = await alteredTables(pair, tenant);
  const one: Fleet = { ...fleet, tenants: [state], notStarted: [], altered };
  const stands = state.mode === 'stopped' && altered.length > 0;
  return {
    data: { ...one },
    lines: tenantLines(context.terminal, one, state),
    next: [
      ...startWorker(context, fleet),
      ...(stands ? [context.line('plan', 'check'), context.change('retry', tenant)] : []),
      context.line('why', tenant),
    ],
  };
}
