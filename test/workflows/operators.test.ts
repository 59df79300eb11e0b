/** Two operators at once, orders that come late, twice or in the wrong order, and orders to a tenant that is finished. */
import { randomUUID } from 'node:crypto';

import { WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import { beforeAll, expect, it } from 'vitest';

import { commandSignal, commandUpdate } from '../../workflows/messages.ts';
import type { CommandName } from '../../src/domain/command.ts';
import { switchbackHere, useFolder, writePlan } from '../cli/switchback.ts';
import { useWorld } from '../support/world.ts';

const world = useWorld(['acme', 'beta', 'gamma', 'delta'], { approval: true, rows: 10 });
const folder = useFolder();

const order = (tenant: string, name: CommandName, actor: string, extra: Record<string, unknown> = {}) =>
  world()
    .handle(tenant)
    .executeUpdate(commandUpdate(name), {
      args: [{ requestId: randomUUID(), actor, reason: `${actor} wants it`, ...extra }],
    });

const say = async (...words: string[]) =>
  switchbackHere([...words, '--plan', await writePlan(await folder(), world().plan), '--reason', 'a test']);

async function audited(tenant: string, ...events: string[]): Promise<(string | null)[]> {
  const { pair } = world();
  const rows = await pair.source.rows(
    `SELECT actor FROM ${pair.control}.audit WHERE tenant = '${tenant}' AND event IN (${events.map((event) => `'${event}'`).join()}) ORDER BY id`,
  );
  return rows.map((row) => row['actor'] ?? null);
}

const faults = async (tenant: string): Promise<number> =>
  (await world().handle(tenant).fetchHistory()).events!.filter(
    (event) => event.workflowTaskFailedEventAttributes,
  ).length;

beforeAll(async () => {
  const { followAsNode, work, start, until } = world();
  followAsNode();
  work();
  for (const tenant of ['acme', 'beta', 'delta']) await start(tenant);
  for (const tenant of ['acme', 'beta', 'delta']) await until(tenant, 'ready', 'waiting');
});

it('lets one of two operators start a tenant, and tells the other', async () => {
  const said = await Promise.all([say('start', 'gamma'), say('start', 'gamma')]);
  expect(
    said.map(({ code }) => code).sort((a, b) => a! - b!),
    JSON.stringify(said),
  ).toEqual([0, 4]);
  await world().until('gamma', 'ready', 'waiting');
});

it('flips once when two operators roll back at once, and one more goes past the workflow', async () => {
  const { until, command, stage, pair } = world();
  await command('acme', 'advance');
  await until('acme', 'ramp', 'waiting');
  const before = (await audited('acme', 'stage')).length;
  const answers = await Promise.allSettled([
    order('acme', 'rollback', 'ann'),
    order('acme', 'rollback', 'bob'),
    order('acme', 'pause', 'cleo'),
    say('rollback', 'acme', '--direct'),
  ]);
  expect(answers.some(({ status }) => status === 'fulfilled')).toBe(true);
  for (const answer of answers)
    if (answer.status === 'rejected') expect(answer.reason).toBeInstanceOf(WorkflowUpdateFailedError);
  await until('acme', 'shadow');
  expect(await stage('acme')).toBe('shadow-read');
  expect((await audited('acme', 'stage')).length).toBe(before + 1);
  // Whoever came first decides how it is held; it is held.
  await expect
    .poll(async () => (await world().record('acme'))!.mode, { timeout: 15_000 })
    .toMatch(/^(paused|stopped)$/);
  expect(await faults('acme')).toBe(0);
  const [row] = await pair.source.rows(
    `SELECT COUNT(*) AS n FROM ${pair.control}.migration WHERE tenant = 'acme'`,
  );
  expect(row!['n']).toBe('1');
});

it.each(['update', 'signal'] as const)(
  'takes a rollback by %s while the flip is under way, and carries it out behind it',
  async (by) => {
    const { command, until, handle, pair, stage } = world();
    await pair.source.transaction(async (session) => {
      await session.rows(`SELECT stage FROM ${pair.control}.stage WHERE tenant = 'delta' FOR UPDATE`);
      await command('delta', 'advance');
      await expect.poll(() => entering('delta'), { timeout: 15_000 }).toBe(true);
      if (by === 'update') {
        expect(await order('delta', 'rollback', 'ann', { expectPhase: 'ramp' })).toMatchObject({
          accepted: true,
          phase: 'ramp',
        });
      } else {
        await handle('delta').signal(commandSignal('rollback'), {
          requestId: randomUUID(),
          actor: 'ann',
          reason: 'amid the flip',
        });
      }
    });
    await until('delta', 'shadow', 'paused');
    expect(await stage('delta')).toBe('shadow-read');
    expect((await audited('delta', 'stage')).slice(-2)).toEqual(['switchback', 'ann']);
    await command('delta', 'resume');
    await until('delta', 'ready', 'waiting');
  },
);

/** Is the activity under way that flips to ramp? */
async function entering(tenant: string): Promise<boolean> {
  const { pendingActivities } = (await world().handle(tenant).describe()).raw;
  return (pendingActivities ?? []).some(({ activityType }) => activityType?.name === 'enterPhase');
}

it('takes contrary orders of two operators one after the other, and keeps both names', async () => {
  const { until } = world();
  for (let round = 0; round < 5; round += 1) {
    const [, resumed] = await Promise.allSettled([
      order('beta', 'pause', 'ann'),
      order('beta', 'resume', 'bob'),
    ]);
    // The end of the pause is accepted only behind the pause, carried out or not.
    if (resumed.status === 'fulfilled') await order('beta', 'pause', 'ann');
    await until('beta', 'ready', 'paused');
    await order('beta', 'resume', 'bob');
    await until('beta', 'ready', 'waiting');
  }
  const actors = await audited('beta', 'pause', 'resume');
  expect(actors).toContain('ann');
  expect(actors).toContain('bob');
  expect(await faults('beta')).toBe(0);
});

it('refuses what comes in the wrong order, late or for a phase that is over; a copy does nothing', async () => {
  const { handle, until, status, command } = world();
  const signal = (name: CommandName, extra: Record<string, unknown>) =>
    handle('beta').signal(commandSignal(name), {
      requestId: randomUUID(),
      actor: 'dora',
      reason: 'late',
      ...extra,
    });
  // The end of a pause that never was.
  await signal('resume', {});
  await expect
    .poll(async () => (await status('beta')).refusals[0], { timeout: 10_000 })
    .toContain('resume by dora');

  const requestId = randomUUID();
  await signal('pause', { requestId });
  await until('beta', 'ready', 'paused');
  await command('beta', 'resume');
  await until('beta', 'ready', 'waiting');
  await signal('pause', { requestId });
  await command('beta', 'advance', { expectPhase: 'ready' });
  await until('beta', 'ramp', 'waiting');

  // Sent while it was ready, delivered now.
  await signal('advance', { expectPhase: 'ready' });
  await signal('rollback', { expectPhase: 'drill' });
  await expect
    .poll(async () => (await status('beta')).refusals[0], { timeout: 10_000 })
    .toContain('rollback by dora');
  expect(await world().stage('beta')).toBe('read-target');
  expect((await audited('beta', 'pause')).filter((actor) => actor === 'dora')).toHaveLength(1);
});

it('tells whoever orders a tenant that is finished, and changes nothing', async () => {
  const { handle, command, record, stage } = world();
  await command('gamma', 'abort', { expectPhase: 'ready' });
  await handle('gamma').result();
  const before = await record('gamma');
  await expect(
    handle('gamma').signal(commandSignal('resume'), { requestId: '1', actor: 'ann', reason: 'too late' }),
  ).rejects.toBeInstanceOf(WorkflowNotFoundError);
  for (const verb of ['pause', 'rollback', 'advance']) {
    const said = await say(verb, 'gamma');
    expect(said.code, said.all).toBe(3);
    expect(said.stderr).toContain('gamma was aborted');
    expect(said.stderr).toContain('next: switchback');
  }
  expect((await say('rollback', 'gamma', '--direct')).code).toBe(4);
  expect(await record('gamma')).toEqual(before);
  expect(await stage('gamma')).toBe('source-only');
});
