/** What an operator may ask of the fleet; parsed and judged as the orders to one tenant are (`command.ts`). */
import type { Mode } from './phase.ts';

// prettier-ignore
export const FLEET_COMMANDS = {
  pause:   { tenant: false, does: 'Start no further tenant. Those on their way go on.' },
  resume:  { tenant: false, does: 'Go on after a pause, a stop or a rollback of the fleet.' },
  advance: { tenant: false, does: 'Begin the next wave now, although the one before is not clean for its soak.' },
  add:     { tenant: true,  does: 'Take a tenant into a wave: {"tenant": "...", "wave": "..."}.' },
  remove:  { tenant: true,  does: 'Take a tenant that was not started out of the fleet: {"tenant": "..."}.' },
  hold:    { tenant: true,  does: 'Do not start this tenant, and do not wait for it: {"tenant": "..."}.' },
  release: { tenant: true,  does: 'Count a tenant that was held again: {"tenant": "..."}.' },
} as const;

export type FleetCommandName = keyof typeof FLEET_COMMANDS;
export const FLEET_COMMAND_NAMES = Object.keys(FLEET_COMMANDS) as FleetCommandName[];

export interface FleetCommand {
  readonly name: FleetCommandName;
  readonly requestId: string;
  readonly actor: string;
  readonly reason: string;
  readonly tenant: string | null;
  readonly wave: string | null;
}

export type ParsedFleetCommand =
  { readonly ok: true; readonly command: FleetCommand } | { readonly ok: false; readonly why: string };

const EXAMPLE = '{"requestId":"1","actor":"ann","reason":"why"}';
const TEXT_MAX = 1_000;

/** @param payload whatever arrived: nothing, a string, a wrong shape; never throws */
export function parseFleetCommand(name: FleetCommandName, payload: unknown): ParsedFleetCommand {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload))
    return { ok: false, why: `${name} needs one JSON object such as ${EXAMPLE}` };
  const fields = payload as Readonly<Record<string, unknown>>;
  const needed = [
    'requestId',
    'actor',
    'reason',
    ...(FLEET_COMMANDS[name].tenant ? ['tenant'] : []),
    ...(name === 'add' ? ['wave'] : []),
  ];
  const missing = needed.find((field) => !isText(fields[field]));
  if (missing !== undefined)
    return {
      ok: false,
      why: `${name} needs "${missing}", a text of 1 to 1,000 characters, as in ${EXAMPLE}`,
    };
  const text = (field: string): string | null => (needed.includes(field) ? (fields[field] as string) : null);
  return {
    ok: true,
    command: {
      name,
      requestId: text('requestId')!,
      actor: text('actor')!,
      reason: text('reason')!,
      tenant: text('tenant'),
      wave: text('wave'),
    },
  };
}

const isText = (value: unknown): boolean =>
  typeof value === 'string' && value.trim() !== '' && value.length <= TEXT_MAX;

/** What is known of the fleet when an order arrives; the roster is looked at when it is carried out. */
export interface FleetView {
  readonly mode: Mode;
  readonly reason: string | null;
  readonly wave: string;
  readonly waves: readonly string[];
}

/** @returns null when the order may be carried out, else why not and what to do instead. */
export function judgeFleet({ name, wave }: FleetCommand, view: FleetView): string | null {
  switch (name) {
    case 'pause':
      if (view.mode === 'paused') return `already paused: ${view.reason ?? 'no reason given'}`;
      return view.mode === 'stopped' ? `already stopped: ${view.reason ?? 'no reason given'}` : null;
    case 'resume':
      return view.mode === 'paused' || view.mode === 'stopped'
        ? null
        : `not paused: the mode is ${view.mode}`;
    case 'advance':
      if (view.mode === 'paused' || view.mode === 'stopped') return `${view.mode}: resume first`;
      return view.wave === view.waves.at(-1) ? `${view.wave} is the last wave` : null;
    case 'add':
      return view.waves.includes(wave ?? '')
        ? null
        : `no wave "${wave ?? ''}"; there are ${view.waves.join(', ')}`;
    default:
      return null;
  }
}
