/** Signals and updates: what is refused says why, what is garbage wedges nothing, what is doubled acts once. */
import { randomUUID } from 'node:crypto';

import { beforeAll, expect, it } from 'vitest';

import { COMMAND_NAMES } from '../../src/domain/command.ts';
import { tenantWorkflowId } from '../../src/domain/ids.ts';
import { record } from '../support/histories.ts';
import { useWorld } from '../support/world.ts';

const world = useWorld(['acme', 'beta', 'gamma'], { approval: true });

beforeAll(async () => {
  const { followAsNode, work, start, until } = world();
  followAsNode();
  work();
  await start('acme');
  await until('acme', 'ready', 'waiting');
});

it('takes any payload of any signal without wedging the run', async () => {
  const { client, plan, handle, status, until, command } = world();
  const raw = (name: string, data: Uint8Array | null, encoding: string) =>
    client.workflowService.signalWorkflowExecution({
      namespace: 'default',
      workflowExecution: { workflowId: tenantWorkflowId(plan.name, 'acme') },
      signalName: name,
      input: data === null ? {} : { payloads: [{ metadata: { encoding: Buffer.from(encoding) }, data }] },
    });
  for (const name of [...COMMAND_NAMES, 'report', 'applyPlan', 'nonsense']) {
    for (const value of [
      null,
      'text',
      7,
      [],
      {},
      { requestId: 1 },
      { requestId: 'x', actor: '', reason: 'y' },
    ]) {
      await handle('acme').signal(name, value);
    }
    await raw(name, null, '');
    await raw(name, Buffer.from('{broken json'), 'json/plain');
    await raw(name, Buffer.from([0, 255, 1]), 'binary/encrypted');
    await raw(name, Buffer.from('x'), 'no/such/encoding');
  }
  const { phase, refusals } = await status('acme');
  expect(phase).toBe('ready');
  expect(refusals.length).toBeGreaterThan(0);
  await command('acme', 'pause');
  await until('acme', 'ready', 'paused');
  await command('acme', 'resume');
  await until('acme', 'ready', 'waiting');
});

it('acts once on a requestId, whether it comes as signals or updates', async () => {
  const { handle, command, until, pair } = world();
  const requestId = randomUUID();
  await command('acme', 'pause', { requestId });
  await until('acme', 'ready', 'paused');
  const again = await command('acme', 'pause', { requestId });
  expect(again.message).toContain('already');
  await command('acme', 'resume');
  await handle('acme').signal('pause', { requestId, actor: 'ann', reason: 'late copy' });
  await until('acme', 'ready', 'waiting');
  const pauses = await pair.source.rows(
    `SELECT id FROM ${pair.control}.audit WHERE event = 'pause' AND request_id = ?`,
    [requestId],
  );
  expect(pauses).toHaveLength(1);
});

it('waits for an operator where the plan asks one, and a refused update leaves no event', async () => {
  const { handle, command, until, stage } = world();
  const events = async () =>
    (await handle('acme').fetchHistory()).events!.filter(
      (event) => event.workflowExecutionUpdateAcceptedEventAttributes,
    ).length;
  const before = await events();
  await expect(command('acme', 'rollback')).rejects.toThrow();
  await expect(command('acme', 'advance', { expectPhase: 'ramp' })).rejects.toThrow();
  expect(await events()).toBe(before);
  await command('acme', 'advance', { expectPhase: 'ready' });
  await until('acme', 'ramp', 'waiting');
  expect(await stage('acme')).toBe('read-target');
  await record('tenant-with-garbage-signals', handle('acme'));
});

it('waives one gate until a time, with a name and a reason', async () => {
  const { start, until, command, record } = world();
  await start('beta');
  await until('beta', 'ready', 'waiting');
  await expect(
    command('beta', 'waive', { gate: 'no-such-gate', until: '2036-01-01T00:00:00Z' }),
  ).rejects.toThrow();
  await command('beta', 'waive', { gate: 'approval', until: '2036-01-01T00:00:00Z', reason: 'night shift' });
  await until('beta', 'ramp', 'waiting');
  expect((await record('beta'))!.waivers).toMatchObject([
    { gate: 'approval', actor: 'test', reason: 'night shift' },
  ]);
});

it('gives up a tenant on abort, keeps its rows, and can start it again', async () => {
  const { start, until, command, handle, stage, rows } = world();
  await start('gamma');
  await until('gamma', 'ready', 'waiting');
  await command('gamma', 'pause');
  await expect(command('gamma', 'abort')).rejects.toThrow();
  await command('gamma', 'abort', { expectPhase: 'ready' });
  expect(await handle('gamma').result()).toEqual({ phase: 'aborted' });
  await record('tenant-aborted', handle('gamma'));
  expect(await stage('gamma')).toBe('source-only');
  expect(await rows('target', "SELECT COUNT(*) AS n FROM customers WHERE tenant_id = 'gamma'")).toEqual([
    { n: '200' },
  ]);

  await start('gamma');
  await until('gamma', 'ready', 'waiting');
});
