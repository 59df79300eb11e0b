/** Gates of a run on real servers: what a worker records of them, and that each of them can be met. */
import { expect, it } from 'vitest';

import { readEvidence } from '../../src/db/evidence.ts';
import { readGateHistory, readGates } from '../../src/db/gate-record.ts';
import { loadTracked } from '../../src/db/tracked.ts';
import { readWaivers } from '../../src/db/waivers.ts';
import { DAY } from '../../src/domain/duration.ts';
import { useWorld } from '../support/world.ts';

const world = useWorld(['ant'], {
  rows: 5,
  approval: true,
  gates: { cleanPasses: 2, shadowSamples: 10, retention: 30 * DAY },
});

it('waits for what is missing, on record since when, and goes on when it is there', async () => {
  const { followAsNode, work, start, until, command, pair, sql } = world();
  const { source, control } = pair;
  followAsNode();
  work();
  await start('ant');
  await sql('source', "UPDATE customers SET name = 'moved' WHERE tenant_id = 'ant'");

  // Nobody reads in this test: the tenant is quiet, and every one of no reads is not enough.
  await until('ant', 'shadow', 'waiting');
  const closed = async () =>
    (await readGates(source, control, 'ant')).flatMap(({ gate, open }) => (open ? [] : [gate])).sort();
  await expect.poll(closed, { timeout: 60_000 }).toEqual(['shadow-equal', 'shadow-samples']);
  const since = (await readGates(source, control, 'ant')).find(({ gate }) => gate === 'shadow-samples')!;
  expect(since.closedAt).toBeGreaterThanOrEqual(since.enteredAt);
  await source.run(
    `INSERT INTO \`${control}\`.shadow (tenant, read_name, node, samples, differing, first_at, last_at, read_count) VALUES ('ant', 'inbox', 'n', 3, 0, NOW(6), NOW(6), 3)`,
  );

  await until('ant', 'ready', 'waiting');
  await command('ant', 'waive', {
    actor: 'ann',
    gate: 'approval',
    until: '2036-01-01T00:00:00Z',
    reason: 'night shift',
  });
  await until('ant', 'ramp');

  expect(await readWaivers(pair, 'ant')).toMatchObject([
    { gate: 'approval', phase: 'ready', actor: 'ann', reason: 'night shift', standing: true },
  ]);
  const history = await readGateHistory(source, control, 'ant');
  const of = (phase: string, gate: string) =>
    history.find((row) => row.phase === phase && row.gate === gate)!;
  expect(of('dual-write', 'retention')).toMatchObject({ open: true, needs: 'at least 30d' });
  expect(of('reconcile', 'clean-passes')).toMatchObject({ open: true, saw: '2 clean passes in this phase' });
  expect(of('shadow', 'shadow-samples')).toMatchObject({
    open: true,
    closedAt: null,
    firstClosedAt: since.firstClosedAt,
    saw: expect.stringMatching(/^3 samples of 3 reads in /) as unknown,
  });
  expect(of('ready', 'approval')).toMatchObject({ open: false, waived: true });
  expect(history.filter(({ phase, open, waived }) => phase !== 'ramp' && !open && !waived)).toEqual([]);

  const evidence = async () =>
    readEvidence(pair, await loadTracked(pair), {
      tenant: 'ant',
      since: 0,
      round: 1,
      replicas: { named: 0, lag: null },
    });
  await expect.poll(async () => (await evidence()).mirror!.attempts, { timeout: 30_000 }).toBeGreaterThan(0);
});
