/**
 * The read buffer: a hit against a plain GET of the same value, one at a time and in turns; and how many SELECTs
 * the portal's status path spares its source under a Zipf load, counted by the server (`Com_select`).
 */
import { Redis } from 'ioredis';

import { Portal } from '../examples/sms-portal/portal.ts';
import { seed } from '../examples/sms-portal/seed.ts';
import { createRouter, type Router } from '../src/app/index.ts';
import { installControl } from '../src/db/control.ts';
import { Database } from '../src/db/database.ts';
import { startStack } from '../src/stack/start.ts';
import { machine, median, rounded, type Result } from './result.ts';
import { inTurns, ratioOf, ROUNDS, say } from './rounds.ts';

const HITS = 3_000;
const REQUESTS = 20_000;
const AT_ONCE = 8;
const MESSAGES = 3_000;
/** Zipf's exponent over the messages of a tenant. */
const SKEW = 1.1;
/** One callback of the gateway, which writes, for so many looks at a status. */
const LOOKS_PER_WRITE = [500, 100];

export async function run(): Promise<Result> {
  const stack = await startStack({ only: ['source', 'target', 'redis'], isPrivate: true });
  const [sourceUrl, targetUrl] = [stack.source.url(), stack.target.url()];
  const source = new Database({ side: 'source', url: sourceUrl });
  const target = new Database({ side: 'target', url: targetUrl });
  const redis = new Redis(stack.redis.url);
  const open = (withRedis: boolean): Promise<Router> =>
    createRouter({
      source: sourceUrl,
      target: targetUrl,
      schema: { source: 'sms', target: 'sms' },
      service: 'bench',
      ...(withRedis ? { redis: stack.redis.url } : {}),
    });
  await seed({ url: sourceUrl, messages: MESSAGES });
  await installControl(source, target, 'switchback');
  const [direct, buffered] = [await open(false), await open(true)];
  try {
    const hit = await hits(buffered, redis);
    const [without, withBuffer] = [new Portal(direct), new Portal(buffered)];
    const owners = await ownersOf(source);
    const saved: Record<string, number> = {};
    for (const looks of LOOKS_PER_WRITE) {
      const before = await selectsOf(source, () => load(without, owners, looks));
      const after = await selectsOf(source, () => load(withBuffer, owners, looks));
      saved[`1in${looks}`] = rounded(1 - after / before);
      say(`one write in ${looks}: ${before} SELECTs without, ${after} with`);
    }
    return {
      name: 'buffer',
      machine: machine(),
      versions: { node: process.version, source: (await source.server()).version },
      runs: ROUNDS,
      medians: {
        getUs: rounded(median(hit['get']!)),
        hitUs: rounded(median(hit['hit']!)),
        directReadsSavedAt1WriteIn100: saved['1in100']!,
      },
      ratios: { vsGet: ratioOf(hit['hit']!, hit['get']!), directReadsSaved: saved['1in500']! },
    };
  } finally {
    await Promise.all([direct.close(), buffered.close(), source.close(), target.close()]);
    redis.disconnect();
    await stack.stop();
  }
}

/** Microseconds, p50, of one after the other. */
async function hits(router: Router, redis: Redis): Promise<Record<string, number[]>> {
  const value = { id: 1, body: 'x'.repeat(300) };
  const buffer = router.buffer<string, typeof value>('hit', {
    ttl: 600_000,
    key: (id) => id,
    load: () => Promise.resolve(value),
  });
  await redis.set('plain', JSON.stringify(value));
  while (router.stats().buffers['hit']!.hit === 0) await buffer.get('acme', '1');
  const p50 = async (one: () => Promise<unknown>): Promise<number> => {
    const times: number[] = [];
    for (let count = 0; count < HITS; count += 1) {
      const began = performance.now();
      await one();
      times.push((performance.now() - began) * 1_000);
    }
    return median(times);
  };
  return inTurns({
    get: () => p50(async () => JSON.parse((await redis.get('plain'))!) as unknown),
    hit: () => p50(() => buffer.get('acme', '1')),
  });
}

/** Ids of the messages by tenant, the same order on every run. */
async function ownersOf(source: Database): Promise<Map<string, string[]>> {
  const rows = await source.rows('SELECT id, tenant_id FROM sms.messages ORDER BY id');
  const owners = new Map<string, string[]>();
  for (const row of rows)
    owners.set(row['tenant_id']!, [...(owners.get(row['tenant_id']!) ?? []), row['id']!]);
  return owners;
}

/** The same requests in the same order each time it is called. */
async function load(portal: Portal, owners: Map<string, string[]>, looks: number): Promise<void> {
  const random = seeded(7);
  const tenants = [...owners.keys()];
  let left = REQUESTS;
  const client = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const tenant = tenants[Math.floor(random() * tenants.length)]!;
      const id = zipf(owners.get(tenant)!, random);
      if (left % looks === 0) await portal.report(tenant, id, { status: 'delivered', raw: null });
      else await portal.message(tenant, id);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));
}

const weights = new Map<number, number[]>();

function zipf(ids: readonly string[], random: () => number): string {
  let sums = weights.get(ids.length);
  if (sums === undefined) {
    let sum = 0;
    sums = ids.map((_, rank) => (sum += (rank + 1) ** -SKEW));
    weights.set(ids.length, sums);
  }
  const drawn = random() * sums.at(-1)!;
  return ids[sums.findIndex((sum) => sum >= drawn)]!;
}

/** xorshift32 */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

async function selectsOf(source: Database, work: () => Promise<void>): Promise<number> {
  const count = async (): Promise<number> => {
    const [row] = await source.rows("SHOW GLOBAL STATUS LIKE 'Com_select'");
    return Number(Object.values(row!)[1]);
  };
  const before = await count();
  await work();
  return (await count()) - before;
}
