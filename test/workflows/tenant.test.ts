/** One tenant's way on real servers: every transition, and what stops it. */
import { expect, it } from 'vitest';

import { record } from '../support/histories.ts';
import { useWorld } from '../support/world.ts';

const world = useWorld(['acme', 'beta']);

it('takes a tenant from preflight to ramp, rolls it back, and moves it again', async () => {
  const { work, start, until, followAsNode, stage, command, rows, sql } = world();
  followAsNode();
  work();
  await start('acme');
  await until('acme', 'ramp', 'waiting');
  expect(await stage('acme')).toBe('read-target');
  expect(await rows('target', "SELECT COUNT(*) AS n FROM customers WHERE tenant_id = 'acme'")).toEqual([
    { n: '200' },
  ]);
  expect(await rows('target', "SELECT COUNT(*) AS n FROM customers WHERE tenant_id = 'beta'")).toEqual([
    { n: '0' },
  ]);

  await command('acme', 'rollback', { reason: 'support saw old balances' });
  const back = await until('acme', 'shadow', 'paused');
  expect(back.reason).toContain('support saw old balances');
  expect(await stage('acme')).toBe('shadow-read');

  await sql('source', "UPDATE customers SET name = 'after the rollback' WHERE tenant_id = 'acme' LIMIT 5");
  await command('acme', 'resume');
  await until('acme', 'ramp', 'waiting');
  expect(
    await rows('target', "SELECT COUNT(*) AS n FROM customers WHERE name = 'after the rollback'"),
  ).toEqual([{ n: '5' }]);
  await record('tenant-rolled-back-and-moved-again', world().handle('acme'));
});

it('flips reads back before it stops the line when a row drifts in ramp, and goes on after repair and retry', async () => {
  const { start, until, sql, stage, status, command, pair, rows } = world();
  await start('beta');
  await until('beta', 'ramp', 'waiting');

  await sql('target', "UPDATE customers SET name = 'corrupted' WHERE tenant_id = 'beta' LIMIT 1");
  const stopped = await until('beta', 'shadow', 'stopped');
  expect(stopped.reason).toContain('drift');
  expect(await stage('beta')).toBe('shadow-read');
  const audit = await pair.source.rows(
    `SELECT event, after_value FROM ${pair.control}.audit WHERE tenant = 'beta' AND event IN ('stage', 'phase') ORDER BY id DESC LIMIT 3`,
  );
  expect(audit.map((row) => row['after_value'])).toEqual(['shadow', 'rolling-back', 'shadow-read']);
  await expect(command('beta', 'resume')).rejects.toThrow();
  expect((await status('beta')).refusals).toEqual([]);

  const { repairKeys } = await import('../../src/db/verdict.ts');
  const { readDrift, markRepaired } = await import('../../src/db/ledger.ts');
  const { loadTracked } = await import('../../src/db/tracked.ts');
  const drift = await readDrift(pair, 'beta', true);
  expect(drift).toMatchObject([{ class: 'different', columns: 'name' }]);
  await repairKeys(
    pair,
    await loadTracked(pair),
    'beta',
    drift[0]!.tableId,
    drift.map((row) => row.key),
  );
  await markRepaired(
    pair,
    drift.map((row) => row.id),
  );
  await command('beta', 'retry');
  await until('beta', 'ramp', 'waiting');
  expect(await rows('target', "SELECT COUNT(*) AS n FROM customers WHERE name = 'corrupted'")).toEqual([
    { n: '0' },
  ]);
  await record('tenant-drifted-in-ramp', world().handle('beta'));
});
