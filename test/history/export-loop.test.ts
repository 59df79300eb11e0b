/** A worker of a plan with a folder exports each run by itself; two of them share it, and one more goes on where they stopped. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { exportLate } from '../../src/db/presence.ts';
import { Archive, type Entry } from '../../src/history/archive.ts';
import { holes, lookAt } from '../../src/history/verify.ts';
import { startWorker, type RunningWorker } from '../../src/worker.ts';
import { createLog } from '../../src/log.ts';
import { useWorld } from '../support/world.ts';

const world = useWorld(['acme'], { rows: 5, durations: { reconcileRun: 1_000 } });
let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'switchback-export-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

const work = (): RunningWorker =>
  startWorker({
    plan: { ...world().plan, history: { folder, keep: 0 } },
    log: createLog('test-worker', process.env['SWITCHBACK_LOG'] ?? 'silent'),
  });

async function exported(atLeast: number): Promise<Entry[]> {
  const ends = Date.now() + 60_000;
  for (;;) {
    const { entries } = await Archive.open(folder);
    if (entries.length >= atLeast || Date.now() > ends) return entries;
    await sleep(200);
  }
}

it('exports each run as it ends, and the chain is whole', { timeout: 120_000 }, async () => {
  world().followAsNode();
  let workers = [work(), work()];
  try {
    await world().start('acme');
    await world().until('acme', 'ramp', 'waiting');
    const first = await exported(2);
    expect(first.length).toBeGreaterThanOrEqual(2);
    expect(new Set(first.map(({ type }) => type))).toEqual(new Set(['continuousReconcile']));

    await Promise.all(workers.map((worker) => worker.stop()));
    workers = [work()];
    const later = await exported(first.length + 2);
    expect(later.length).toBeGreaterThanOrEqual(first.length + 2);
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
  }

  const { source, control } = world().pair;
  expect(await exportLate(source, control)).toBeNull();
  // As after an hour in which none was whole.
  await source.run(
    `UPDATE \`${control}\`.heartbeat SET beaten_at = NOW(6) - INTERVAL 61 MINUTE WHERE id = 3`,
  );
  expect(await exportLate(source, control)).toBeGreaterThan(3_600_000);

  const archive = await Archive.open(folder);
  for (const entry of archive.entries) expect(await lookAt(archive, entry)).toHaveProperty('intact');
  expect(holes(archive, archive.entries)).toEqual([]);
  expect(archive.entries.every(({ status }) => status !== 'RUNNING')).toBe(true);
});
