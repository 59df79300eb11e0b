/** Reads back on the source: ordered from the workflow, or flipped in the database when there is nobody to order it from. */
import { SECOND } from '../domain/duration.ts';
import type { Handler } from './commands.ts';
import type { Context } from './context.ts';
import { dryRunOf } from './dry-run.ts';
import { CliFailure } from './exit.ts';
import { awaitNodes, awaitOrder, sayFollowed } from './following.ts';
import type { Input } from './input.ts';
import { sendOrder } from './order.ts';
import { oneLine, type Outcome } from './terminal.ts';
import { describe, payloadOf } from './verb.ts';

const FLIP_WITHIN = 15 * SECOND;
const NODES_WITHIN = 10 * SECOND;

function oneTenant(input: Input): string {
  const { words } = input;
  if (input.has('all') || words.length > 1)
    throw new CliFailure('usage', 'rollback takes one tenant; with --direct it takes several, or --all');
  const [tenant] = words;
  if (tenant === undefined)
    throw new CliFailure('usage', 'rollback needs a tenant, such as: switchback rollback acme');
  return tenant;
}

export const dryRun: Handler = async (context, input) => {
  if (input.has('direct')) return (await import('./rollback-direct.ts')).dryRun(context, input);
  const tenant = oneTenant(input);
  const payload = await payloadOf(context, input);
  const { previewOrder } = await import('./order-preview.ts');
  return dryRunOf(() => previewOrder(context, { tenant, name: 'rollback', payload }))(context, input);
};

export const run: Handler = async (context, input) => {
  if (input.has('direct')) return (await import('./rollback-direct.ts')).run(context, input);
  const tenant = oneTenant(input);
  const payload = await payloadOf(context, input);
  const answer = await sendOrder(context, { tenant, name: 'rollback', payload });
  const done = describe(context, { tenant, name: 'rollback', requestId: payload.requestId, answer });
  if (answer.via === 'update') return watchFlip(context, tenant, payload.requestId, done);
  return { ...done, next: [context.change('rollback', tenant, '--direct'), ...(done.next ?? [])] };
};

async function watchFlip(
  context: Context,
  tenant: string,
  requestId: string,
  done: Outcome,
): Promise<Outcome> {
  const pair = await context.pair();
  const row = await awaitOrder(pair, tenant, requestId, FLIP_WITHIN);
  if (row === null) {
    throw new CliFailure(
      'timed-out',
      `${oneLine(tenant)} took the order, but did not flip within 15 s; flip directly`,
      {
        next: [context.change('rollback', tenant, '--direct')],
      },
    );
  }
  const followed = await awaitNodes(pair, row, NODES_WITHIN);
  return {
    ...done,
    data: { ...done.data, stage: row.stage, epoch: row.epoch, nodes: followed },
    lines: [
      ...done.lines,
      `${oneLine(tenant)} is in ${row.stage} (epoch ${row.epoch}): reads come from the source; ${sayFollowed(followed)}.`,
    ],
    kind: followed.following < followed.live ? 'timed-out' : 'ok',
  };
}
