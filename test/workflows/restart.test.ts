/** A worker dies in every phase; the next one takes the run up where it was. */
import { expect, it } from 'vitest';

import { LADDER } from '../../src/domain/phase.ts';
import { useWorld } from '../support/world.ts';

const world = useWorld(['acme'], {
  durations: { shadow: 1_500, drill: 1_500, reconcileEvery: 200 },
  rows: 3_000,
  approval: true,
});

it('goes on after a restart of the worker in each phase', async () => {
  const { followAsNode, work, start, until, command, record, stage } = world();
  followAsNode();
  let worker = work();
  await start('acme');
  const restartedIn = new Set<string>();
  const ends = Date.now() + 90_000;
  while (Date.now() < ends) {
    const phase = (await record('acme'))?.phase;
    if (phase === 'ready') await command('acme', 'advance').catch(() => {});
    if (phase !== undefined && !restartedIn.has(phase)) {
      restartedIn.add(phase);
      await worker.stop();
      worker = work();
    }
    if (phase === 'ramp') break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await until('acme', 'ramp', 'waiting');
  expect(await stage('acme')).toBe('read-target');
  for (const phase of LADDER.filter(
    (name) => name !== 'preflight' && name !== 'dual-write' && name !== 'reconcile',
  ))
    expect(restartedIn).toContain(phase);
}, 150_000);
