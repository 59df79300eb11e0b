/** Pools that the application brings: they answer its requests, and it finds them as it left them. */
import { createPool as createCallbackPool } from 'mysql2';
import { createPool, type Pool, type RowDataPacket } from 'mysql2/promise';
import { afterEach, beforeAll, expect, it } from 'vitest';

import { stackInfo, urlWithSchema } from '../support/stack.ts';
import { add, bodies, plans, until, useApp } from './support.ts';

const { fixture, open } = useApp();
const pools: Pool[] = [];

beforeAll(() => fixture().install(plans));
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.end()));
});

/** Of both sides, with the application's own idea of zone and values. */
function bring(options: object = {}) {
  const { pair } = fixture();
  const own = (url: string, schema: string): Pool => {
    const pool = createPool({
      uri: urlWithSchema(url, schema),
      connectionLimit: 2,
      timezone: '+02:00',
      ...options,
    });
    pools.push(pool);
    return pool;
  };
  const { sourceUrl, targetUrl } = stackInfo();
  return {
    source: { url: sourceUrl, pool: own(sourceUrl, pair.sourceSchema) },
    target: { url: targetUrl, pool: own(targetUrl, pair.targetSchema) },
  };
}

const threads = async (pool: Pool): Promise<number[]> => {
  const [rows] = await pool.query<RowDataPacket[]>('SELECT CONNECTION_ID() AS id');
  return rows.map((row) => Number(row['id']));
};

it('answer reads and writes on either side, and stay open', async () => {
  await fixture().start('brought', 'read-target');
  const { source, target } = bring({ connectionLimit: 1 });
  const [[sourceThread], [targetThread]] = [await threads(source.pool), await threads(target.pool)];
  const router = await open({ source, target });
  const thread = () =>
    router.tenant('brought').read('thread', async (conn) => {
      const [[row]] = await conn.query<RowDataPacket[]>('SELECT CONNECTION_ID() AS id');
      return Number(row!['id']);
    });

  await add(router, 'brought', 'one');
  await until(async () => (await thread()) === targetThread, 'reads run on the pool of the target');
  const { value: written } = await router.tenant('brought').write(() => thread());
  await router.close();

  expect(written).toBe(sourceThread);
  expect(await threads(source.pool)).toEqual([sourceThread]);
  expect(await threads(target.pool)).toEqual([targetThread]);
});

it('come back as they were: they may write, in their own zone', async () => {
  await fixture().start('returned', 'dual-write');
  const { source, target } = bring({ connectionLimit: 1 });
  await source.pool.query("SET SESSION time_zone = '+02:00'");
  const router = await open({ source, target });
  const [now] = await router.tenant('returned').read('now', async (conn) => {
    const [rows] = await conn.query<RowDataPacket[]>('SELECT NOW() AS now, @@session.time_zone AS zone');
    return rows;
  });
  const sneak = router
    .tenant('returned')
    .read('sneak', (conn) => conn.query("INSERT INTO messages (tenant_id, body) VALUES ('returned', 'no')"));
  await expect(sneak).rejects.toMatchObject({ errno: 1792 });

  await source.pool.query("INSERT INTO messages (tenant_id, body) VALUES ('returned', 'past the router')");

  expect(now).toMatchObject({ now: expect.any(Date) as Date, zone: '+02:00' });
  expect(await bodies(router, 'returned')).toEqual(['past the router']);
  expect(await threads(target.pool), 'the target was left alone').toHaveLength(1);
});

it('with callbacks do as well, and are compared in their own form of values', async () => {
  await fixture().start('compared', 'shadow-read');
  const { sourceUrl, targetUrl } = stackInfo();
  const { pair } = fixture();
  const own = (url: string, schema: string) => {
    const pool = createCallbackPool({ uri: urlWithSchema(url, schema), connectionLimit: 2 });
    pools.push(pool.promise());
    return { url, pool };
  };
  const router = await open({
    source: own(sourceUrl, pair.sourceSchema),
    target: own(targetUrl, pair.targetSchema),
    sampleRate: 1,
  });
  await add(router, 'compared', 'one');
  await fixture().mirror.drain('compared');

  const value = await router.tenant('compared').read('raw', async (conn) => {
    const [rows] = await conn.query<RowDataPacket[]>(
      "SELECT body, CAST('2026-01-02 03:04:05' AS DATETIME) AS at FROM messages WHERE tenant_id = 'compared'",
    );
    return rows;
  });

  expect(value[0]!['at']).toBeInstanceOf(Date);
  await until(() => router.stats().shadow.samples === 1, 'the sample was decided');
  expect(router.stats().shadow).toMatchObject({ differing: 0, undecided: 0, dropped: 0 });
});

it('are refused where they would go wrong, naming the field and the remedy', async () => {
  const { source, target } = bring();
  const many = bring({ multipleStatements: true });
  const elsewhere = bring({ uri: urlWithSchema(stackInfo().sourceUrl, 'mysql') });

  await expect(open({ source })).rejects.toThrow('bring a pool for both or for none');
  await expect(open(many)).rejects.toThrow('source.pool: multipleStatements is on');
  await expect(open({ source, target: elsewhere.target })).rejects.toThrow(
    /target\.pool: its default schema is mysql, but schema\.target says \w+; make them the same/,
  );
  await expect(
    open({ source, target, schema: { source: 'app_{tenant}', target: 'app_{tenant}' } }),
  ).rejects.toThrow('source.pool: schema app_{tenant} has one for each tenant');
});
