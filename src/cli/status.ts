/** Where every tenant stands, or one: from the control schema, without Temporal and without a worker. */
import { alteredTables } from '../db/shapes.ts';
import { SHARED } from '../domain/stage.ts';
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
    return { outcome, lines: linesOf(outcome.data as unknown as Fleet) };
  };
  return input.has('watch') ? watch(context, look) : (await look()).outcome;
};

/** What a line printer says of each tenant, without ages. */
const linesOf = ({ tenants, noWorkerForMs }: Fleet): Map<string, string> =>
  new Map([
    ...tenants.map(({ tenant, phase, mode, reason, stage, epoch, openDrift }): [string, string] => [
      tenant,
      `${oneLine(tenant)}: ${phase}, ${mode}${reason === null ? '' : ` (${oneLine(reason)})`}; ${stage}, epoch ${epoch}, ${openDrift} open drift`,
    ]),
    ...(noWorkerForMs === null ? [] : ([['', 'no worker is alive: nothing moves']] as const)),
  ]);

const startWorker = (context: Context, { noWorkerForMs, awaitingWorker }: Fleet): string[] =>
  noWorkerForMs === null && awaitingWorker.length === 0 ? [] : [context.line('worker')];

async function show(context: Context, tenant: string | null): Promise<Outcome> {
  const plan = await context.plan();
  const pair = await context.pair();
  const fleet = await readFleet(pair, plan, tenantsOf(plan));
  if (tenant === null) {
    // The first that needs somebody, else the first that waits for a gate; the shared tables wait for ever.
    const held = ['stopped', 'paused', 'waiting'].flatMap(
      (one) =>
        fleet.tenants.find(
          ({ tenant: name, mode }) => mode === one && (one !== 'waiting' || name !== SHARED),
        ) ?? [],
    );
    const next = [
      ...startWorker(context, fleet),
      ...held.slice(0, 1).map(({ tenant: one }) => context.line('why', one)),
      ...(fleet.tenants.length + fleet.awaitingWorker.length === 0
        ? [context.change('start', firstTenant(plan))]
        : []),
    ];
    return { data: { ...fleet }, lines: fleetLines(context.terminal, fleet), next };
  }
  const state = fleet.tenants.find((candidate) => candidate.tenant === tenant);
  if (state === undefined) {
    await context.tenant(tenant);
    if (fleet.awaitingWorker.includes(tenant))
      throw new CliFailure('not-found', `${oneLine(tenant)} was started, and no worker took it up yet`, {
        next: [context.line('worker')],
      });
    throw new CliFailure('not-found', `${oneLine(tenant)} was not started yet`, {
      next: [context.change('start', tenant)],
    });
  }
  const altered = await alteredTables(pair, tenant);
  const one: Fleet = { ...fleet, tenants: [state], notStarted: [], awaitingWorker: [], altered };
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
