/** Waiting for the mirror together: nobody suffers by another, and each hears what became of its own. */
import { setTimeout as sleep } from 'node:timers/promises';

import { beforeAll, expect, it } from 'vitest';

import { Reaching } from '../../src/app/reaching.ts';
import type { Replica } from '../../src/app/replica.ts';
import { lockTenants } from '../../src/db/lock.ts';
import { column, dump, useFixture } from '../support/pair.ts';

const TENANTS = ['ant', 'bee', 'cat', 'dog'] as const;
const fixture = useFixture([
  'CREATE TABLE items (id INT PRIMARY KEY AUTO_INCREMENT, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, KEY (tenant_id))',
]);
let reaching: Reaching;
/** What was asked of the mirror. */
const asked: string[] = [];

beforeAll(async () => {
  const { install, start, sql } = fixture();
  await sql('target', "ALTER TABLE items ADD CONSTRAINT CHECK (tenant_id <> 'bee' OR n < 100)");
  await install({ items: column() });
  for (const tenant of TENANTS) await start(tenant, 'read-target');
  const { pair, tracked, mirror } = fixture();
  const replica: Replica = { pair, tracked, mirror, lent: pair };
  reaching = new Reaching({ use: (work) => work(replica) });
  for (const way of ['reach', 'reachTogether'] as const) {
    const real = mirror[way].bind(mirror) as (what: never) => Promise<never>;
    mirror[way] = (what: unknown) => {
      asked.push(`${way} ${[what].flat().join(' ')}`);
      return real(what as never);
    };
  }
});

const writeOf = (tenant: string, n = 0): Promise<unknown> =>
  fixture().sql('source', `INSERT INTO items (tenant_id, n) VALUES ('${tenant}', ${n})`);

const rowsOf = async (side: 'source' | 'target', tenant: string): Promise<readonly string[]> =>
  (await dump(fixture(), side, 'items')).filter((row) => row.includes(`"${tenant}"`));

async function expectMirrored(...tenants: readonly string[]): Promise<void> {
  for (const tenant of tenants)
    expect(await rowsOf('target', tenant)).toEqual(await rowsOf('source', tenant));
}

it('those that come while two transactions run share the next', async () => {
  for (const tenant of TENANTS) await writeOf(tenant);
  asked.length = 0;
  await Promise.all(TENANTS.map((tenant) => reaching.reach(tenant, false)));

  expect(asked).toEqual(['reachTogether ant', 'reachTogether bee', 'reachTogether cat dog']);
  await expectMirrored(...TENANTS);
});

it('tenants whose locks are taken hold up nobody else', async () => {
  const { pair } = fixture();
  for (const tenant of TENANTS) await writeOf(tenant);
  let isThere = false;
  let taken: Promise<unknown> = Promise.resolve();
  await pair.target.transaction(async (session) => {
    await lockTenants(session, pair.control, ['ant', 'dog']);
    const waits = ['ant', 'dog'].map((tenant) => reaching.reach(tenant, false));
    taken = Promise.race(waits)
      .then(() => (isThere = true))
      .then(() => Promise.all(waits));
    for (let round = 0; round < 3; round += 1)
      await Promise.all(['bee', 'cat'].map((tenant) => reaching.reach(tenant, false)));
    await sleep(100);
    expect(isThere).toBe(false);
    await expectMirrored('bee', 'cat');
  });
  await taken;
  await expectMirrored('ant', 'dog');
});

it('a tenant whose row the target refuses fails alone', async () => {
  for (const tenant of TENANTS) await writeOf(tenant, 100);
  asked.length = 0;
  const waits = TENANTS.map((tenant) => reaching.reach(tenant, tenant === 'dog'));
  const ends = await Promise.allSettled(waits);

  expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
  expect(asked.filter((what) => what.includes('dog'))).toEqual(['reach dog']);
  await expectMirrored('ant', 'cat', 'dog');
  expect(await rowsOf('target', 'bee')).toHaveLength((await rowsOf('source', 'bee')).length - 1);
});
