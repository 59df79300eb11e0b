/** Reads of a wave, or of everybody, back on the source: in the database, in one transaction; then the fleet is paused. */
import { randomUUID } from 'node:crypto';

import { fleetWorkflowId } from '../domain/ids.ts';
import { readRoster } from '../db/fleet.ts';
import type { Handler } from './commands.ts';
import type { Context } from './context.ts';
import { dryRunOf } from './dry-run.ts';
import { CliFailure } from './exit.ts';
import { send } from './fleet-order.ts';
import type { Input } from './input.ts';
import { previewRollBack, rollBack } from './rollback-direct.ts';
import { oneLine } from './terminal.ts';

/** @returns null: everybody */
async function named(context: Context, input: Input): Promise<string[] | null> {
  const wave = input.text('wave');
  if (input.has('all') === (wave !== null))
    throw new CliFailure('usage', 'fleet rollback needs --wave NAME, or --all, and not both');
  return wave === null ? null : tenantsIn(context, wave);
}

/** Whoever of a wave does not read from the target is left alone, and no obstacle. */
export const dryRun = dryRunOf(async (context, input) => {
  const { changes } = await previewRollBack(context, await named(context, input));
  const { actor, reason } = await context.who();
  const payload = { requestId: randomUUID(), actor, reason: `fleet rollback: ${reason}` };
  const to = fleetWorkflowId((await context.plan()).name);
  return { changes, sends: [{ to, as: 'update', name: 'pause', payload }] };
});

export const run: Handler = async (context, input) => {
  const done = await rollBack(context, input, await named(context, input), true);
  const paused = await pauseFleet(context);
  return { ...done, data: { ...done.data, fleet: paused }, lines: [...done.lines, paused] };
};

async function tenantsIn(context: Context, wave: string): Promise<string[]> {
  const pair = await context.pair();
  const roster = await readRoster(pair.source, pair.control);
  const tenants = roster.filter((one) => one.wave === wave).map(({ tenant }) => tenant);
  if (tenants.length > 0) return tenants;
  const waves = [...new Set(roster.map((one) => one.wave))];
  throw new CliFailure(
    'not-found',
    `the fleet has no wave ${oneLine(wave)}; it has ${waves.map(oneLine).join(', ') || 'none'}`,
  );
}

/** The reads are back already: whatever becomes of this is only said. */
async function pauseFleet(context: Context): Promise<string> {
  const { actor, reason } = await context.who();
  try {
    await send(context, 'pause', { requestId: randomUUID(), actor, reason: `fleet rollback: ${reason}` });
    return 'The fleet is paused: it starts no further tenant.';
  } catch (error) {
    const why = error instanceof Error ? oneLine(error.message) : 'unknown';
    return `The fleet could not be paused (${why}); it may start further tenants: switchback fleet pause --reason "..."`;
  }
}
