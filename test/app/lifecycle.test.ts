/** Routers come and go in one process, let go what is under way, and leave nothing behind. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Connection } from 'mysql2/promise';
import { beforeAll, expect, it } from 'vitest';

import { createRouter, DeadlineError, RouterClosedError } from '../../src/app/index.ts';
import { ApplicationPool } from '../../src/app/pool.ts';
import { heapKept, MB } from '../support/heap.ts';
import { Proxy } from '../support/proxy.ts';
import { stackInfo } from '../support/stack.ts';
import { add, bodies, plans, until, useApp } from './support.ts';

const { fixture, open } = useApp();

beforeAll(() => fixture().install(plans));

const ROUTERS = 200;
const WARM = 40;
/** At once: the servers and the tests share two cores. */
const LANES = 5;
const KEPT_BY_ROUTER_MAX = 20_000;

/** What keeps a process alive, by kind. */
const held = (): number =>
  process.getActiveResourcesInfo().filter((kind) => /TCPSocketWrap|Timeout/.test(kind)).length;

it('hundreds of routers that were closed leave no connection, no timer, no heap and no lease', async () => {
  await fixture().start('lifecycle', 'read-target');
  const { pair } = fixture();
  const { sourceUrl: source, targetUrl: target, redisUrl: redis } = stackInfo();
  const schema = { source: pair.sourceSchema, target: pair.targetSchema };
  const options = { source, target, redis, schema, control: pair.control, service: 'test', connections: 2 };
  const serve = async (): Promise<void> => {
    // Not by `open`, which would keep them.
    const router = await createRouter({ ...options, sampleRate: 1 });
    await add(router, 'lifecycle', 'once');
    await bodies(router, 'lifecycle');
    await router.close();
  };
  const serveAll = async (count: number): Promise<void> => {
    const lane = async () => {
      for (let done = 0; done < count; done += LANES) await serve();
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    // A table that grows would have longer and longer answers.
    await fixture().sql('source', "DELETE FROM messages WHERE tenant_id = 'lifecycle'");
  };
  await serveAll(WARM);
  const [before, heapBefore] = [held(), heapKept()];

  await serveAll(ROUTERS);

  await until(() => held() <= before + 4, `no more than the ${before} from before are held`);
  await until(() => heapKept() - heapBefore < ROUTERS * KEPT_BY_ROUTER_MAX, 'the heap is as before', 30_000);
  const [nodes] = await fixture().pair.source.rows(
    `SELECT COUNT(*) AS live FROM ${fixture().pair.control}.node WHERE lease_until > NOW(6)`,
  );
  expect(Number(nodes!['live'])).toBe(0);
  console.log(`kept after ${ROUTERS} routers: ${((heapKept() - heapBefore) / MB).toFixed(2)} MB`);
});

const slowly = (tenant: string, seconds: number) => async (conn: Connection) => {
  await conn.query(`SELECT SLEEP(${seconds})`);
  await conn.query(`INSERT INTO messages (tenant_id, body) VALUES ('${tenant}', 'slow')`);
};

it('close waits for the reads and writes under way, and takes no further one', async () => {
  await fixture().start('draining', 'dual-write');
  const router = await open();
  const write = router.tenant('draining').write(slowly('draining', 0.7));
  const read = router.tenant('draining').read('slow', async (conn) => {
    await conn.query('SELECT SLEEP(0.7)');
    return (await conn.query('SELECT 1 AS one'))[0];
  });
  await sleep(200);

  const closing = router.close();

  await expect(bodies(router, 'draining')).rejects.toBeInstanceOf(RouterClosedError);
  await expect(add(router, 'draining', 'late')).rejects.toBeInstanceOf(RouterClosedError);
  expect(router.health().isReady).toBe(false);
  await closing;
  expect(await read).toEqual([{ one: '1' }]);
  await write;
  expect(await bodies(await open(), 'draining')).toEqual(['slow']);
});

it('what is under way for longer than the bound fails, and is rolled back', async () => {
  await fixture().start('cut', 'dual-write');
  const router = await open({ drainMs: 100 });
  const write = router.tenant('cut').write(slowly('cut', 60));
  const failed = expect(write).rejects.toMatchObject({ code: 'PROTOCOL_CONNECTION_LOST' });
  await sleep(200);

  const began = performance.now();
  await router.close();
  await failed;

  expect(performance.now() - began).toBeLessThan(20_000);
  expect(await bodies(await open(), 'cut')).toEqual([]);
});

/** The proxy runs in this process too, and hears of no end while it is silent. */
const socketsOf = (proxy: Proxy): number =>
  process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length - proxy.sockets;

it('a target that says nothing keeps no socket of those that were given up, nor after the end', async () => {
  await fixture().start('silent', 'read-target');
  const { proxy, url } = await Proxy.before(stackInfo().targetUrl);
  const options = { side: 'target', url, schema: fixture().pair.targetSchema, waiting: 10 } as const;
  const pool = new ApplicationPool({
    ...options,
    connections: 1,
    readOnly: true,
    connectMs: 30_000,
    brought: null,
  });
  const read = (deadlineMs: number) => pool.read('silent', (conn) => conn.query('SELECT 1'), { deadlineMs });
  const unused = socketsOf(proxy);
  const router = await open({ target: url, mirrorBudgetMs: 10 });
  await bodies(router, 'silent');
  await read(30_000);
  const before = socketsOf(proxy);

  for (let round = 1; round <= 5; round += 1) {
    await read(30_000);
    proxy.set({ kind: 'silent' });
    await expect(read(20)).rejects.toBeInstanceOf(DeadlineError);
    await until(() => socketsOf(proxy) < before, 'what was given up is gone');
    proxy.set({ kind: 'passes' });
  }
  proxy.set({ kind: 'silent' });
  await Promise.all([pool.close(), router.close()]);

  await until(() => socketsOf(proxy) <= unused, 'the end leaves none');
  await proxy.close();
});
