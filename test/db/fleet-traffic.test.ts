/** A wave that may move at most a share of the application's reads at once: over a record that stands in the control schema. */
import { beforeAll, expect, it } from 'vitest';

import { claimFleet, enroll } from '../../src/db/fleet.ts';
import { lookAtFleet } from '../../src/db/fleet-look.ts';
import { orderFleet } from '../../src/db/fleet-orders.ts';
import { addReads } from '../../src/db/read-load.ts';
import { BUCKETS } from '../../src/domain/read-load.ts';
import { useWorld, WAVE } from '../support/world.ts';

const TENANTS = ['ant', 'bee', 'cat', 'dog', 'eel'];
const world = useWorld(TENANTS, {
  rows: 1,
  waves: [{ ...WAVE, name: 'first', tenants: TENANTS, atOnce: 4, trafficAtOnce: 30 }],
});
const runId = 'run-1';

const look = () => lookAtFleet(world().pair, runId, world().plan.waves);

async function reads(counts: Readonly<Record<string, number>>): Promise<void> {
  const { source, control } = world().pair;
  const rows = Object.entries(counts).map(([tenant, n]) => ({
    tenant,
    stage: 'source-only' as const,
    side: 'source' as const,
    age: 0,
    micros: n,
    buckets: [n, ...Array.from({ length: BUCKETS - 1 }, () => 0)],
  }));
  await addReads(source, control, rows);
}

const put = (tenant: string, phase: string) =>
  world().pair.source.run(
    `REPLACE INTO \`${world().pair.control}\`.migration (tenant, phase, mode, since, run_id, wave, started_at) VALUES (?, ?, 'running', NOW(6), 'r', 'first', NOW(6))`,
    [tenant, phase],
  );

beforeAll(async () => {
  const { pair, plan } = world();
  await enroll(pair, plan.waves);
  await claimFleet(pair, { runId, firstWave: 'first', after: null, actor: 'ann', why: 'a test' });
});

it('starts nobody while no reads are on record', async () => {
  expect(await look()).toMatchObject({
    due: [],
    row: {
      mode: 'waiting',
      reason: 'first: no reads of the application are on record, and the plan allows 30 % at once',
    },
  });
});

it('starts tenants whose reads are within the share, of all that the application reads', async () => {
  // Of 1,000 reads; half of them are of tenants that no plan names. One is of last month.
  await reads({ ant: 100, bee: 150, cat: 100, dog: 40, eel: 110, zebra: 500 });
  await reads({ 'long-ago': 9_000 });
  await world().pair.source.run(
    `UPDATE \`${world().pair.control}\`.read_load SET day = day - INTERVAL 30 DAY WHERE tenant = 'long-ago'`,
  );
  expect((await look()).due).toEqual(['ant', 'bee']);
  expect(await look()).toMatchObject({
    due: [],
    row: {
      reason:
        'first: tenants with 25.0 % of the reads are on their way, the next has 10.0 %, and the plan allows 30 % at once',
    },
  });
});

it('goes on as soon as one of them is in ramp, and not before', async () => {
  await put('ant', 'shadow');
  await put('bee', 'shadow');
  expect((await look()).due).toEqual([]);
  await put('bee', 'ramp');
  expect((await look()).due).toEqual(['cat', 'dog']);
});

it('a tenant that is larger than the share moves alone', async () => {
  const { pair, plan } = world();
  await reads({ eel: 5_000 });
  expect((await look()).due).toEqual([]);
  for (const tenant of ['ant', 'cat']) await put(tenant, 'ramp');
  expect((await look()).due).toEqual([]);
  await put('dog', 'ramp');
  expect((await look()).due).toEqual(['eel']);
  // An order over the same roster is carried out beside the limit.
  const command = { name: 'pause', requestId: '1', actor: 'ann', reason: 'a test', tenant: null, wave: null };
  const paused = await orderFleet(pair, runId, plan.waves, command as Parameters<typeof orderFleet>[3]);
  expect(paused.row.mode).toBe('paused');
});
