/**
 * Ten times the load that the pools are made for, with a target that says nothing and a Redis that answers after five
 * seconds: requests are answered or refused at once, and memory is flat. SWITCHBACK_SOAK_MS makes it a soak.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { CaughtUp } from '../../src/app/caught-up.ts';
import { BusyError, type Router } from '../../src/app/index.ts';
import { heapKept, MB } from '../support/heap.ts';
import { Proxy } from '../support/proxy.ts';
import { stackInfo } from '../support/stack.ts';
import { add, bodies, plans, until, useApp } from './support.ts';

const { fixture, open, flip } = useApp();
const LOAD_MS = Number(process.env['SWITCHBACK_SOAK_MS'] ?? 8_000);
const CONNECTIONS = 4;
const WAITING = 40;
/** A request that is refused comes back after so long, as a client does. */
const PAUSE_MS = 20;
const GROWTH_MAX = 12 * MB;
const FIVE_SECONDS = 5_000;

let target: { proxy: Proxy; url: string };
let redis: { proxy: Proxy; url: string };

beforeAll(async () => {
  await fixture().install(plans);
  target = await Proxy.before(stackInfo().targetUrl);
  redis = await Proxy.before(stackInfo().redisUrl);
});
afterAll(() => Promise.all([target.proxy.close(), redis.proxy.close()]));

it(
  'ten times the load is answered or refused, by bounds that are counted, and memory is flat',
  async () => {
    await fixture().start('loaded', 'read-target');
    const router = await open({
      target: target.url,
      redis: redis.url,
      connections: CONNECTIONS,
      waiting: WAITING,
      targetReadMs: 200,
      sampleRate: 1,
      pollMs: 200,
    });
    const statuses = router.buffer<string, string[]>('status', {
      ttl: 50,
      key: (id) => id,
      load: async (conn) => (await conn.query('SELECT 1 AS one'))[0] as unknown as string[],
    });
    await bodies(router, 'loaded');
    target.proxy.set({ kind: 'silent' });
    redis.proxy.set({ kind: 'slow', delayMs: FIVE_SECONDS });
    const endsAt = performance.now() + LOAD_MS;
    const odd: unknown[] = [];
    let answered = 0;
    const lane = async (number: number): Promise<void> => {
      for (let turn = number; performance.now() < endsAt; turn += 1) {
        // Whoever makes tenants up makes no difference either.
        const tenant = turn % 3 === 0 ? 'loaded' : `made up ${number} ${turn}`;
        const request = [
          () => statuses.get(tenant, `${turn}`),
          () => bodies(router, tenant),
          () => (number % 50 === 0 ? add(router, 'loaded', 'x') : bodies(router, 'loaded')),
        ][turn % 3]!;
        try {
          await request();
          answered += 1;
        } catch (error) {
          if (!(error instanceof BusyError)) odd.push(error);
          await sleep(PAUSE_MS);
        }
      }
    };
    const lanes = Array.from({ length: 10 * (CONNECTIONS + WAITING) }, (_, number) => lane(number));

    await sleep(LOAD_MS / 4);
    const early = heapKept();
    await sleep(LOAD_MS * 0.7);
    const late = heapKept();
    await Promise.all(lanes);

    console.log(
      `${answered} answered, ${router.stats().refused} refused; heap ${(early / MB).toFixed(1)} to ${(late / MB).toFixed(1)} MB`,
    );
    expect(odd).toEqual([]);
    expect(answered).toBeGreaterThan(100);
    expect(late - early).toBeLessThan(GROWTH_MAX);
    expect(router.stats().refused).toBeGreaterThan(0);
    target.proxy.set({ kind: 'passes' });
    redis.proxy.set({ kind: 'passes' });
  },
  LOAD_MS + 120_000,
);

describe('a Redis that answers after five seconds', () => {
  const ROUNDS = 40;
  const measure = async (router: Router, tenant: string): Promise<{ median: number; p90: number }> => {
    const took: number[] = [];
    for (let round = 1; round <= ROUNDS; round += 1) {
      const began = performance.now();
      await add(router, tenant, `${round}`);
      await bodies(router, tenant);
      took.push(performance.now() - began);
    }
    took.sort((a, b) => a - b);
    return { median: took[ROUNDS / 2]!, p90: took[ROUNDS * 0.9]! };
  };

  it.each([true, false])(
    'makes no request slower, and no flip is missed (buffers: %s)',
    async (hasBuffer) => {
      const tenant = `slow redis ${hasBuffer}`;
      await fixture().start(tenant, 'shadow-read');
      const router = await open({ redis: redis.url, pollMs: 200 });
      if (hasBuffer) router.buffer('unused', { ttl: 1_000, key: String, load: () => Promise.resolve(null) });
      const usual = await measure(router, tenant);
      redis.proxy.set({ kind: 'slow', delayMs: FIVE_SECONDS });
      const seen = await measure(router, tenant);
      await flip(tenant, 'read-target');
      await until(() => router.stage(tenant) === 'read-target', 'the poll brings the flip', 20_000);
      redis.proxy.set({ kind: 'passes' });

      expect(seen.median).toBeLessThan(Math.max(3 * usual.median, usual.median + 60));
      expect(seen.p90).toBeLessThan(Math.max(3 * usual.p90, usual.p90 + 250));
    },
  );
});

it('what was read of more tenants than are remembered is forgotten to the safe side', () => {
  const stats = { forgotten: 0 };
  // Nothing is asked: whether a tenant is behind is known here.
  const caughtUp = new CaughtUp({} as never, {} as never, { catchUpMs: 1 } as never, stats);
  caughtUp.sourceAnswered('first');
  expect(caughtUp.isBehind('never read')).toBe(false);
  const before = heapKept();

  for (let tenant = 0; tenant < 100_000; tenant += 1) caughtUp.sourceAnswered(`t${tenant}`);

  expect(stats.forgotten).toBe(90_001);
  expect(['first', 't0', 't99999', 'never read'].map((tenant) => caughtUp.isBehind(tenant))).toEqual([
    true,
    true,
    true,
    true,
  ]);
  expect(heapKept() - before).toBeLessThan(12 * MB);
});
