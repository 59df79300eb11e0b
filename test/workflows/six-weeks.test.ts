/** Six weeks at one day a second, on the real server: the tenant's history stays small. */
import { setTimeout as sleep } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { reconcileWorkflowId } from '../../src/domain/ids.ts';
import { record } from '../support/histories.ts';
import { useWorld } from '../support/world.ts';

const DAY = 1_000;
const world = useWorld(['acme'], {
  durations: {
    shadow: 3 * DAY,
    soak: 35 * DAY,
    reconcileEvery: DAY / 4,
    reconcileRun: DAY,
    gateEvery: DAY,
    drill: 300,
  },
});

it(
  'keeps a tenant of six weeks under 2,000 events, with an operator at work every day',
  { timeout: 120_000 },
  async () => {
    const { client, plan, followAsNode, work, start, until, command, handle, record: stands } = world();
    followAsNode();
    work();
    const started = Date.now();
    await start('acme');
    await until('acme', 'ramp');
    for (let day = 1; Date.now() - started < 42 * DAY; day += 1) {
      await command('acme', 'setPace', { rowsPerSecond: day * 1_000 });
      if (day % 7 === 0) {
        await command('acme', 'pause', { reason: 'weekly window' });
        await command('acme', 'resume', { reason: 'window is over' });
      }
      await sleep(Math.max(0, started + (day + 4) * DAY - Date.now()));
    }
    const { events } = await handle('acme').fetchHistory();
    const runs = [];
    for await (const run of client.workflow.list({
      query: `WorkflowId = '${reconcileWorkflowId(plan.name, 'acme')}'`,
    }))
      runs.push(run);
    console.log(
      `six weeks: ${events!.length} events in the tenant's run, ${runs.length} runs of the continuous reconcile`,
    );
    expect((await stands('acme'))!.phase).toBe('ramp');
    // A day each, on a machine that is not busy with something else.
    expect(runs.length).toBeGreaterThan(5);
    expect(events!.length).toBeLessThan(2_000);
    await record('tenant-six-weeks', handle('acme'));
    await record('reconcile-one-day', client.workflow.getHandle(runs.at(1)!.workflowId, runs.at(1)!.runId));
  },
);
