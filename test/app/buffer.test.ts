/** The read buffer: what it never serves, on a Redis of this file's own that is frozen, killed and emptied. */
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { Redis } from 'ioredis';
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import type { BufferOptions, BufferStats, ReadBuffer, Router, RouterOptions } from '../../src/app/index.ts';
import { Invalidations } from '../../src/app/invalidations.ts';
import { qualified } from '../../src/db/sql.ts';
import { MirrorLoop } from '../../src/db/mirror-loop.ts';
import { ownStack, stackInfo } from '../support/stack.ts';
import { plans, until, useApp } from './support.ts';

const stack = ownStack({ only: ['redis'] });
const { fixture, open, flip } = useApp();
let redis: Redis;
let told: Invalidations;
let loop: MirrorLoop;

/** A machine under load is no slow Redis. */
const PATIENT = 5_000;
const MINUTE = 60_000;

beforeAll(async () => {
  await fixture().install(plans);
  redis = new Redis(stack().redis.url);
  redis.on('error', () => {}); // it is killed on purpose
  told = new Invalidations(stack().redis.url, fixture().pair.control, PATIENT);
  const pair = { ...fixture().pair, changed: (tenants: readonly string[]) => told.changed(tenants) };
  loop = new MirrorLoop(pair, { info: () => {}, warn: () => {}, published: () => Promise.resolve() });
  loop.start();
});
afterAll(async () => {
  await loop.stop();
  told.close();
  redis.disconnect();
});

interface Buffered {
  readonly router: Router;
  readonly buffer: ReadBuffer<string, string>;
  readonly stats: () => BufferStats;
}

type Load = BufferOptions<string, string>['load'];

/** The body of a tenant's row; the argument is the tenant. */
const body: Load = async (conn, tenant) => {
  const [[row]] = await conn.query<RowDataPacket[]>('SELECT body FROM messages WHERE tenant_id = ? LIMIT 1', [
    tenant,
  ]);
  return row === undefined ? null : (row['body'] as string);
};

async function buffered(
  options: Partial<BufferOptions<string, string>> = {},
  routerOptions: Partial<RouterOptions> = {},
): Promise<Buffered> {
  const router = await open({ redis: stack().redis.url, bufferMs: PATIENT, ...routerOptions });
  const buffer = router.buffer<string, string>('body', {
    ttl: MINUTE,
    key: (tenant) => tenant,
    load: body,
    ...options,
  });
  const stats = () => router.stats().buffers['body']!;
  return { router, buffer, stats };
}

/** Until a value was stored and came back: Redis is connected, and the breaker closed. */
const warm = ({ buffer, stats }: Buffered, tenant: string): Promise<unknown> => {
  const { hit } = stats();
  return until(async () => (await buffer.get(tenant, tenant), stats().hit > hit), 'it is buffered');
};

/** The journal has told of it when this returns: nothing moves the tenant's version afterwards. */
async function insert(tenant: string): Promise<void> {
  const { pair, sql } = fixture();
  await sql('source', `INSERT INTO messages (tenant_id, body) VALUES ('${tenant}', 'old')`);
  const journal = `SELECT 1 FROM ${qualified(pair.control, 'journal')} WHERE tenant = '${tenant}'`;
  await until(async () => (await pair.source.rows(journal)).length === 0, 'the journal is empty');
}

const update = (side: 'source' | 'target', tenant: string, text: string): Promise<unknown> =>
  fixture().sql(side, `UPDATE messages SET body = '${text}' WHERE tenant_id = '${tenant}'`);
const write = (router: Router, tenant: string, text: string): Promise<unknown> =>
  router
    .tenant(tenant)
    .write((conn) => conn.execute('UPDATE messages SET body = ? WHERE tenant_id = ?', [text, tenant]));

/** A load of which the first stands after its read until it is told to go on. */
function gated(): { load: Load; isReached: () => boolean; go: () => void } {
  let reached = false;
  let go = (): void => {};
  const gate = new Promise<void>((resolve) => (go = resolve));
  const load: Load = async (conn, tenant) => {
    const value = await body(conn, tenant);
    if (!reached) {
      reached = true;
      await gate;
    }
    return value;
  };
  return { load, isReached: () => reached, go };
}

it('answers from Redis, and everybody at once with one load', async () => {
  await insert('single');
  const one = await buffered();
  await warm(one, 'single');
  expect(await one.buffer.get('single', 'single')).toBe('old');
  const reads = one.router.stats().reads.source;
  await Promise.all(Array.from({ length: 50 }, () => one.buffer.get('single', 'single')));
  expect(one.router.stats().reads.source).toBe(reads);

  await write(one.router, 'single', 'new');
  const seen = await Promise.all(Array.from({ length: 50 }, () => one.buffer.get('single', 'single')));
  expect(new Set(seen)).toEqual(new Set(['new']));
  // Two when the journal told of the write between them.
  expect(one.router.stats().reads.source).toBeLessThanOrEqual(reads + 2);
});

it('forgets what a write of another process changed before that write returns', async () => {
  await insert('two');
  const [one, other] = [await buffered(), await buffered()];
  await warm(one, 'two');
  await warm(other, 'two');
  for (let round = 1; round <= 20; round += 1) {
    await write(other.router, 'two', `round ${round}`);
    expect(await one.buffer.get('two', 'two')).toBe(`round ${round}`);
  }
});

it('a load that a write overtakes is served to nobody who asks later, in either process', async () => {
  await insert('race');
  const other = await buffered();
  await warm(other, 'race');
  const { load, isReached, go } = gated();
  const slow = await buffered({ load, key: () => 'slow' });
  await until(async () => {
    await slow.buffer.invalidate('elsewhere');
    return (await redis.exists(`switchback:${fixture().pair.control}:buffer:version:elsewhere`)) === 1;
  }, 'it is connected');
  const late = slow.buffer.get('race', 'race');
  await until(isReached, 'the old value was read');

  await write(other.router, 'race', 'new');
  expect(await slow.buffer.get('race', 'race')).toBe('new');
  go();

  expect(await late).toBe('old');
  await sleep(50); // for what it stores, if it does
  expect(await slow.buffer.get('race', 'race')).toBe('new');
});

it('what is not there is remembered, for its own time, until it is written', async () => {
  let loads = 0;
  const load: Load = (conn, tenant) => ((loads += 1), body(conn, tenant));
  const one = await buffered({ load, negativeTtl: MINUTE });
  await warm(one, 'nobody');
  const before = loads;
  expect(await one.buffer.get('nobody', 'nobody')).toBeNull();
  expect(loads).toBe(before);
  const place = (await redis.keys('*value:nobody:*'))[0]!;
  expect(await redis.pttl(place)).toBeGreaterThan(1_000);

  await one.router
    .tenant('nobody')
    .write((conn) => conn.execute("INSERT INTO messages (tenant_id, body) VALUES ('nobody', 'now')"));
  expect(await one.buffer.get('nobody', 'nobody')).toBe('now');
});

describe('a foreign writer', () => {
  it('is bounded by the ttl where nothing tells of it', async () => {
    const { pair } = fixture();
    await insert('foreign');
    const one = await buffered({ ttl: 1_000 });
    await warm(one, 'foreign');
    // As before capture is installed: no one reads the journal.
    await loop.stop();
    const changedAt = performance.now();
    await update('source', 'foreign', 'new');
    let lastOld = 0;
    await until(async () => {
      const asked = performance.now();
      const isOld = (await one.buffer.get('foreign', 'foreign')) === 'old';
      if (isOld) lastOld = asked;
      return !isOld;
    }, 'the new value is seen');
    // When it was asked for, an old value was no older than the ttl.
    expect(lastOld - changedAt).toBeLessThan(1_000);
    loop = new MirrorLoop(
      { ...pair, changed: (tenants) => told.changed(tenants) },
      { info: () => {}, warn: () => {}, published: () => Promise.resolve() },
    );
    loop.start();
  });

  it.each(['source-only', 'dual-write', 'read-target'] as const)(
    'is told of by the journal, long before the ttl, in stage %s',
    async (stage) => {
      if (stage !== 'source-only') await fixture().start(stage, stage);
      await insert(stage);
      const one = await buffered();
      await until(async () => (await one.buffer.get(stage, stage)) === 'old', 'it is copied');
      await warm(one, stage);
      await update('source', stage, 'new');
      await until(async () => (await one.buffer.get(stage, stage)) === 'new', 'the new value is seen');
    },
  );
});

it('a flip leaves the other side’s values behind, and so does the flip back', async () => {
  await fixture().start('flipped', 'shadow-read');
  await insert('flipped');
  await fixture().mirror.drain('flipped');
  await fixture().corrupt('flipped', `UPDATE messages SET body = 'target' WHERE tenant_id = 'flipped'`);
  const nodes = [await buffered(), await buffered()];
  for (const node of nodes) await warm(node, 'flipped');
  for (const [to, body] of [
    ['read-target', 'target'],
    ['shadow-read', 'old'],
  ] as const) {
    await flip('flipped', to);
    for (const { router, buffer, stats } of nodes) {
      await until(() => router.stage('flipped') === to, 'the node follows');
      // Until the target has caught up the source may answer, but no buffer.
      await until(async () => {
        const { hit } = stats();
        const value = await buffer.get('flipped', 'flipped');
        if (stats().hit > hit) expect(value).toBe(body);
        return value === body;
      }, 'the side is read');
    }
    for (const node of nodes) await warm(node, 'flipped');
    for (const { buffer } of nodes) expect(await buffer.get('flipped', 'flipped')).toBe(body);
  }
});

it('a load that a flip overtakes is kept under neither epoch', async () => {
  await fixture().start('crossing', 'shadow-read');
  await insert('crossing');
  const { load, isReached, go } = gated();
  const one = await buffered({ load });
  await until(() => one.router.stage('crossing') === 'shadow-read', 'the node follows');
  const late = one.buffer.get('crossing', 'crossing');
  await until(isReached, 'it was read on the source');
  await flip('crossing', 'read-target');
  await until(() => one.router.stage('crossing') === 'read-target', 'the node follows');
  go();
  await late;
  await sleep(50);
  expect(await redis.keys('*value:crossing:*')).toEqual([]);
});

it('inside a write it reads the transaction, and keeps nothing of it', async () => {
  await insert('inside');
  const one = await buffered();
  await warm(one, 'inside');
  const failed = one.router.tenant('inside').write(async (conn) => {
    await conn.execute("UPDATE messages SET body = 'uncommitted' WHERE tenant_id = 'inside'");
    expect(await one.buffer.get('inside', 'inside')).toBe('uncommitted');
    throw new Error('rolled back');
  });
  await expect(failed).rejects.toThrow('rolled back');
  expect(await one.buffer.get('inside', 'inside')).toBe('old');
});

describe('a source that fails', () => {
  const sockets = new Set<Socket>();
  let proxy: Server;
  let isCut = false;
  beforeAll(async () => {
    const { hostname, port } = new URL(stackInfo().sourceUrl);
    proxy = createServer((socket) => {
      if (isCut) return void socket.destroy();
      const server = connect(Number(port), hostname);
      for (const each of [socket, server]) {
        sockets.add(each);
        each
          .on('error', () => {})
          .on('close', () => (sockets.delete(each), socket.destroy(), server.destroy()));
      }
      socket.pipe(server).pipe(socket);
    });
    await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => (isCut = false));
  afterAll(() => proxy.close());

  it('is answered for by an older value, within its bound and never beyond', async () => {
    await insert('stale');
    const url = new URL(stackInfo().sourceUrl);
    url.port = String((proxy.address() as AddressInfo).port);
    const one = await buffered({ ttl: 300, staleFor: 3_000 }, { source: url.href });
    await warm(one, 'stale');
    const loadedBy = performance.now();
    isCut = true;
    for (const socket of sockets) socket.destroy();
    let lastStale = 0;
    await until(async () => {
      const asked = performance.now();
      const value = await one.buffer.get('stale', 'stale').catch(() => null);
      if (value !== null) lastStale = asked;
      return value === null && asked - loadedBy > 300;
    }, 'the bound is reached');
    expect(one.stats().stale).toBeGreaterThan(0);
    expect(lastStale - loadedBy).toBeLessThan(3_000);
  });
});

describe('a Redis that fails', () => {
  afterEach(async () => {
    stack().redis.thaw();
    await until(
      () =>
        redis.ping().then(
          () => true,
          () => false,
        ),
      'Redis is back',
    );
  });

  it('frozen: passed by, at once after three commands; a write that it was not told of is told later', async () => {
    await insert('frozen');
    const one = await buffered({}, { bufferMs: 300 });
    const other = await buffered();
    await warm(one, 'frozen');
    await warm(other, 'frozen');
    await stack().redis.freeze();
    const error = one.stats().error;
    await write(one.router, 'frozen', 'new');
    for (let count = 1; count <= 30; count += 1) expect(await one.buffer.get('frozen', 'frozen')).toBe('new');
    // Its own untold change passes it by; another tenant asks until the breaker opens, or a probe is due.
    const began = performance.now();
    for (let count = 1; count <= 30; count += 1) await one.buffer.get('elsewhere', 'elsewhere');
    const probes = Math.ceil((performance.now() - began) / 1_000);
    expect(one.stats().error - error).toBeLessThan(30);
    expect(probes).toBeLessThan(9);

    stack().redis.thaw();
    await until(async () => (await other.buffer.get('frozen', 'frozen')) === 'new', 'the other was told');
    await warm(one, 'frozen');
  });

  it('killed, and back empty: reads and writes go on, and nothing old comes back', async () => {
    await insert('killed');
    const one = await buffered();
    await warm(one, 'killed');
    await stack().redis.kill();
    await write(one.router, 'killed', 'new');
    expect(await one.buffer.get('killed', 'killed')).toBe('new');
    await stack().redis.start();
    await warm(one, 'killed');
    expect(await one.buffer.get('killed', 'killed')).toBe('new');
  });
});
