/** Where reads go, stage by stage, and what a process sees of its own writes. */
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { expect, it, beforeAll } from 'vitest';

import { ConnectionEndedError } from '../../src/app/index.ts';
import { ident } from '../../src/db/sql.ts';
import { markDirty } from '../../src/db/stages.ts';
import { add, bodies, plans, until, useApp } from './support.ts';

const { fixture, open, flip } = useApp();

beforeAll(async () => {
  await fixture().install(plans);
});

/** A tenant whose one row says on which side it was read. */
async function marked(tenant: string): Promise<void> {
  const { sql, start, mirror } = fixture();
  await start(tenant, 'shadow-read');
  await sql('source', `INSERT INTO messages (tenant_id, body) VALUES ('${tenant}', 'source')`);
  await mirror.drain(tenant);
  await sql('target', `UPDATE messages SET body = 'target' WHERE tenant_id = '${tenant}'`);
}

it('reads a tenant that no plan names from the source', async () => {
  const router = await open();

  await add(router, 'stranger', 'one');

  expect(router.stage('stranger')).toBe('source-only');
  expect(await bodies(router, 'stranger')).toEqual(['one']);
  expect(router.stats().reads).toEqual({ source: 1, target: 0 });
});

it.each([
  ['source-only', 'source'],
  ['dual-write', 'source'],
  ['shadow-read', 'source'],
  ['read-target', 'target'],
] as const)('reads from where the stage %s says: %s', async (stage, side) => {
  const tenant = `stage-${stage}`;
  await marked(tenant);
  await flip(tenant, stage);
  const router = await open();

  expect(await bodies(router, tenant)).toEqual([side]);
});

it('reads a dirty tenant from the source', async () => {
  await marked('dirty');
  await flip('dirty', 'read-target');
  const router = await open({ pollMs: 100 });
  const { source, control } = fixture().pair;
  expect(await bodies(router, 'dirty')).toEqual(['target']);

  await markDirty(source, control, ['dirty'], true, { actor: 'test', reason: 'capture lost' });
  await until(() => router.flag('dirty').dirty, 'the node knows that the tenant is dirty');

  expect(await bodies(router, 'dirty')).toEqual(['source']);
  expect(router.stats().fallbacks.dirty).toBe(1);
});

it('reads a tenant from the source while its oldest journal row is over the bound', async () => {
  await marked('behind');
  await flip('behind', 'read-target');
  const router = await open({ pollMs: 100, dirtyAfterMs: 300 });
  const { sql, mirror } = fixture();

  await sql('source', "INSERT INTO messages (tenant_id, body) VALUES ('behind', 'foreign writer')");
  await until(() => router.flag('behind').dirty, 'the journal row is over the bound');
  const while_ = await bodies(router, 'behind');
  await mirror.drain('behind');
  await until(() => !router.flag('behind').dirty, 'the journal is drained');

  expect(while_).toEqual(['source', 'foreign writer']);
  await until(async () => (await bodies(router, 'behind'))[0] === 'target', 'reads are back on the target');
});

it('shows a write in read-target to the next read of the same process, from the target', async () => {
  await marked('mine');
  await flip('mine', 'read-target');
  const router = await open({ mirrorBudgetMs: 5_000 });

  for (let round = 1; round <= 20; round += 1) {
    await add(router, 'mine', `own ${round}`);
    expect((await bodies(router, 'mine')).at(-1)).toBe(`own ${round}`);
  }

  expect(router.stats()).toMatchObject({ reads: { target: 20 }, mirror: { awaited: 20, overBudget: 0 } });
});

it('shows a write over its mirror budget to the next read, from the source', async () => {
  await marked('slow');
  await flip('slow', 'read-target');
  const router = await open({ mirrorBudgetMs: 0 });

  for (let round = 1; round <= 20; round += 1) {
    await add(router, 'slow', `own ${round}`);
    expect((await bodies(router, 'slow')).at(-1)).toBe(`own ${round}`);
  }
  expect(router.stats().fallbacks.lagging).toBeGreaterThan(0);

  await until(async () => (await bodies(router, 'slow'))[0] === 'target', 'reads are back on the target');
});

it('shows a write from before the flip to the first read after it', async () => {
  await marked('flipped');
  const router = await open({ pollMs: 20 });
  // Takes the second's turn, so that the next write waits in the journal.
  await fixture().mirror.mirrorTenant('flipped', 0);

  await add(router, 'flipped', 'just before');
  await flip('flipped', 'read-target');
  await until(() => router.stage('flipped') === 'read-target', 'the node follows');

  expect(await bodies(router, 'flipped')).toContain('just before');
});

it('does not go back behind what it read before the flip, whoever wrote it', async () => {
  await marked('seen');
  const router = await open({ pollMs: 20 });
  await fixture().sql('source', "INSERT INTO messages (tenant_id, body) VALUES ('seen', 'foreign')");
  expect(await bodies(router, 'seen')).toContain('foreign');

  await flip('seen', 'read-target');
  await until(() => router.stage('seen') === 'read-target', 'the node follows');
  expect(await bodies(router, 'seen')).toContain('foreign');
});

it('lets a read inside a write join its transaction', async () => {
  await marked('nested');
  await flip('nested', 'read-target');
  const router = await open();

  const { value: seen } = await router.tenant('nested').write(async (conn) => {
    await conn.execute("INSERT INTO messages (tenant_id, body) VALUES ('nested', 'not committed')");
    await router
      .tenant('nested')
      .write((inner) => inner.execute("INSERT INTO messages (tenant_id, body) VALUES ('nested', 'inner')"));
    return bodies(router, 'nested');
  });

  expect(seen).toEqual(['source', 'not committed', 'inner']);
  expect(router.stats()).toMatchObject({ writes: 1, reads: { source: 0, target: 0 } });
});

it('leaves nothing of a write that threw', async () => {
  const router = await open();

  const failed = router.tenant('thrown').write(async (conn) => {
    await conn.execute("INSERT INTO messages (tenant_id, body) VALUES ('thrown', 'gone')");
    throw new RangeError('the application says no');
  });

  await expect(failed).rejects.toThrow(RangeError);
  expect(await bodies(router, 'thrown')).toEqual([]);
});

it('refuses a write in a read, on both sides', async () => {
  await marked('readonly');
  const router = await open({ pollMs: 20 });
  const sneak = () =>
    router
      .tenant('readonly')
      .read('sneak', (conn) => conn.query("DELETE FROM messages WHERE tenant_id = 'readonly'"));

  await expect(sneak()).rejects.toMatchObject({ errno: 1792 });
  await flip('readonly', 'read-target');
  await until(() => router.stage('readonly') === 'read-target', 'the node follows');
  await expect(sneak()).rejects.toMatchObject({ errno: 1792 });

  expect(await bodies(router, 'readonly')).toHaveLength(1);
});

it('passes an error of the application through without asking the other side', async () => {
  await marked('own-error');
  await flip('own-error', 'read-target');
  const router = await open();
  let calls = 0;

  const failed = router.tenant('own-error').read('throws', () => {
    calls += 1;
    return Promise.reject(new RangeError('not found'));
  });

  await expect(failed).rejects.toThrow(RangeError);
  expect(calls).toBe(1);
});

it('answers from the source what only the target refuses', async () => {
  await marked('refused');
  await flip('refused', 'read-target');
  const router = await open();
  await fixture().sql('target', `ALTER TABLE ${ident('messages')} RENAME COLUMN price TO cost`);

  const read = (conn: Connection) =>
    conn.query<RowDataPacket[]>("SELECT body, price FROM messages WHERE tenant_id = 'refused'");
  const [rows] = await router.tenant('refused').read('priced', read);
  await fixture().sql('target', `ALTER TABLE ${ident('messages')} RENAME COLUMN cost TO price`);

  expect(rows).toMatchObject([{ body: 'source' }]);
  expect(router.stats().fallbacks.error).toBe(1);
});

it('says of a failed statement whose it was', async () => {
  const router = await open();
  const priced = async (conn: Connection): Promise<void> => {
    await conn.query('SELECT nothing FROM messages');
  };

  const failed = await router
    .tenant('any')
    .read('priced', priced)
    .catch((error: unknown) => error);

  expect((failed as Error).stack).toMatch(/Unknown column[^]*at (async )?priced/);
});

it('refuses a connection whose read has ended', async () => {
  const router = await open();
  let kept: Connection | null = null;

  await router.tenant('any').read('keeps', (conn) => {
    kept = conn;
    return Promise.resolve();
  });

  await expect(kept!.query('SELECT 1')).rejects.toThrow(ConnectionEndedError);
});
