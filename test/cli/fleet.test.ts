/** `switchback fleet …` as an operator has it: started, looked at, told, and everybody back at once. */
import { expect, it } from 'vitest';

import { readRoster } from '../../src/db/fleet.ts';
import { qualified } from '../../src/db/sql.ts';
import { endLease, readStages, renewLease } from '../../src/db/stages.ts';
import { useWorld, WAVE } from '../support/world.ts';
import { switchbackHere, useFolder, writePlan } from './switchback.ts';

const world = useWorld(['ant', 'bee', 'cat'], {
  rows: 3,
  waves: [
    { ...WAVE, name: 'internal', tenants: ['ant'] },
    { ...WAVE, name: 'first', tenants: ['bee', 'cat'] },
  ],
});
const folder = useFolder();
const because = ['--reason', 'a test'];
/** Nothing listens on the discard port: Temporal and Redis are down. */
const DOWN = { TEMPORAL_ADDRESS: '127.0.0.1:9', WORLD_REDIS: 'redis://127.0.0.1:9' };

async function say(words: readonly string[], env: Record<string, string> = {}) {
  const plan = await writePlan(await folder(), world().plan);
  const said = await switchbackHere(['fleet', ...words, '--plan', plan, '--json'], env);
  return { ...said, json: JSON.parse(said.stdout) as Record<string, never> };
}

async function text(...words: string[]) {
  const plan = await writePlan(await folder(), world().plan);
  return switchbackHere(['fleet', ...words, '--plan', plan]);
}

it('says what to type while there is no fleet', async () => {
  const status = await text('status');
  const paused = await text('pause', ...because);

  expect(status).toMatchObject({ code: 3, stdout: '' });
  expect(status.stderr).toMatch(
    /^error: the fleet was not started yet\nnext: switchback .*fleet start --reason "..."\n$/,
  );
  expect(paused.code).toBe(3);
  expect(paused.stderr).toMatch(/^error: no fleet of this plan is running\n/);
});

it('starts once, waits with its orders for a worker, and shows its waves', async () => {
  const started = await say(['start', ...because]);
  expect(started, started.all).toMatchObject({ code: 0, json: { waves: 2, tenants: 3 } });
  expect((await say(['start', ...because])).json).toMatchObject({ error: { kind: 'refused' } });
  expect((await say(['hold', 'cat', ...because])).json).toMatchObject({ via: 'signal', accepted: null });

  world().followAsNode();
  world().work();
  await world().until('ant', 'ramp');
  await world().until('bee', 'ramp');

  const status = await text('status');
  expect(status.code).toBe(0);
  expect(status.stdout).toMatch(/ +WAVE +TENANTS +NOT STARTED +MOVING +IN RAMP/);
  expect(status.stdout).toMatch(/^✓ +internal +1 +0 +0 +1 +1 +0 +0 +0$/m);
  expect(status.stdout).toMatch(/^▶ +first +2 +0 +0 +1 +\d +0 +1 +0$/m);
  expect(status.stdout).toMatch(/^cat: held by ann: a test$/m);
  expect(status.stdout).toMatch(
    /widen \(first\) by switchback: wave internal is in ramp and clean for its soak$/m,
  );
});

it('says of an order about a tenant what became of it, not only that it was accepted', async () => {
  const refused = await text('remove', 'ant', ...because);
  expect(refused, refused.all).toMatchObject({ code: 4, stdout: '' });
  expect(refused.stderr).toMatch(/^error: remove was refused: ant was started, or is not in the fleet/);
  expect(await text('hold', 'cat', ...because)).toMatchObject({ code: 4, stdout: '' });
  expect(await text('hold', 'nosuch', ...because)).toMatchObject({ code: 4, stdout: '' });
  expect(await text('release', 'cat', ...because)).toMatchObject({ code: 0 });
  expect(await text('hold', 'cat', ...because)).toMatchObject({ code: 0 });
});

it('refuses bad input in one line, exit 2 or 3 or 4, and changes nothing', async () => {
  const before = await readRoster(world().pair.source, world().pair.control);
  const said = await Promise.all([
    text('rollback', ...because),
    text('rollback', '--all', '--wave', 'first', ...because),
    text('rollback', '--wave', 'nowhere', ...because),
    text('add', 'nobody', ...because),
    text('advance', ...because),
    text('pause'),
  ]);

  expect(said.map(({ code }) => code)).toEqual([2, 2, 3, 3, 4, 2]);
  expect(said.map(({ stderr }) => stderr.split('\n')[0])).toEqual([
    'error: fleet rollback needs --wave NAME, or --all, and not both',
    'error: fleet rollback needs --wave NAME, or --all, and not both',
    'error: the fleet has no wave nowhere; it has internal, first',
    expect.stringContaining('has no tenant nobody'),
    'error: advance was refused: first is the last wave',
    'error: fleet pause needs --reason "..."; it is kept in the audit',
  ]);
  expect(await readRoster(world().pair.source, world().pair.control)).toEqual(before);
});

it('puts the reads of a wave back, pauses the fleet, and every workflow takes it up', async () => {
  const said = await say(['rollback', '--wave', 'first', ...because]);

  expect(said.code, said.all).toBe(0);
  expect(said.json).toMatchObject({
    flipped: [{ tenant: 'bee' }],
    fleet: 'The fleet is paused: it starts no further tenant.',
  });
  await expect.poll(async () => (await say(['status'])).json['mode'], { timeout: 20_000 }).toBe('paused');
  await world().until('bee', 'shadow', 'stopped');
  expect(await world().stage('ant')).toBe('read-target');
});

it('says, exit 6, that a live node does not follow', async () => {
  const { pair } = world();
  const node = { node: 'frozen', service: 'portal', version: 0 };
  await renewLease(pair.source, pair.control, { ...node, leaseMs: 60_000 });
  const said = await say(['rollback', '--wave', 'internal', ...because]);
  expect(said.code, said.all).toBe(6);
  expect(said.json).toMatchObject({ flipped: [{ tenant: 'ant' }] });
  await endLease(pair.source, pair.control, node.node);
});

it('puts a thousand tenants back in one go, with Temporal and Redis down', async () => {
  const { pair } = world();
  const stage = qualified(pair.control, 'stage');
  const rows = Array.from({ length: 1_000 }, (_, n) => `('many-${n}', 'read-target', 7, 1)`);
  await pair.source.run(`INSERT INTO ${stage} (tenant, stage, epoch, version) VALUES ${rows.join(', ')}`);

  const began = performance.now();
  const said = await say(['rollback', '--all', ...because], DOWN);
  const took = performance.now() - began;

  expect(said.json).toMatchObject({
    published: false,
    fleet: expect.stringContaining('could not be paused') as unknown,
  });
  const standing = await readStages(pair.source, pair.control, -1);
  expect(standing.filter((row) => row.stage === 'read-target')).toEqual([]);
  expect(standing.filter(({ tenant, epoch }) => tenant.startsWith('many-') && epoch === 8)).toHaveLength(
    1_000,
  );
  const [audited] = await pair.source.rows(
    `SELECT COUNT(*) AS n FROM ${qualified(pair.control, 'audit')} WHERE event = 'stage' AND after_value = 'shadow-read' AND tenant LIKE 'many-%' AND actor = 'ann'`,
  );
  expect(audited!['n']).toBe('1000');
  // The nodes' poll and the three seconds that Temporal is given are in it.
  expect(took).toBeLessThan(10_000);
});
