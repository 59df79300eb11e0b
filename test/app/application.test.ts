/** A router where the application writes the target itself: it routes reads and writes the authority, no more. */
import { setTimeout as sleep } from 'node:timers/promises';

import { beforeAll, expect, it } from 'vitest';

import { add, bodies, plans, until, useApp } from './support.ts';

const { fixture, open, flip } = useApp();

beforeAll(async () => {
  await fixture().install(plans, 'application');
});

const onTarget = (body: string, tenant: string) =>
  fixture().sql('target', `INSERT INTO messages (tenant_id, body) VALUES ('${tenant}', '${body}')`);

it('writes the source alone, and reads follow the stage', async () => {
  await fixture().start('ant', 'dual-write');
  const router = await open({ mirrorBudgetMs: 5_000 });
  await add(router, 'ant', 'one');
  expect(await fixture().rows('target', "SELECT * FROM messages WHERE tenant_id = 'ant'")).toEqual([]);

  await onTarget('one', 'ant');
  await flip('ant', 'read-target');
  await until(() => router.stage('ant') === 'read-target', 'the flip was heard');
  const began = performance.now();
  await add(router, 'ant', 'two');
  expect(performance.now() - began, 'a write waits for no mirror').toBeLessThan(4_000);
  expect(await bodies(router, 'ant'), 'read from the target, which nobody has written yet').toEqual(['one']);
  await onTarget('two', 'ant');
  expect(await bodies(router, 'ant')).toEqual(['one', 'two']);
  expect(router.flag('ant').dirty, 'no journal says so').toBe(false);
  expect(router.stats().mirror.awaited).toBe(0);

  await flip('ant', 'shadow-read');
  await until(() => router.stage('ant') === 'shadow-read', 'the flip back was heard');
  expect(await bodies(router, 'ant')).toEqual(['one', 'two']);
  expect(router.stats().reads.source).toBeGreaterThan(0);
});

it('counts a shadow read as differing only when both answers stood still', async () => {
  await fixture().start('bee', 'shadow-read');
  const router = await open({ sampleRate: 1, settleMs: 400 });
  await add(router, 'bee', 'late');
  const read = bodies(router, 'bee');
  await sleep(100);
  await onTarget('late', 'bee');
  await read;
  await until(() => router.stats().shadow.samples === 1, 'the late write was seen');
  expect(router.stats().shadow.differing).toBe(0);

  await add(router, 'bee', 'lost');
  await bodies(router, 'bee');
  await until(() => router.stats().shadow.differing === 1, 'the lost write was counted');
});
