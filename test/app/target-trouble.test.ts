/** Promise P1, on a target of this file's own that is killed, frozen, and that refuses. */
import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Router } from '../../src/app/index.ts';
import { ownStack, stackInfo } from '../support/stack.ts';
import { add, bodies, plans, until, useApp } from './support.ts';

const stack = ownStack({ only: ['target'] });
const { fixture, open, flip } = useApp(() => ({
  sourceUrl: stackInfo().sourceUrl,
  targetUrl: stack().target.url(),
}));
let refusing: Server;

beforeAll(async () => {
  await fixture().install(plans);
  refusing = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => {
    refusing.listen(0, '127.0.0.1', resolve);
  });
});
afterAll(() => refusing.close());

/** Far longer than any request may take: whoever waits for the target shows it. */
const PATIENT = { mirrorBudgetMs: 3_000, targetReadMs: 3_000, sampleRate: 1 };
const DELAYED_MS = 1_000;
const ROUNDS = 40;

/** @returns the longest of a number of writes and reads, of which none may fail */
async function longest(router: Router, tenant: string): Promise<number> {
  let max = 0;
  for (let round = 1; round <= ROUNDS; round += 1) {
    const began = performance.now();
    await add(router, tenant, `round ${round}`);
    const seen = await bodies(router, tenant);
    max = Math.max(max, performance.now() - began);
    expect(seen.at(-1)).toBe(`round ${round}`);
  }
  return max;
}

const unpassworded = (url: string): string => url.replace(/:[^:@/]+@/, ':wrong@');

describe('P1: a dead, frozen or refusing target never fails a request and never delays one before the flip', () => {
  const troubles = {
    dead: {
      begin: () => stack().target.kill(),
      end: () => stack().target.start(),
      url: () => stack().target.url(),
    },
    frozen: {
      begin: () => stack().target.freeze(),
      end: () => Promise.resolve(stack().target.thaw()),
      url: () => stack().target.url(),
    },
    'refusing every login': {
      begin: () => Promise.resolve(),
      end: () => Promise.resolve(),
      url: () => unpassworded(stack().target.url()),
    },
    'closing every connection': {
      begin: () => Promise.resolve(),
      end: () => Promise.resolve(),
      url: () => `mysql://any:any@127.0.0.1:${(refusing.address() as AddressInfo).port}`,
    },
  } as const;

  // In shadow-read, and after the flip: `fault-matrix.test.ts`.
  it.each(Object.keys(troubles) as (keyof typeof troubles)[])('%s, in dual-write', async (trouble) => {
    const tenant = `${trouble}-dual-write`;
    const { begin, end, url } = troubles[trouble];
    await fixture().start(tenant, 'dual-write');
    const router = await open({ ...PATIENT, target: url() });
    // A connection from before the trouble, where there can be one.
    await add(router, tenant, 'first');

    await begin();
    try {
      expect(await longest(router, tenant)).toBeLessThan(DELAYED_MS);
      await until(() => router.stats()['aurora.write.fail'] > 0, 'the failed mirror is counted', 20_000);
    } finally {
      await end();
    }
    expect(router.stats()).toMatchObject({ reads: { target: 0 }, shadow: { samples: 0 } });
  });

  it('starts and serves while the target is down', async () => {
    await fixture().start('cold', 'dual-write');
    await stack().target.kill();
    const router = await open(PATIENT);

    const max = await longest(router, 'cold');
    await stack().target.start();

    expect(max).toBeLessThan(DELAYED_MS);
  });
});

describe('in read-target', () => {
  it.each(['killed', 'frozen'] as const)(
    'reads come from the source when the target is %s, and go back to it afterwards',
    async (trouble) => {
      await fixture().start(trouble, 'read-target');
      const router = await open({ mirrorBudgetMs: 50, targetReadMs: 200, pollMs: 100 });
      await add(router, trouble, 'before');
      await until(
        async () => (await bodies(router, trouble)).length === 1 && router.stats().reads.target > 0,
        'reads come from the target',
      );

      if (trouble === 'killed') await stack().target.kill();
      else await stack().target.freeze();
      // Nothing is dirty yet: the first reads find out by themselves.
      const reads = await Promise.all(Array.from({ length: 30 }, () => bodies(router, trouble)));
      const began = performance.now();
      const max = await longest(router, trouble);
      const took = performance.now() - began;
      if (trouble === 'killed') await stack().target.start();
      else stack().target.thaw();

      expect(reads).toEqual(Array.from({ length: 30 }, () => ['before']));
      expect(max).toBeLessThan(DELAYED_MS);
      // Only the first write waits for its budget.
      expect(took / ROUNDS).toBeLessThan(100);
      const { error, deadline, breaker, busy, lagging } = router.stats().fallbacks;
      expect(error + deadline + breaker + busy).toBeGreaterThan(0);
      expect(lagging).toBeGreaterThan(0);
      const targetReads = router.stats().reads.target;
      await until(
        async () => {
          expect(await bodies(router, trouble)).toHaveLength(ROUNDS + 1);
          return router.stats().reads.target > targetReads;
        },
        'reads go to the target again',
        30_000,
      );
    },
  );

  it('closes within its bound while the target is frozen', async () => {
    await fixture().start('closing', 'read-target');
    const router = await open({ targetReadMs: 200 });
    await bodies(router, 'closing');
    await stack().target.freeze();
    await add(router, 'closing', 'unmirrored');

    const began = performance.now();
    await router.close();
    const took = performance.now() - began;
    stack().target.thaw();

    expect(took).toBeLessThan(4_000);
    expect(await flip('closing', 'shadow-read')).toMatchObject({ stage: 'shadow-read' });
  });
});
