/**
 * Batches of many keys, whose images are written while they are read, and which replace rows where only the primary
 * key is unique: whatever the keys turn out to be, both sides are equal afterwards, under the locks of everybody concerned.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { beforeAll, expect, it } from 'vitest';

import { converge } from '../../src/db/converge.ts';
import { onlyPrimaryIsUnique } from '../../src/db/fingerprint.ts';
import { lockTenants } from '../../src/db/lock.ts';
import { Mirror } from '../../src/db/mirror.ts';
import { encodeKey } from '../../src/domain/key.ts';
import { column, dump, useFixture } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';
import { FaultyDatabase } from './protocol/faults.ts';

const NAMES = ['items', 'codes', 'slots', 'seats'] as const;
const fixture = useFixture([
  "CREATE TABLE items (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, kind ENUM('a','b') NOT NULL DEFAULT 'a', KEY (tenant_id))",
  'CREATE TABLE codes (id VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, KEY (tenant_id))',
  'CREATE TABLE slots (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, KEY (tenant_id))',
  'CREATE TABLE seats (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL UNIQUE, KEY (tenant_id))',
]);

const ROWS = 700;
const NUMBERS = `(SELECT 1 + a.d + 10 * b.d + 100 * c.d AS i FROM ${['a', 'b', 'c']
  .map(
    (name) =>
      `(SELECT 0 d ${[1, 2, 3, 4, 5, 6, 7, 8, 9].map((d) => `UNION ALL SELECT ${d}`).join(' ')}) ${name}`,
  )
  .join(', ')}) x WHERE i <= ${ROWS}`;

async function mirrorAll(): Promise<void> {
  for (const tenant of ['ant', 'bee']) await fixture().mirror.drain(tenant);
}

/** `cat` does not migrate: none of its rows may be on the target. */
async function expectEqual(): Promise<void> {
  for (const name of NAMES)
    expect(await dump(fixture(), 'target', name)).toEqual(
      (await dump(fixture(), 'source', name)).filter((row) => !row.includes('"cat"')),
    );
}

beforeAll(async () => {
  const { install, start, sql } = fixture();
  await sql('target', 'ALTER TABLE slots ADD UNIQUE KEY (n)');
  await install({ items: column(), codes: column(), slots: column(), seats: column() });
  for (const tenant of ['ant', 'bee']) await start(tenant);
  const owner = "ELT(1 + i % 7, 'bee', 'cat', 'ant', 'ant', 'ant', 'ant', 'ant')";
  await sql('source', `INSERT INTO items (id, tenant_id, n) SELECT i, ${owner}, i FROM ${NUMBERS}`);
  await sql('source', `INSERT INTO codes SELECT CONCAT('code-', i), ${owner}, i FROM ${NUMBERS}`);
  await sql('source', `INSERT INTO slots SELECT i, 'ant', i FROM ${NUMBERS}`);
});

it('rows change, go, and move between tenants that migrate and one that does not', async () => {
  const { sql, tracked } = fixture();
  const [items, slots] = ['items', 'slots'].map((name) => tracked.byName(name));
  expect(onlyPrimaryIsUnique(tracked.shape('target', items!.id), items!.table)).toBe(true);
  expect(onlyPrimaryIsUnique(tracked.shape('target', slots!.id), slots!.table)).toBe(false);
  await mirrorAll();
  await expectEqual();
  for (const name of ['items', 'codes']) {
    await sql('source', `UPDATE ${name} SET n = n + 1000`);
    await sql('source', `DELETE FROM ${name} WHERE n % 5 = 0`);
    await sql('source', `UPDATE ${name} SET tenant_id = ELT(1 + n % 3, 'ant', 'bee', 'cat') WHERE n % 4 = 0`);
  }
  await mirrorAll();
  await expectEqual();
});

it('keys that a collation calls equal are one row', async () => {
  const { sql } = fixture();
  await sql('source', 'UPDATE codes SET id = UPPER(id)');
  await sql('source', "UPDATE codes SET id = CONCAT('Code', SUBSTRING(id, 5)) WHERE n % 2 = 0");
  await mirrorAll();
  await expectEqual();
});

it('nothing replaces another row where the target has a unique key of its own', async () => {
  const { sql } = fixture();
  await sql('source', 'UPDATE slots SET n = 1 + (n % 300) WHERE id <= 300');
  await mirrorAll();
  await expectEqual();
});

it('a value that the target allows once destroys nothing there: the batch fails, and goes on once it is free', async () => {
  const { sql, rows, mirror } = fixture();
  await sql('source', 'UPDATE slots SET n = n + 5000 WHERE id <= 300');
  await sql('source', 'UPDATE slots SET n = 700 WHERE id = 5');
  await expect(mirror.drain('ant')).rejects.toThrow();
  expect(await rows('target', 'SELECT id FROM slots WHERE n = 700')).toEqual([{ id: '700' }]);
  await sql('source', 'UPDATE slots SET n = 9000 WHERE id = 5');
  await mirrorAll();
  await expectEqual();
});

it('an image that belongs to a tenant that is not locked yet is written under its lock only', async () => {
  const { pair, tracked, sql, rows } = fixture();
  await sql('source', `INSERT INTO items (id, tenant_id, n) SELECT 10000 + i, 'bee', i FROM ${NUMBERS}`);
  await pair.source.run(`DELETE FROM \`${pair.control}\`.journal`);
  const { id } = tracked.byName('items');
  const keys = new Set(Array.from({ length: ROWS }, (_, i) => encodeKey([String(10_001 + i)])));
  let isDone = false;
  let converged: Promise<void> = Promise.resolve();
  await pair.target.transaction(async (session) => {
    await lockTenants(session, pair.control, ['bee']);
    converged = converge(pair, tracked, {
      tenants: ['ant'],
      journal: null,
      keys: new Map([[id, keys]]),
    }).then(() => void (isDone = true));
    await sleep(400);
    expect(isDone).toBe(false);
    expect(await rows('target', 'SELECT id FROM items WHERE id > 10000')).toEqual([]);
  });
  await converged;
  await expectEqual();
});

it('a unique value that a row beside the batch still holds is found in the packet of the COMMIT, too', async () => {
  const { pair, tracked, sql } = fixture();
  await mirrorAll();
  await sql('source', "INSERT INTO seats VALUES (1, 'ant', 1), (2, 'bee', 2)");
  await mirrorAll();
  await sql('source', 'UPDATE seats SET n = 0 WHERE id = 2; UPDATE seats SET n = 3 - id');
  await sql('source', 'UPDATE items SET n = -2 WHERE id = 3');
  const keyed = (name: string, id: number): [number, Set<string>] => [
    tracked.byName(name).id,
    new Set([encodeKey([String(id)])]),
  ];
  const keys = new Map([keyed('items', 3), keyed('seats', 1)]);
  await converge(pair, tracked, { tenants: ['ant', 'bee'], journal: null, keys });
  await pair.source.run(`DELETE FROM \`${pair.control}\`.journal`);
  await expectEqual();
});

/** One of the two sides fails its COMMIT. */
const dying = (side: 'source' | 'target', url: string): FaultyDatabase =>
  new FaultyDatabase(
    { side, url },
    {
      withoutLock: false,
      at(moment, _, text) {
        if (moment === 'before' && text === 'COMMIT') throw new Error('crashed');
      },
    },
  );

it('a batch that fails at its end has written nothing, whether it was sent or not', async () => {
  const { pair, tracked, sql, rows } = fixture();
  await mirrorAll();
  const target = dying('target', stackInfo().targetUrl);
  await sql('source', 'UPDATE items SET n = -1 WHERE id = 10001');
  await sql('source', 'DELETE FROM items WHERE id = 10002');
  await sql('source', 'UPDATE slots SET n = -1 WHERE id = 1');
  const mirror = new Mirror({ ...pair, target }, tracked);
  for (const tenant of ['ant', 'bee']) await expect(mirror.drain(tenant)).rejects.toThrow('crashed');
  expect(await rows('target', 'SELECT id FROM items WHERE n = -1')).toEqual([]);
  expect(await rows('target', 'SELECT id FROM slots WHERE n = -1')).toEqual([]);
  await target.close();
  await mirrorAll();
  await expectEqual();
});

it('a snapshot that does not end well costs nothing: all of it was read', async () => {
  const { pair, tracked, sql } = fixture();
  await mirrorAll();
  const source = dying('source', stackInfo().sourceUrl);
  await sql('source', 'UPDATE items SET n = -3 WHERE id = 4');
  await new Mirror({ ...pair, source }, tracked).mirrorTenant('ant', null);
  await source.close();
  await expectEqual();
});
