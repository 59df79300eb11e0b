/** Takes capture away. Reads go back to the source before the first trigger goes: without capture the target falls behind. */
import { captureTriggers, uninstallCapture } from '../db/capture.ts';
import { readMigrations, tripBack, type Migration } from '../db/migrations.ts';
import { appendAudit, markDirty, readStages } from '../db/stages.ts';
import type { Handler } from './commands.ts';
import { some, type Context } from './context.ts';
import { dryRunOf } from './dry-run.ts';
import { CliFailure } from './exit.ts';
import type { Input } from './input.ts';
import { quoted } from './terminal.ts';

const onItsWay = ({ phase }: Migration): boolean => phase !== 'preflight' && phase !== 'aborted';

/** @returns tenants that would have to start again. @throws CliFailure unless the words say that it is meant */
async function givenUp(context: Context, input: Input): Promise<string[]> {
  const plan = await context.plan();
  const confirmed = input.text('confirm');
  if (confirmed !== plan.name) {
    const given = confirmed === null ? '' : `; --confirm ${quoted(confirmed)} is not that`;
    const message = `uninstall gives up capture; say so with --confirm and the plan's name${given}`;
    throw new CliFailure('usage', message, { next: [context.change('uninstall', '--confirm', plan.name)] });
  }
  await context.who();
  const pair = await context.pair();
  const moving = (await readMigrations(pair.source, pair.control))
    .filter(onItsWay)
    .map(({ tenant }) => tenant);
  if (moving.length > 0 && !input.has('force')) {
    const message = `${moving.length} tenants are on their way (${some(moving)}) and would have to start again; abort them, or give --force`;
    throw new CliFailure('refused', message, { next: [context.line('status')] });
  }
  return moving;
}

export const dryRun = dryRunOf(async (context, input) => {
  const moving = await givenUp(context, input);
  const pair = await context.pair();
  const stages = await readStages(pair.source, pair.control, -1);
  const triggers = await captureTriggers(pair);
  return {
    changes: [
      ...stages
        .filter(({ tenant }) => moving.includes(tenant))
        .flatMap(({ tenant, stage, dirty }) => [
          ...(stage === 'read-target' ? [{ tenant, what: 'stage', from: stage, to: 'shadow-read' }] : []),
          ...(dirty ? [] : [{ tenant, what: 'dirty', from: 'no', to: 'yes: read from the source' }]),
        ]),
      ...triggers.map((name) => ({ tenant: null, what: `trigger ${name}`, from: 'stands', to: null })),
    ],
  };
});

export const run: Handler = async (context, input) => {
  const moving = await givenUp(context, input);
  const [plan, who, pair] = await Promise.all([context.plan(), context.who(), context.pair()]);
  for (const tenant of moving) await tripBack(pair, tenant, who.actor, `uninstall: ${who.reason}`);
  if (moving.length > 0) {
    const why = { actor: who.actor, reason: `capture was uninstalled: ${who.reason}` };
    await markDirty(pair.source, pair.control, moving, true, why);
  }
  const triggers = await uninstallCapture(pair, (line) => context.terminal.note(line));
  await appendAudit(pair.source, pair.control, {
    tenant: '',
    event: 'uninstall',
    before: null,
    after: null,
    epoch: null,
    requestId: null,
    ...who,
  });
  return {
    data: { plan: plan.name, triggers, givenUp: moving },
    lines: [
      triggers.length === 0
        ? 'No trigger stood: capture was off already.'
        : `Capture is off: ${triggers.length} triggers are gone.`,
      'Given up: from now on writes are not journaled, the target falls behind, and every tenant needs a new backfill and a clean pass.',
      ...(moving.length === 0 ? [] : [`Reads of ${some(moving)} come from the source.`]),
      `Kept: the control schema ${pair.control} on both sides, its audit and evidence, and every row of the target.`,
    ],
    next: [context.change('install')],
  };
};
