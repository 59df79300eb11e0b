/** A wave whose flips two different people have to approve. */
import { expect, it } from 'vitest';

import { useWorld, WAVE } from '../support/world.ts';

const world = useWorld(['ant'], {
  rows: 5,
  waves: [{ ...WAVE, name: 'first', tenants: ['ant'], approval: true, approvals: 2 }],
});

it('ramps only once another person has approved as well', async () => {
  const { followAsNode, work, start, until, command, record, status } = world();
  followAsNode();
  work();
  await start('ant');
  await until('ant', 'ready', 'waiting');

  await command('ant', 'advance', { actor: 'ann' });
  await expect
    .poll(async () => (await record('ant'))?.reason, { timeout: 30_000 })
    .toBe('approval: approved by ann; needs the advance of 2 different people');
  await expect(command('ant', 'advance', { actor: 'ann' })).rejects.toMatchObject({
    cause: { message: 'ann approved already; another person has to as well' },
  });
  expect((await status('ant')).phase).toBe('ready');

  const waiver = { gate: 'nodes', until: '2036-01-01T00:00:00Z' };
  await expect(command('ant', 'waive', { actor: 'ann', ...waiver })).rejects.toMatchObject({
    cause: { message: 'ann approved ready; another person has to waive' },
  });
  await command('ant', 'waive', { actor: 'carol', ...waiver });
  await expect(command('ant', 'advance', { actor: 'Carol' })).rejects.toMatchObject({
    cause: { message: 'Carol waived a gate of ant; another person has to approve' },
  });
  await expect(command('ant', 'waive', { actor: 'bob', ...waiver, gate: 'approval' })).rejects.toMatchObject({
    cause: { message: expect.stringContaining('ready has no gate "approval" that can be waived') as unknown },
  });

  await command('ant', 'advance', { actor: 'bob' });
  await until('ant', 'ramp');
});
