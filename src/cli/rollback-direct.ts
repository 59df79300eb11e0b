/**
 * The flip back that needs the source's control schema and nothing else: no Temporal, no worker, no Redis.
 *
 * Only tenants in `read-target` are flipped, all in one transaction; whoever else was named is refused with
 * the reason. Redis hears of it if it can; the nodes' poll finds it anyway.
 */
import { randomUUID } from 'node:crypto';

import { SECOND } from '../domain/duration.ts';
import { readStages, type StageRow } from '../db/stages.ts';
import type { Pair } from '../db/tracked.ts';
import { tripBackMany } from '../db/trip-back-many.ts';
import type { Handler } from './commands.ts';
import type { Context } from './context.ts';
import { dryRunOf, type Preview } from './dry-run.ts';
import { CliFailure } from './exit.ts';
import { awaitNodes, sayFollowed, type Followed } from './following.ts';
import type { Input } from './input.ts';
import { redisAway } from './redis.ts';
import { oneLine, type Outcome } from './terminal.ts';

const REDIS_WITHIN = 300;
const NODES_WITHIN = 10 * SECOND;
const NEXT_MAX = 5;

interface Refused {
  readonly tenant: string;
  readonly why: string;
}

export const run: Handler = async (context, input) => {
  const named = namedBy(input);
  return rollBack(context, input, named, named === null);
};

export const dryRun = dryRunOf((context, input) => previewRollBack(context, namedBy(input)));

function namedBy(input: Input): string[] | null {
  const named = [...new Set(input.words)];
  const all = input.has('all');
  if (all === named.length > 0)
    throw new CliFailure('usage', 'rollback --direct needs tenants, or --all, and not both');
  return all ? null : named;
}

/** @param named null: every tenant, and nobody is refused */
export async function previewRollBack(
  context: Context,
  named: readonly string[] | null,
): Promise<Preview & { readonly blocks: readonly string[] }> {
  await context.who();
  const pair = await context.pair();
  const among = named === null ? null : new Set(named);
  const flips = (await readStages(pair.source, pair.control, -1)).filter(
    ({ tenant, stage }) => stage === 'read-target' && (among === null || among.has(tenant)),
  );
  const refused = named === null ? [] : await whoWasNot(pair, named, flips);
  return {
    changes: flips.map(({ tenant, stage }) => ({ tenant, what: 'stage', from: stage, to: 'shadow-read' })),
    blocks: refused.map(({ tenant, why }) => `${tenant}: ${why}`),
  };
}

/**
 * @param named null: every tenant
 * @param areMany not named one by one: those that do not read from the target are only listed
 */
export async function rollBack(
  context: Context,
  input: Input,
  named: readonly string[] | null,
  areMany: boolean,
): Promise<Outcome> {
  const who = await context.who();
  const pair = await context.pair();
  const publisher = await openPublisher(context);
  const requestId = input.text('requestId') ?? randomUUID();
  const flipped = await tripBackMany(pair, named, { ...who, requestId });
  const refused = await whoWasNot(pair, named, flipped);
  const published = flipped.length > 0 && (await publisher.ready(REDIS_WITHIN));
  if (published) await Promise.all(flipped.map((row) => publisher.publish(row)));
  const away = redisAway(await context.plan(), context);
  const redis = published
    ? 'Redis told the nodes'
    : `${away ?? 'The plan names no Redis'}: the nodes find the flip at their poll`;
  const last = flipped.at(-1);
  const followed = last === undefined ? null : await awaitNodes(pair, last, NODES_WITHIN);
  return {
    data: { requestId, published, nodes: followed, flipped: flipped.map(shown), refused },
    lines: [
      ...flipped.map(
        (row) => `${oneLine(row.tenant)}: reads come from the source (shadow-read, epoch ${row.epoch}).`,
      ),
      ...refused.map(
        ({ tenant, why }) => `${oneLine(tenant)}: ${areMany ? 'left alone' : 'refused'}: ${why}.`,
      ),
      ...summary({ flipped, followed, redis, all: named === null }),
    ],
    next: flipped.slice(0, NEXT_MAX).map((row) => context.line('why', row.tenant)),
    kind: kindOf({ refused, areMany, followed }),
  };
}

const shown = ({ tenant, stage, epoch, version }: StageRow) => ({ tenant, stage, epoch, version });

async function whoWasNot(
  pair: Pair,
  named: readonly string[] | null,
  flipped: readonly StageRow[],
): Promise<Refused[]> {
  const done = new Set(flipped.map(({ tenant }) => tenant));
  const standing = new Map(
    (await readStages(pair.source, pair.control, -1)).map(({ tenant, stage }) => [tenant, stage]),
  );
  return (named ?? [...standing.keys()])
    .filter((tenant) => !done.has(tenant))
    .map((tenant) => {
      const stage = standing.get(tenant);
      const why =
        stage === undefined ? 'it was never started' : `it is in ${stage}, so its reads come from the source`;
      return { tenant, why };
    });
}

interface Summary {
  readonly flipped: readonly StageRow[];
  readonly followed: Followed | null;
  readonly redis: string;
  readonly all: boolean;
}

function summary({ flipped, followed, redis, all }: Summary): string[] {
  if (followed === null)
    return [all ? 'No tenant reads from the target: nothing was flipped.' : 'Nothing was flipped.'];
  return [
    `${redis}; ${sayFollowed(followed)}.`,
    `Dual writes go on. ${flipped.length === 1 ? 'Its workflow adopts' : 'Their workflows adopt'} the flip: shadow, stopped.`,
  ];
}

/** Of many, every tenant that read from the target was flipped. */
function kindOf({
  refused,
  areMany,
  followed,
}: {
  refused: readonly Refused[];
  areMany: boolean;
  followed: Followed | null;
}) {
  if (refused.length > 0 && !areMany) return 'refused' as const;
  return followed !== null && followed.following < followed.live ? ('timed-out' as const) : ('ok' as const);
}

async function openPublisher(context: Context) {
  const { openPublisher: open } = await import('../connect.ts');
  const publisher = open(await context.plan(), context.env);
  context.closeLater(() => publisher.close());
  return publisher;
}
