/** A flip waits for nobody: neither for slots full of copying, nor for an activity that is stuck in retry. */
import { expect, it } from 'vitest';

import { useWorld } from '../support/world.ts';

const TENANTS = ['acme', ...Array.from({ length: 4 }, (_, index) => `bulk-${index}`)];
const world = useWorld(TENANTS, { rows: 400, durations: { gateEvery: 3_000 } });

it('rolls back in under a second with every data slot full and an activity stuck in retry', async () => {
  const { followAsNode, work, start, until, command, pair, plan, stage } = world();
  followAsNode();
  // Two slots, and the same worker throughout: what a worker's end costs is not measured here.
  work({ dataSlots: 2 });
  await start('acme');
  await until('acme', 'ramp', 'waiting');

  // Four tenants that copy one row a second: the queue is full and stays full.
  for (const tenant of TENANTS.slice(1)) await start(tenant);
  await until('bulk-0', 'backfill').catch(() => until('bulk-1', 'backfill'));
  for (const tenant of TENANTS.slice(1)) await command(tenant, 'setPace', { rowsPerSecond: 1 });
  await pair.target.session(async (session) => {
    // The reconcile of acme can't go on: somebody has its table on the target for himself.
    // The session says nothing while it waits for the reconcile to come by.
    await session.run('SET SESSION wait_timeout = 600');
    await session.run(`LOCK TABLES ${plan.target.schema}.customers WRITE`);
    await expect.poll(() => waitingFor(plan.target.schema), { timeout: 90_000 }).toBeGreaterThan(0);
    const asked = Date.now();
    await command('acme', 'rollback');
    await expect.poll(() => stage('acme'), { interval: 5, timeout: 5_000 }).toBe('shadow-read');
    const took = Date.now() - asked;
    expect(took).toBeLessThan(1_000);
    const [audit] = await pair.source.rows(
      `SELECT actor FROM ${pair.control}.audit WHERE tenant = 'acme' AND event = 'stage' ORDER BY id DESC LIMIT 1`,
    );
    expect(audit!['actor']).toBe('test');
    await session.run('UNLOCK TABLES');
  });
});

async function waitingFor(schema: string): Promise<number> {
  const [row] = await world().pair.target.rows(
    `SELECT COUNT(*) AS n FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata lock%' AND info LIKE '%${schema}%customers%'`,
  );
  return Number(row!['n']);
}
