/** Histories of earlier runs replay on today's code: a six-week run outlives many deployments. */
import { Worker } from '@temporalio/worker';
import { expect, it } from 'vitest';

import { createLog } from '../../src/log.ts';
import { bundle, installRuntime } from '../../src/worker.ts';
import { recorded, VERSION } from '../support/histories.ts';

installRuntime(createLog('replay', 'silent'));

const replay = async (workflowBundle: Awaited<ReturnType<typeof bundle>>) => {
  const results: { name: string; error: string | null; events: number }[] = [];
  for (const { name, history } of await recorded()) {
    const error = await Worker.runReplayHistory({ workflowBundle }, history, 'replayed').then(
      () => null,
      (failure: unknown) => String(failure),
    );
    results.push({ name, error, events: history.events!.length });
  }
  return results;
};

it('replays every recorded history', async () => {
  const results = await replay(await bundle());
  expect(results.length).toBeGreaterThanOrEqual(4);
  expect(results.filter(({ error }) => error !== null)).toEqual([]);
});

it('has a history of each type of workflow, of every version that was released', async () => {
  const all = await recorded();
  const versions = new Set(all.map(({ version }) => version));
  expect([...versions]).toContain(VERSION);
  for (const version of versions) {
    const types = all
      .filter((one) => one.version === version)
      .map(({ history }) => history.events![0]!.workflowExecutionStartedEventAttributes!.workflowType!.name!);
    expect([...new Set(types)].sort(), version).toEqual([
      'continuousReconcile',
      'fleetMigration',
      'tenantMigration',
    ]);
  }
});

it('fails to replay when the order of commands changes', async () => {
  const built = await bundle();
  if (!('code' in built)) throw new Error('this test changes a bundle that was made just now');
  const changed = built.code.replaceAll('.claim(', '.certify(');
  expect(changed).not.toBe(built.code);
  const results = await replay({ code: changed });
  expect(results.some(({ name, error }) => name.startsWith('tenant') && error !== null)).toBe(true);
});

it('one history is six weeks long and stays under 2,000 events', async () => {
  const weeks = (await recorded()).find(({ name }) => name.startsWith('tenant-six-weeks'))!;
  expect(weeks.history.events!.length).toBeLessThan(2_000);
});
