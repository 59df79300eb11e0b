/** Status says how fast the work goes and why it is slow, from the control schema alone. */
import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { Database } from '../../src/db/database.ts';
import { taskQueue, tenantWorkflowId } from '../../src/domain/ids.ts';
import { tenantPlan } from '../../src/domain/plan.ts';
import { stackInfo } from '../support/stack.ts';
import { useWorld } from '../support/world.ts';
import { switchbackHere, useFolder, writePlan, type Said } from './switchback.ts';

const world = useWorld(['acme'], { rows: 3_000, approval: true });
const folder = useFolder();

const NO_TEMPORAL = { TEMPORAL_ADDRESS: '127.0.0.1:9' };

async function ask(...words: string[]): Promise<Said> {
  const plan = await writePlan(await folder(), world().plan);
  return switchbackHere([...words, '--plan', plan], NO_TEMPORAL);
}

async function until(words: readonly string[], wanted: RegExp): Promise<string> {
  const ends = Date.now() + 60_000;
  for (;;) {
    const { all } = await ask(...words);
    if (wanted.test(all)) return all;
    if (Date.now() > ends) throw new Error(`waited for ${wanted}, read:\n${all}`);
    await sleep(300);
  }
}

/** Statements that run until the returned function ends them. */
async function makeBusy(): Promise<() => Promise<void>> {
  const busy = new Database({
    side: 'source',
    url: stackInfo().sourceUrl,
    connections: 16,
    deadline: 200_000,
  });
  const ids: string[] = [];
  const running = Array.from({ length: 16 }, () =>
    busy.session(async (session) => {
      await session.run('SET SESSION max_execution_time = 0');
      const [row] = await session.rows('SELECT CONNECTION_ID() AS id');
      ids.push(row!['id']!);
      await session.rows('SELECT SLEEP(180)');
    }),
  );
  return async () => {
    for (const id of ids) await world().pair.source.run(`KILL QUERY ${id}`);
    await Promise.allSettled(running);
    await busy.close();
  };
}

describe.sequential('a backfill', () => {
  it('that a busy server holds says so, and since when', async () => {
    const { plan, client, work, followAsNode } = world();
    const calm = await makeBusy();
    const input = tenantPlan(plan, 'acme');
    await client.workflow.start('tenantMigration', {
      workflowId: tenantWorkflowId(plan.name, 'acme'),
      taskQueue: taskQueue(plan.name, 'control'),
      args: [
        {
          tenant: 'acme',
          adopt: false,
          plan: { ...input, limits: { ...input.limits, threadsRunning: 12, rowsPerSecond: 60 } },
        },
      ],
    });
    work();
    followAsNode();

    const said = await until(['status', 'acme'], /slow for [2-9]/);
    expect(said).toMatch(
      /^ {2}backfill 0 rows\/s, slow for \S+: source has \d+ threads running, more than 12$/m,
    );
    expect(await until(['status'], /running/)).toMatch(
      /acme .* backfill slow: source has \d+ threads running/,
    );
    await calm();
  });

  it('at a pace says that, how fast it goes and how long it will take', async () => {
    // Other test files use this server too, so a moment is waited for in which it is calm.
    const said = await until(['status', 'acme'], /to go[^]*slow for \S+: pace of 60 rows a second/);

    expect(said).toMatch(/^ {2}copied {3}\d+\/6000 .* rows\/s, \d+m?s? ?.*to go$/m);
    expect(said).not.toMatch(/threads running/);
  });

  it('whose worker is gone says that nothing is heard', async () => {
    await world().stopWorkers();

    const said = await until(['status', 'acme'], /nothing heard/);
    expect(said).toMatch(/^ {2}backfill nothing heard for 1\ds.*: is a worker running\?$/m);
    const silent =
      /^ *No worker was heard of for \S+: nothing moves, and no write is mirrored; start one\.$/m;
    expect(await until(['status'], silent)).toMatch(/^next: \S*switchback .*worker$/m);
    expect(await until(['why', 'acme'], silent)).toMatch(/^Next\n {2}\S*switchback .*worker$/m);
  });
});
