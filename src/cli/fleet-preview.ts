/** What an order to the fleet would do: judged as its workflow does, over the record and the roster that stand. */
import { readFleet, readRoster, type Enrolled, type FleetRow } from '../db/fleet.ts';
import { readMigration } from '../db/migrations.ts';
import { judgeFleet, type FleetCommand, type FleetCommandName } from '../domain/fleet-command.ts';
import { fleetWorkflowId } from '../domain/ids.ts';
import type { Context } from './context.ts';
import type { Handler } from './commands.ts';
import { dryRunOf, type Change, type Preview } from './dry-run.ts';
import { commandOf, noFleet, payloadOf, type FleetPayload } from './fleet-order.ts';
import { openRun } from './start.ts';

interface Standing {
  readonly fleet: Pick<FleetRow, 'mode' | 'reason' | 'wave'>;
  readonly waves: readonly string[];
  /** Of the tenant that the order names. */
  readonly enrolled: Enrolled | null;
  readonly started: boolean;
}

export const orderPreview = (name: FleetCommandName): Handler =>
  dryRunOf(async (context, input) => {
    const payload = await payloadOf(context, name, input);
    return preview(context, commandOf(name, payload), payload);
  });

async function preview(context: Context, command: FleetCommand, payload: FleetPayload): Promise<Preview> {
  const [plan, pair, { client }] = await Promise.all([context.plan(), context.pair(), context.temporal()]);
  const workflowId = fleetWorkflowId(plan.name);
  if ((await openRun(client, workflowId)) === null) throw noFleet(context);
  const waves = plan.waves.map(({ name }) => name);
  const [row, roster, migration] = await Promise.all([
    readFleet(pair.source, pair.control),
    readRoster(pair.source, pair.control),
    command.tenant === null ? null : readMigration(pair.source, pair.control, command.tenant),
  ]);
  const standing: Standing = {
    // A run that no worker took up yet has no record.
    fleet: row ?? { mode: 'running', reason: null, wave: waves[0] ?? '' },
    waves,
    enrolled: roster.find(({ tenant }) => tenant === command.tenant) ?? null,
    started: migration !== null && migration.phase !== 'aborted',
  };
  const judged =
    judgeFleet(command, { ...standing.fleet, waves }) ?? ROSTER[command.name](command.tenant ?? '', standing);
  if (judged !== null) return { changes: [], blocks: [judged], next: [context.line('fleet', 'status')] };
  return {
    changes: [EFFECTS[command.name](command, standing)],
    sends: [{ to: workflowId, as: 'update', name: command.name, payload }],
  };
}

type Judge = (tenant: string, standing: Standing) => string | null;
const never: Judge = () => null;

/** What the workflow finds when it carries the order out. */
const ROSTER: Readonly<Record<FleetCommandName, Judge>> = {
  pause: never,
  resume: never,
  advance: never,
  add: (tenant, { enrolled }) => (enrolled === null ? null : `${tenant} is in the fleet already`),
  remove: (tenant, { enrolled, started }) =>
    enrolled === null || started
      ? `${tenant} was started, or is not in the fleet; hold it, or abort it first`
      : null,
  hold: (tenant, { enrolled }) =>
    enrolled === null || enrolled.held !== null ? `${tenant} is not in the fleet, or is held already` : null,
  release: (tenant, { enrolled }) =>
    enrolled?.held == null ? `${tenant} is not in the fleet, or is not held` : null,
};

type Effect = (command: FleetCommand, standing: Standing) => Change;

const ofFleet = (what: string, from: string, to: string): Change => ({ tenant: null, what, from, to });

const EFFECTS: Readonly<Record<FleetCommandName, Effect>> = {
  pause: (_, { fleet }) => ofFleet('mode', fleet.mode, 'paused'),
  resume: (_, { fleet }) => ofFleet('mode', fleet.mode, 'running'),
  advance: (_, { fleet, waves }) =>
    ofFleet('wave under way', fleet.wave, waves[waves.indexOf(fleet.wave) + 1]!),
  add: ({ tenant, wave }) => ({ tenant, what: 'wave', from: null, to: wave }),
  remove: ({ tenant }, { enrolled }) => ({ tenant, what: 'wave', from: enrolled!.wave, to: null }),
  hold: ({ tenant, actor, reason }) => ({
    tenant,
    what: 'held',
    from: null,
    to: `held by ${actor}: ${reason}`,
  }),
  release: ({ tenant }, { enrolled }) => ({ tenant, what: 'held', from: enrolled!.held, to: null }),
};
