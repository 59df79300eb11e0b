/** Whoever waits for a change of a tenant's stage hears of it soon, and of nobody else's. */
import { setTimeout as sleep } from 'node:timers/promises';

import { beforeAll, expect, it } from 'vitest';

import { StageWatch } from '../../src/db/stage-watch.ts';
import { admitStage, markDirty, readStage } from '../../src/db/stages.ts';
import { useWorld } from '../support/world.ts';

const world = useWorld(['acme', 'globex'], { rows: 1 });
const why = { actor: 'test', reason: 'a test' };

beforeAll(async () => {
  const { source, control } = world().pair;
  for (const tenant of ['acme', 'globex']) await admitStage(source, control, tenant);
});

const versionOf = async (tenant: string): Promise<number> =>
  (await readStage(world().pair.source, world().pair.control, tenant))!.version;

async function change(tenant: string): Promise<void> {
  const { source, control } = world().pair;
  const isDirty = (await readStage(source, control, tenant))!.dirty;
  await markDirty(source, control, [tenant], !isDirty, why);
}

const within = (heard: Promise<void>, ms: number): Promise<boolean> =>
  Promise.race([heard.then(() => true), sleep(ms).then(() => false)]);

it('hears of its own tenant only, and every waiter does', async () => {
  const watch = new StageWatch(world().pair);
  const { signal } = new AbortController();
  const [acme, globex] = [await versionOf('acme'), await versionOf('globex')];
  const waiting = [watch.changed('acme', acme, signal), watch.changed('acme', acme, signal)];
  const other = watch.changed('globex', globex, signal);

  await change('acme');

  expect(await Promise.all(waiting.map((heard) => within(heard, 2_000)))).toEqual([true, true]);
  expect(await within(other, 600)).toBe(false);
  await change('globex');
  expect(await within(other, 2_000)).toBe(true);
});

it('hears what happened before it asked, also what another look has found already', async () => {
  const watch = new StageWatch(world().pair);
  const { signal } = new AbortController();
  const [acme, globex] = [await versionOf('acme'), await versionOf('globex')];
  const first = watch.changed('globex', globex, signal);
  await change('acme');
  await change('globex');
  expect(await within(first, 2_000)).toBe(true);

  expect(await within(watch.changed('acme', acme, signal), 20)).toBe(true);
  // As a source that was restored gives them: versions that stay below what was heard once.
  expect(await within(watch.changed('acme', acme, signal), 600)).toBe(false);
});

it('hears nothing after it was let go', async () => {
  const watch = new StageWatch(world().pair);
  const leaving = new AbortController();
  const heard = watch.changed('acme', await versionOf('acme'), leaving.signal);
  leaving.abort();

  await change('acme');

  expect(await within(heard, 600)).toBe(false);
});
