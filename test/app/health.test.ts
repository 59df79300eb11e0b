/** What a health endpoint and a log are told when something around the router is away. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import type { Notice, RouterLog } from '../../src/app/index.ts';
import { Notices } from '../../src/app/notices.ts';
import { Proxy } from '../support/proxy.ts';
import { stackInfo } from '../support/stack.ts';
import { add, bodies, plans, until, useApp } from './support.ts';

const proxies: Proxy[] = [];
const { fixture, open } = useApp();

const before = async (url: string): Promise<{ proxy: Proxy; url: string }> => {
  const made = await Proxy.before(url);
  proxies.push(made.proxy);
  return made;
};

beforeAll(async () => {
  await fixture().install(plans);
  for (const tenant of ['reading', 'filed', 'loud']) await fixture().start(tenant, 'read-target');
});
afterAll(() => Promise.all(proxies.map((proxy) => proxy.close())));

interface Line extends Notice {
  readonly message: string;
}

function listening(): { lines: Line[]; log: RouterLog } {
  const lines: Line[] = [];
  return { lines, log: { warn: (message, notice) => void lines.push({ message, ...notice }) } };
}

it('all is well, and no Redis was given', async () => {
  const router = await open();

  expect(router.health()).toEqual({
    isReady: true,
    status: 'ok',
    problems: [],
    stagesAgeMs: expect.any(Number) as number,
    stagesFrom: 'table',
    isCutOff: false,
    target: 'answers',
    redis: 'none',
  });

  await router.close();
  expect(router.health()).toMatchObject({ isReady: false, status: 'closed' });
});

it('Redis that goes away is a problem, and none of readiness', async () => {
  const { proxy, url } = await before(stackInfo().redisUrl);
  const router = await open({ redis: url });
  await until(() => router.health().redis === 'answers', 'Redis is reached');
  expect(router.health().status).toBe('ok');

  proxy.set({ kind: 'dead' });
  await until(() => router.health().redis === 'away', 'it is missed');
  const away = router.health();
  proxy.set({ kind: 'passes' });

  expect(away).toMatchObject({ isReady: true, status: 'degraded' });
  expect(away.problems.join()).toContain('Redis is away');
  await until(() => router.health().status === 'ok', 'it is back');
});

it('a target that is gone is a problem, and none of readiness; the log says it now and then', async () => {
  const { proxy, url } = await before(stackInfo().targetUrl);
  const { lines, log } = listening();
  const router = await open({ target: url, log, mirrorBudgetMs: 20 });
  await add(router, 'loud', 'one');
  proxy.set({ kind: 'dead' });
  for (let round = 0; round < 200; round += 1) await bodies(router, 'loud');
  await add(router, 'loud', 'two');
  for (let round = 0; round < 200; round += 1) await bodies(router, 'loud');

  await until(() => router.health().target === 'failing', 'the breaker is open');
  const health = router.health();
  const { fallbacks } = router.stats();
  expect(health).toMatchObject({ isReady: true, status: 'degraded' });
  expect(health.problems.join()).toContain('the target fails');
  const fallen = Object.values(fallbacks).reduce((a, b) => a + b, 0);
  expect(fallen).toBeGreaterThanOrEqual(390);
  const told = lines.filter(({ message }) => message === 'read from the source instead of the target');
  // Few of each reason in ten seconds; a slow machine may need some periods.
  expect(told.length).toBeLessThan(fallen / 5);
  expect(told[0]).toMatchObject({ tenant: 'loud', read: 'bodies', side: 'target' });
  expect(lines.map(({ error }) => error).join()).toMatch(
    /target: (cannot be reached|the connection was lost)/,
  );
  expect(told.every(({ reason }) => Object.hasOwn(fallbacks, reason))).toBe(true);
  await until(
    () => lines.some(({ message }) => message === 'the mirror of a write failed'),
    'it was told too',
  );

  proxy.set({ kind: 'passes' });
  await until(
    async () => {
      await bodies(router, 'loud');
      return router.health().status === 'ok';
    },
    'the target is back',
    30_000,
  );
});

it('old stages are a problem: of the file, and of the table out of reach', async () => {
  const { proxy, url } = await before(stackInfo().sourceUrl);
  const snapshotFile = join(mkdtempSync(join(tmpdir(), 'switchback-')), 'stages.json');
  const quick = { source: url, snapshotFile, pollMs: 50, leaseMs: 500 };
  const first = await open(quick);
  await until(() => first.stage('filed') === 'read-target', 'it knows the stages');
  proxy.set({ kind: 'dead' });
  await until(() => first.health().isCutOff, 'its lease runs out');
  expect(first.health()).toMatchObject({ isReady: true, status: 'degraded', stagesFrom: 'table' });
  expect(first.health().problems.join()).toMatch(/stages are \d+ s old, reads go to the source/);

  const { lines, log } = listening();
  const second = await open({ ...quick, log });
  const health = second.health();
  proxy.set({ kind: 'passes' });

  expect(health).toMatchObject({ isReady: true, status: 'degraded', stagesFrom: 'file', isCutOff: true });
  expect(health.problems[0]).toContain('snapshot file');
  expect(lines.map(({ message }) => message)).toContain('started from the snapshot file');
  await until(() => second.health().status === 'ok', 'the table is read again', 30_000);
});

it('of a line that comes a thousand times few are written, and the next says how many were not', () => {
  const { lines, log } = listening();
  const notices = new Notices(log);
  const [real, started] = [performance.now.bind(performance), performance.now()];
  let now = started;
  performance.now = () => now;
  try {
    for (let round = 0; round < 1_000; round += 1) notices.warn('gone', { reason: 'deadline' });
    notices.warn('gone', { reason: 'error' });
    now += 10_001;
    notices.warn('gone', { reason: 'deadline' });
  } finally {
    performance.now = real;
  }

  expect(lines.map(({ reason, leftOut }) => [reason, leftOut])).toEqual([
    ...Array.from({ length: 3 }, () => ['deadline', undefined]),
    ['error', undefined],
    ['deadline', 997],
  ]);
});

it('a log that throws fails no read', async () => {
  const log = {
    warn: () => {
      throw new Error('full');
    },
  };
  const router = await open({ log, target: 'mysql://nobody:wrong@127.0.0.1:1', mirrorBudgetMs: 0 });

  expect(await bodies(router, 'reading')).toEqual([]);
  expect(router.stats().fallbacks.error).toBe(1);
});
