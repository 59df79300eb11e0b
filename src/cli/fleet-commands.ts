/** The rows of `switchback fleet …`. */
import { FLEET_COMMAND_NAMES, FLEET_COMMANDS, type FleetCommandName } from '../domain/fleet-command.ts';
import { REQUEST_ID, WHO, WITHOUT_PAYLOAD, type CommandRow } from './command-row.ts';

const FLEET = 'Move them all:';

// prettier-ignore
const FLEET_EXAMPLES: Readonly<Record<FleetCommandName, string>> = {
  pause:   'fleet pause --reason "month end"',
  resume:  'fleet resume --reason "month end is over"',
  advance: 'fleet advance --reason "approved in CHG-1042"',
  add:     'fleet add newco --reason "signed yesterday"',
  remove:  'fleet remove oldco --reason "leaves us"',
  hold:    'fleet hold acme --reason "their own freeze"',
  release: 'fleet release acme --reason "the freeze is over"',
};

function fleetOrder(name: FleetCommandName): CommandRow {
  const { does, tenant } = FLEET_COMMANDS[name];
  const summary = does.replace(WITHOUT_PAYLOAD, '');
  return {
    name: `fleet ${name}`,
    group: FLEET,
    args: tenant ? ['<tenant>'] : [],
    options: [...WHO, REQUEST_ID],
    summary,
    does: `${summary}${name === 'add' ? " Its wave is the plan's." : ''}\n\nSent to the fleet's workflow as an update; when no worker answers within 3 s, as a signal with the same request id.`,
    examples: [FLEET_EXAMPLES[name]],
    load: async () => {
      const [{ order }, { orderPreview }] = await Promise.all([
        import('./fleet-order.ts'),
        import('./fleet-preview.ts'),
      ]);
      return { run: order(name), dryRun: orderPreview(name) };
    },
  };
}

// prettier-ignore
export const FLEET_ROWS: readonly CommandRow[] = [
  {
    name: 'fleet start', group: FLEET, args: [], options: WHO,
    summary: 'Start the waves of the plan, one after the other.',
    does: "Start the fleet's workflow: tenants start wave by wave, within each wave's limits (atOnce, every, maxStopped); the next wave begins when the one before is in ramp and clean for its soak. Takes the fleet up, held, when its run is gone. Tenants that run already are left alone.",
    examples: ['fleet start --reason "CHG-1042"'],
    load: () => import('./fleet-start.ts'),
  },
  {
    name: 'fleet status', group: FLEET, args: [], options: [],
    summary: 'Where the waves stand, and the latest decisions.',
    does: "Where the waves stand, who is held, and the latest decisions with who took them, from the source's control schema. Needs neither Temporal nor a worker.",
    examples: ['fleet status', "fleet status --json | jq '.waves[].stopped'"],
    load: () => import('./fleet-status.ts'),
  },
  ...FLEET_COMMAND_NAMES.map(fleetOrder),
  {
    name: 'fleet rollback', group: FLEET, args: [],
    options: [
      { flags: '--wave <wave>', does: 'Every tenant of the wave that reads from the target.' },
      { flags: '--all', does: 'Every tenant that reads from the target.' },
      ...WHO, REQUEST_ID,
    ],
    summary: 'Reads of a wave, or of everybody, back on the source; pauses the fleet.',
    does: "Reads of a wave, or of everybody, back on the source: in the database, in one transaction, though Temporal and Redis be down. Dual writes go on; each tenant's workflow takes the flip up as a stop in shadow. Then the fleet is paused.",
    examples: ['fleet rollback --wave first --reason "errors in the portal"', 'fleet rollback --all --reason "Aurora is slow"'],
    load: () => import('./fleet-rollback.ts'),
  },
];
