/** Where the waves stand, and the latest decisions: from the control schema, without Temporal and without a worker. */
import { readDecisions, readFleet, readRoster, type FleetDecision } from '../db/fleet.ts';
import { countWaves } from '../db/fleet-look.ts';
import type { WaveCounts } from '../domain/wave.ts';
import type { Handler } from './commands.ts';
import { CliFailure } from './exit.ts';
import { aligned } from './status-text.ts';
import { oneLine, type Terminal } from './terminal.ts';

const DECISIONS = 5;
const HEADS = [
  '',
  'WAVE',
  'TENANTS',
  'NOT STARTED',
  'MOVING',
  'IN RAMP',
  'SOAKED',
  'STOPPED',
  'HELD',
  'ABORTED',
];

export const run: Handler = async (context) => {
  const plan = await context.plan();
  const pair = await context.pair();
  const fleet = await readFleet(pair.source, pair.control);
  if (fleet === null)
    throw new CliFailure('not-found', 'the fleet was not started yet', {
      next: [context.change('fleet', 'start')],
    });
  const [waves, decisions, roster] = await Promise.all([
    countWaves(pair.source, pair.control, plan.waves),
    readDecisions(pair.source, pair.control, DECISIONS),
    readRoster(pair.source, pair.control),
  ]);
  const held = roster.filter((one) => one.held !== null);
  const isHeld = fleet.mode === 'paused' || fleet.mode === 'stopped';
  return {
    data: {
      wave: fleet.wave,
      mode: fleet.mode,
      reason: fleet.reason,
      since: new Date(fleet.since).toISOString(),
      waves,
      held,
      decisions,
    },
    lines: [
      `Wave ${oneLine(fleet.wave)}, ${fleet.mode}${fleet.reason === null ? '' : `: ${oneLine(fleet.reason)}`}`,
      '',
      ...table(context.terminal, fleet.wave, waves),
      ...held.map(({ tenant, held: why }) => `${oneLine(tenant)}: ${oneLine(why!)}`),
      ...(decisions.length === 0 ? [] : ['', 'Latest decisions:', ...decisions.map(say)]),
    ],
    next: isHeld
      ? [...(fleet.mode === 'stopped' ? [context.line('status')] : []), context.change('fleet', 'resume')]
      : [context.line('status', '--watch')],
  };
};

function table({ colors }: Terminal, current: string, waves: readonly WaveCounts[]): string[] {
  const here = waves.findIndex(({ name }) => name === current);
  return aligned(
    HEADS,
    waves.map(({ name, size, notStarted, moving, ramp, soaked, stopped, held, aborted }, place) => [
      place < here ? '✓' : place === here ? '▶' : '·',
      oneLine(name),
      ...[size, notStarted, moving, ramp, soaked].map(String),
      stopped > 0 ? colors.red(String(stopped)) : '0',
      ...[held, aborted].map(String),
    ]),
  );
}

const say = ({ at, event, wave, actor, reason }: FleetDecision): string =>
  `  ${at.slice(0, 19)}Z ${oneLine(event)} (${oneLine(wave)}) by ${oneLine(actor)}: ${oneLine(reason)}`;
