/** A second build takes over while tenants stand in every phase: it goes on, nothing is non-deterministic, and nobody waits for the first one. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { currentBuild, setCurrentBuild } from '../../src/deployment.ts';
import { reconcileWorkflowId } from '../../src/domain/ids.ts';
import { LADDER } from '../../src/domain/phase.ts';
import type { HistoryEvent } from '../../src/history/events.ts';
import { bundle } from '../../src/worker.ts';
import { standIn } from '../support/standing.ts';
import { useWorld } from '../support/world.ts';

const world = useWorld(['acme', ...LADDER.map((phase) => `in-${phase}`)], {
  approval: true,
  rows: 20,
  durations: { reconcileRun: 2_000, gateEvery: 20_000 },
});

let folder: string;
const paths: Record<'one' | 'two', string> = { one: '', two: '' };

/** The second build says something else to the operator, and orders the same. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchback-builds-'));
  const built = await bundle();
  if (!('code' in built)) throw new Error('this test changes a bundle that was made just now');
  const second = built.code.replaceAll('### What to type next', '### What to type now');
  expect(second).not.toBe(built.code);
  for (const [name, code] of [
    ['one', built.code],
    ['two', second],
  ] as const) {
    paths[name] = join(folder, `${name}.js`);
    await writeFile(paths[name], code);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const work = (build: 'one' | 'two') => world().work({ bundle: paths[build], buildId: build });

const buildsOf = (events: readonly HistoryEvent[]): string[] => [
  ...new Set(
    events.flatMap(
      ({ workflowTaskCompletedEventAttributes: done }) => done?.deploymentVersion?.buildId ?? [],
    ),
  ),
];

const builds = async (tenant: string): Promise<string[]> =>
  buildsOf((await world().handle(tenant).fetchHistory()).events!);

it(
  'goes on in every phase with the second build; the first one is stopped',
  { timeout: 150_000 },
  async () => {
    const { client, plan, followAsNode, start, command, handle } = world();
    followAsNode();
    const first = work('one');
    expect(await setCurrentBuild(client, 'default', plan.name, 'one')).toBe(true);
    await start('acme');
    await Promise.all(LADDER.map((phase) => standIn(world(), `in-${phase}`, phase)));
    // Some wait in the phase with an activity under way, the others are held in it.
    for (const phase of ['shadow', 'ready', 'ramp'] as const) await command(`in-${phase}`, 'resume');
    await world().until('acme', 'ready', 'waiting');
    expect(await builds('acme')).toEqual(['one']);
    work('two');
    expect(await setCurrentBuild(client, 'default', plan.name, 'two')).toBe(true);
    expect(await currentBuild(client, 'default', plan.name)).toBe('two');
    await first.stop();

    await command('acme', 'advance');
    await world().until('acme', 'ramp', 'waiting');
    // At once: a task that was kept for the first build's cache waits ten seconds for it.
    await Promise.all(
      LADDER.map(async (phase) => {
        const tenant = `in-${phase}`;
        await command(tenant, 'pause').catch(() => {}); // those that are held refuse it
        await command(tenant, 'resume');
        await world().until(tenant, phase === 'ramp' ? 'ramp' : 'ready', 'waiting');
      }),
    );
    for (const tenant of ['acme', ...LADDER.map((phase) => `in-${phase}`)]) {
      expect(await builds(tenant), tenant).toEqual(['one', 'two']);
      const history = await handle(tenant).fetchHistory();
      expect(history.events!.filter((event) => event.workflowTaskFailedEventAttributes)).toEqual([]);
      for (const codePath of Object.values(paths))
        await Worker.runReplayHistory({ workflowBundle: { codePath } }, history, tenant);
    }
    // The loops too: one that began on the first build ends on the second.
    await expect
      .poll(
        async () => {
          const { events } = await client.workflow
            .getHandle(reconcileWorkflowId(plan.name, 'acme'))
            .fetchHistory();
          return buildsOf(events!);
        },
        { timeout: 30_000 },
      )
      .toEqual(['two']);
  },
);
