/**
 * Promise P1 as a matrix: every fault of the target, before and after the flip, through a proxy. Latencies are
 * held against the same router's a moment earlier, without the fault.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { createConnection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DeadlineError, type Router } from '../../src/app/index.ts';
import { ApplicationPool } from '../../src/app/pool.ts';
import { Proxy } from '../support/proxy.ts';
import { ownStack, stackInfo } from '../support/stack.ts';
import { add, bodies, plans, until, useApp } from './support.ts';

const stack = ownStack({ only: ['target'] });
const { fixture, open } = useApp(() => ({
  sourceUrl: stackInfo().sourceUrl,
  targetUrl: stack().target.url(),
}));

interface Line {
  readonly proxy: Proxy;
  readonly url: string;
}
let line: Line;

beforeAll(async () => {
  await fixture().install(plans);
  line = await Proxy.before(stack().target.url());
});
afterAll(() => line.proxy.close());

interface Fault {
  readonly begin: () => Promise<() => Promise<unknown>>;
  /** Do reads of the target fail too, or only what is written to it? */
  readonly failsReads: boolean;
}

const onLine = (broken: Parameters<Proxy['set']>[0]): Fault => ({
  failsReads: true,
  begin: () => {
    line.proxy.set(broken);
    return Promise.resolve(() => Promise.resolve(line.proxy.set({ kind: 'passes' })));
  },
});

/** Statements on the target itself, past the proxy; connections are cut so that what stands meets it too. */
const onTarget = (begin: readonly string[], end: readonly string[], failsReads: boolean): Fault => ({
  failsReads,
  begin: async () => {
    for (const statement of begin) await fixture().sql('target', statement);
    if (failsReads) line.proxy.cut();
    return async () => {
      for (const statement of end) await fixture().sql('target', statement);
    };
  },
});

const FAULTS: Readonly<Record<string, Fault>> = {
  dead: onLine({ kind: 'dead' }),
  hanging: onLine({ kind: 'silent' }),
  slow: onLine({ kind: 'slow', delayMs: 5_000 }),
  full: onTarget(
    [
      "CREATE TRIGGER full_disk BEFORE INSERT ON messages FOR EACH ROW SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full'",
    ],
    ['DROP TRIGGER full_disk'],
    false,
  ),
  'read-only': onTarget(
    ['SET GLOBAL super_read_only = ON'],
    ['SET GLOBAL super_read_only = OFF', 'SET GLOBAL read_only = OFF'],
    false,
  ),
  'changing its password': {
    failsReads: true,
    begin: async () => {
      const { username, password } = new URL(appUrl());
      await fixture().sql('target', `ALTER USER '${username}'@'%' IDENTIFIED BY 'another'`);
      line.proxy.cut();
      return () => fixture().sql('target', `ALTER USER '${username}'@'%' IDENTIFIED BY '${password}'`);
    },
  },
  'failing over': {
    failsReads: true,
    begin: () => {
      // Connections come and go: each is cut before it is of much use.
      const timer = setInterval(() => line.proxy.cut(), 15);
      return Promise.resolve(() => Promise.resolve(clearInterval(timer)));
    },
  },
  'out of connections': {
    failsReads: true,
    begin: async () => {
      const { username } = new URL(appUrl());
      await fixture().sql('target', `ALTER USER '${username}'@'%' WITH MAX_USER_CONNECTIONS 1`);
      line.proxy.cut();
      const direct = new URL(stack().target.url());
      direct.username = 'app';
      direct.password = 'secret';
      let holder: Awaited<ReturnType<typeof createConnection>> | null = null;
      await until(async () => {
        holder = await createConnection(direct.toString()).catch(() => null);
        return holder !== null;
      }, 'the last connection is taken');
      return async () => {
        holder?.destroy();
        await fixture().sql('target', `ALTER USER '${username}'@'%' WITH MAX_USER_CONNECTIONS 0`);
      };
    },
  },
};

/** The application's own login on the target, so that a fault of it leaves the test's alone. */
const appUrl = (): string => {
  const url = new URL(line.url);
  url.username = 'app';
  url.password = 'secret';
  return url.toString();
};

beforeAll(async () => {
  await fixture().sql('target', "CREATE USER 'app'@'%' IDENTIFIED BY 'secret'");
  await fixture().sql('target', "GRANT ALL ON *.* TO 'app'@'%'");
});

const ROUNDS = 30;

interface Latencies {
  readonly median: number;
  readonly p90: number;
  readonly max: number;
}

/** Writes and reads, of which none may fail and each has to see the write before it. */
async function measure(router: Router, tenant: string, label: string): Promise<Latencies> {
  const took: number[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    const began = performance.now();
    await add(router, tenant, `${label} ${round}`);
    const seen = await bodies(router, tenant);
    took.push(performance.now() - began);
    expect(seen.at(-1)).toBe(`${label} ${round}`);
  }
  took.sort((a, b) => a - b);
  return { median: took[ROUNDS / 2]!, p90: took[ROUNDS * 0.9]!, max: took.at(-1)! };
}

/** Three times as slow is a busy machine; what waits for a target that says nothing is slower than this. */
function expectAsFast(seen: Latencies, usual: Latencies, note: string): void {
  expect(seen.median, `median, ${note}`).toBeLessThan(Math.max(3 * usual.median, usual.median + 60));
  expect(seen.p90, `p90, ${note}`).toBeLessThan(Math.max(3 * usual.p90, usual.p90 + 250));
}

const TARGET_READ_MS = 250;
const WAITED_MS = 3_000;
async function readsTheTarget(router: Router, tenant: string): Promise<void> {
  const { target } = router.stats().reads;
  const isRead = async (): Promise<boolean> => {
    await bodies(router, tenant);
    return router.stats().reads.target > target + 5;
  };
  await until(isRead, 'reads go to the target', 30_000);
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

describe.each(Object.keys(FAULTS))('a target that is %s', (name) => {
  const { begin, failsReads } = FAULTS[name]!;

  it('is not noticed before the flip', async () => {
    const tenant = `${name} before`;
    await fixture().start(tenant, 'shadow-read');
    // Far longer than a request may take: whoever waits for the target shows it.
    const router = await open({
      target: appUrl(),
      mirrorBudgetMs: WAITED_MS,
      targetReadMs: WAITED_MS,
      sampleRate: 1,
    });
    const usual = await measure(router, tenant, 'usual');
    const end = await begin();
    try {
      const seen = await measure(router, tenant, 'fault');
      expectAsFast(seen, usual, name);
      // Not even the first one pays for finding out.
      expect(seen.max).toBeLessThan(Math.max(3 * usual.max, WAITED_MS / 2));
      // A write within a second of the last turn is left to the workers' loop, and nobody knows of a failure.
      await until(
        async () => {
          await add(router, tenant, 'once more');
          await sleep(100);
          return router.stats()['aurora.write.fail'] > 0;
        },
        'a failed mirror is counted',
        60_000,
      );
    } finally {
      await end();
    }
    expect(router.stats().reads.target).toBe(0);
  });

  it('costs no request more than its budget after the flip, and is read again when it is well', async () => {
    const tenant = `${name} after`;
    await fixture().start(tenant, 'read-target');
    const router = await open({
      target: appUrl(),
      mirrorBudgetMs: 50,
      targetReadMs: TARGET_READ_MS,
      pollMs: 200,
    });
    const usual = await measure(router, tenant, 'usual');
    // A slow machine may be over the budget: the fault has to meet a node whose reads are on the target.
    await readsTheTarget(router, tenant);
    const end = await begin();
    try {
      // Nothing is dirty yet: the first reads find out by themselves.
      const first = await Promise.all(Array.from({ length: 30 }, () => bodies(router, tenant)));
      expect(first.every((answer) => answer.at(-1) === `usual ${ROUNDS}`)).toBe(true);
      expectAsFast(await measure(router, tenant, 'fault'), usual, name);
      const { fallbacks } = router.stats();
      expect(sum(fallbacks), 'reads went to the source').toBeGreaterThan(0);
      if (failsReads)
        expect(fallbacks.error + fallbacks.deadline + fallbacks.breaker + fallbacks.busy).toBeGreaterThan(0);
    } finally {
      await end();
    }
    await readsTheTarget(router, tenant);
  });
});

it('a line that falls silent while a session is set up costs the pool no connection', async () => {
  const { pair } = fixture();
  const pool = new ApplicationPool({
    side: 'target',
    url: line.url,
    // Each read types USE first, which is where the line is silent.
    schema: pair.targetSchema.replace('app_', '{tenant}_'),
    connections: 1,
    waiting: 10,
    readOnly: true,
    connectMs: 10_000,
    brought: null,
  });
  const read = (deadlineMs: number) => pool.read('app', (conn) => conn.query('SELECT 1'), { deadlineMs });
  await read(10_000);
  line.proxy.set({ kind: 'silent' });
  await expect(read(100)).rejects.toBeInstanceOf(DeadlineError);
  line.proxy.set({ kind: 'passes' });

  await read(10_000);

  await pool.close();
});

it('health says that the target fails, and that requests are welcome all the same', async () => {
  await fixture().start('health', 'read-target');
  const router = await open({ target: appUrl(), targetReadMs: TARGET_READ_MS });
  await readsTheTarget(router, 'health');
  expect(router.health()).toMatchObject({ isReady: true, isCutOff: false, target: 'answers' });
  const says = async (target: 'answers' | 'failing'): Promise<boolean> => {
    await bodies(router, 'health');
    return router.health().target === target;
  };

  line.proxy.set({ kind: 'dead' });
  await until(() => says('failing'), 'the target is known to fail');
  expect(router.health().isReady).toBe(true);
  line.proxy.set({ kind: 'passes' });
  await until(() => says('answers'), 'the target is known to answer again', 30_000);
  await router.close();

  expect(router.health().isReady).toBe(false);
});
