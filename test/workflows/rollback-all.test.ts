/** Everybody's reads back on the source: a thousand tenants in one go, and every live workflow takes it up. */
import { beforeAll, expect, it } from 'vitest';

import { readMigrations } from '../../src/db/migrations.ts';
import { tenantLiteral } from '../../src/db/sql.ts';
import { readStages } from '../../src/db/stages.ts';
import { switchbackHere, useFolder, writePlan } from '../cli/switchback.ts';
import { useWorld } from '../support/world.ts';

const LIVE = ['ant', 'bee', 'cat'];
const ALL = 1_000;
const world = useWorld(LIVE, { rows: 5, durations: { gateEvery: 2_000 } });
const folder = useFolder();

beforeAll(async () => {
  const { followAsNode, work, start, until, pair } = world();
  followAsNode();
  work();
  for (const tenant of LIVE) await start(tenant);
  for (const tenant of LIVE) await until(tenant, 'ramp');
  // The others have a record in ramp too, and no workflow: theirs is lost, or runs elsewhere.
  const others = Array.from({ length: ALL - LIVE.length }, (_, at) => tenantLiteral(`tenant-${at}`));
  await pair.source.run(
    `INSERT INTO \`${pair.control}\`.stage (tenant, stage, epoch, version) VALUES ${others.map((tenant) => `(${tenant}, 'read-target', 5, 1)`).join(', ')}`,
  );
  await pair.source.run(
    `INSERT INTO \`${pair.control}\`.migration (tenant, phase, mode, since, run_id, wave, started_at) VALUES ${others.map((tenant) => `(${tenant}, 'ramp', 'waiting', NOW(6), 'gone', 'first', NOW(6))`).join(', ')}`,
  );
}, 120_000);

it('flips a thousand tenants with one order, and each live workflow adopts it', async () => {
  const { pair, plan, until } = world();
  const file = await writePlan(await folder(), plan);
  const began = performance.now();
  const said = await switchbackHere([
    'rollback',
    '--all',
    '--direct',
    '--reason',
    'Aurora is slow',
    '--json',
    '--plan',
    file,
  ]);
  const took = performance.now() - began;

  expect(said.code, said.all).toBe(0);
  const { flipped, requestId } = JSON.parse(said.stdout) as { flipped: unknown[]; requestId: string };
  expect(flipped).toHaveLength(ALL);
  const stages = await readStages(pair.source, pair.control, -1);
  expect(stages.filter(({ stage }) => stage === 'read-target')).toEqual([]);
  // One change of the fleet: a node that saw it has seen all of it.
  expect(new Set(stages.map(({ version }) => version)).size).toBe(1);
  // 2 s is what it may take; a loaded machine gets more.
  expect(took).toBeLessThan(20_000);
  const [audited] = await pair.source.rows(
    `SELECT COUNT(*) AS n, COUNT(DISTINCT tenant) AS tenants FROM \`${pair.control}\`.audit WHERE request_id = ? AND after_value = 'shadow-read'`,
    [requestId],
  );
  expect(audited).toMatchObject({ n: String(ALL), tenants: String(ALL) });

  for (const tenant of LIVE) await until(tenant, 'shadow', 'stopped');
  const adopted = performance.now() - began;
  const records = await readMigrations(pair.source, pair.control);
  for (const { tenant, reason } of records.filter((record) => LIVE.includes(record.tenant)))
    expect(reason, tenant).toContain('Aurora is slow');
  // Nobody speaks for a run that is gone: its record waits for `start --adopt`.
  expect(records.filter(({ phase }) => phase === 'ramp')).toHaveLength(ALL - LIVE.length);
  console.log(
    `rollback --all --direct: ${ALL} tenants in ${Math.round(took)} ms, adopted after ${Math.round(adopted)} ms`,
  );
});

it('a second order finds nobody to flip', async () => {
  const file = await writePlan(await folder(), world().plan);
  const said = await switchbackHere([
    'rollback',
    '--all',
    '--direct',
    '--reason',
    'again',
    '--json',
    '--plan',
    file,
  ]);
  expect(said.code, said.all).toBe(0);
  expect((JSON.parse(said.stdout) as { flipped: unknown[] }).flipped).toEqual([]);
});
