/** A run that was terminated, reset or lost is taken up where the control record stands, held until resumed. */
import { expect, it } from 'vitest';

import { beforeAll } from 'vitest';

import { tenantWorkflowId } from '../../src/domain/ids.ts';
import { tripBack } from '../../src/db/migrations.ts';
import { adopt } from '../../workflows/messages.ts';
import { useWorld } from '../support/world.ts';

const world = useWorld(['acme', 'beta', 'gamma']);

beforeAll(async () => {
  const { followAsNode, work, start, until } = world();
  followAsNode();
  work();
  for (const tenant of ['acme', 'beta', 'gamma']) await start(tenant);
  for (const tenant of ['acme', 'beta', 'gamma']) await until(tenant, 'ramp', 'waiting', 60_000);
});

it('takes up a terminated run in its phase, held; its reads never moved', async () => {
  const { handle, start, until, stage, command } = world();
  await handle('acme').terminate('somebody pressed the wrong button');
  expect(await stage('acme')).toBe('read-target');
  await start('acme', true);
  const adopted = await until('acme', 'ramp', 'paused');
  expect(adopted.reason).toContain('adopted');
  expect(await stage('acme')).toBe('read-target');
  await command('acme', 'resume');
  await until('acme', 'ramp', 'waiting');
});

it('refuses a second start without --adopt, and changes nothing', async () => {
  const { handle, start, until, record, command } = world();
  await handle('acme').terminate('lost');
  const before = await record('acme');
  await start('acme', false);
  await expect
    .poll(async () => (await world().status('acme')).reason, { timeout: 10_000 })
    .toContain('--adopt');
  expect(await record('acme')).toEqual(before);
  await handle('acme').signal(adopt, { actor: 'ann', reason: 'a test' });
  await until('acme', 'ramp', 'paused');
  await command('acme', 'resume');
  await until('acme', 'ramp', 'waiting');
});

it('a reset run notices that it does not have the tenant, and goes on once adopted', async () => {
  const { client, plan, handle, record, until, stage, status, command } = world();
  const workflowId = tenantWorkflowId(plan.name, 'beta');
  const { events } = await handle('beta').fetchHistory();
  const third = events!.filter((event) => event.workflowTaskCompletedEventAttributes)[3]!;
  await client.workflowService.resetWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId },
    reason: 'a test',
    workflowTaskFinishEventId: third.eventId!,
    requestId: 'reset-1',
  });
  await expect.poll(async () => (await status('beta')).reason, { timeout: 15_000 }).toContain('--adopt');
  expect(await stage('beta')).toBe('read-target');
  expect((await record('beta'))!.phase).toBe('ramp');
  await handle('beta').signal(adopt, { actor: 'ann', reason: 'a test' });
  await until('beta', 'ramp', 'paused');
  await command('beta', 'resume');
  await until('beta', 'ramp', 'waiting');
});

it('follows a rollback that went past it: the phase becomes shadow, the line is stopped', async () => {
  const { pair, until, stage } = world();
  const flipped = await tripBack(pair, 'gamma', 'ann', 'Temporal was down');
  expect(flipped?.stage).toBe('shadow-read');
  const stopped = await until('gamma', 'shadow', 'stopped');
  expect(stopped.reason).toContain('Temporal was down');
  expect(await stage('gamma')).toBe('shadow-read');
});
