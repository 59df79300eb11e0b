/** What an order to the fleet would do: judged as its workflow does, over the record and the roster that stand. */
import { judgeFleet, type FleetCommand, type FleetCommandName } from '../domain/fleet-command.ts';
import { fleetWorkflowId } from '../domain/ids.ts';
import type { Context } from './context.ts';
import type { Handler } from './commands.ts';
import { dryRunOf, type Change, type Preview } from './dry-run.ts';
import { commandOf, noFleet, payloadOf, type FleetPayload } from './fleet-order.ts';
import { refusalOf, standingOf, type Standing } from './fleet-standing.ts';
import { openRun } from './start.ts';

export const orderPreview = (name: FleetCommandName): Handler =>
  dryRunOf(async (context, input) => {
    const payload = await payloadOf(context, name, input);
    return preview(context, commandOf(name, payload), payload);
  });

async function preview(context: Context, command: FleetCommand, payload: FleetPayload): Promise<Preview> {
  const [plan, { client }] = await Promise.all([context.plan(), context.temporal()]);
  const workflowId = fleetWorkflowId(plan.name);
  if ((await openRun(client, workflowId)) === null) throw noFleet(context);
  const standing = await standingOf(context, command);
  const { fleet, waves } = standing;
  const judged = judgeFleet(command, { ...fleet, waves }) ?? refusalOf(command, standing);
  if (judged !== null) return { changes: [], blocks: [judged], next: [context.line('fleet', 'status')] };
  return {
    changes: [EFFECTS[command.name](command, standing)],
    sends: [{ to: workflowId, as: 'update', name: command.name, payload }],
  };
}

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
