/** One tenant and a fleet, there and back, with `--json` alone: every verb prints what docs/cli.md says. */
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it, vi } from 'vitest';

import { COMMANDS } from '../../src/cli/commands.ts';
import { useWorld, WAVE } from '../support/world.ts';
import { expectShape } from './shapes.ts';
import { switchbackHere, switchbackRunning, useFolder, writePlan } from './switchback.ts';

const world = useWorld(['acme', 'bee'], {
  rows: 5,
  waves: [
    { ...WAVE, name: 'first', tenants: ['acme'], approval: true },
    { ...WAVE, name: 'second', tenants: ['bee'], approval: true },
  ],
});
const folder = useFolder();
const because = ['--reason', 'a test'];
const asked = new Set<string>();

let plan = '';
let bigger = '';
let worker: ReturnType<typeof switchbackRunning>;

beforeAll(async () => {
  const { plan: given } = world();
  plan = await writePlan(await folder(), given);
  const [first, second] = given.waves;
  const waves = [first!, { ...second!, tenants: ['bee', 'newco'] }];
  bigger = await writePlan(await folder(), { ...given, waves }, 'bigger.yaml');
});

afterAll(() => void worker?.child.kill('SIGKILL'));

/** Says it with `--json`, and holds what is printed to the verb's shape. */
async function say(verb: string, words: readonly string[] = [], code = 0): Promise<Record<string, unknown>> {
  const typed = [...verb.split(' '), ...words];
  const said = await switchbackHere([
    ...typed,
    ...(words.includes('--plan') ? [] : ['--plan', plan]),
    '--json',
  ]);
  expect(said.code, said.all).toBe(code);
  const printed = JSON.parse(said.stdout) as Record<string, unknown>;
  expectShape(verb, printed);
  if (!('error' in printed)) asked.add(verb);
  expect(said.stdout).not.toMatch(/(?!\n)\p{Cc}/u);
  return printed;
}

/** The first object of what watches. */
async function firstOf(verb: string, words: readonly string[]): Promise<void> {
  const watching = switchbackRunning([...verb.split(' '), ...words, '--plan', plan, '--json']);
  const first = await new Promise<string>((resolve, reject) => {
    void watching.ended.then(({ all }) => reject(new Error(`it ended: ${all}`)));
    let text = '';
    watching.child.stdout.on('data', (part: string) => {
      text += part;
      if (text.includes('\n')) resolve(text.split('\n')[0]!);
    });
  });
  watching.child.kill('SIGINT');
  expect((await watching.ended).code).toBe(0);
  expectShape(verb, JSON.parse(first));
  asked.add(verb);
}

it.sequential('before anything moves', async () => {
  await say('plan check');
  await say('plan example');
  await say('plan schema');
  await say('completion', ['bash']);
  await say('install', because);
  await say('why', ['acme'], 3);
  await say('fleet start', because);
  await say('start', ['acme', ...because, '--dry-run']);
  worker = switchbackRunning(['worker', '--plan', plan, '--json']);
  world().followAsNode();
  await world().until('acme', 'ready', 'waiting');
});

it.sequential('the fleet', async () => {
  await say('fleet status');
  await say('fleet pause', because);
  await say('fleet resume', because);
  await say('fleet hold', ['bee', ...because]);
  await say('fleet release', ['bee', ...because]);
  await say('fleet add', ['newco', ...because, '--plan', bigger]);
  await say('fleet remove', ['newco', ...because]);
  await say('plan apply', because);
  // An order is judged by where the workflow stands, and it carries one out after the other.
  await soon(() => say('fleet advance', because));
});

it.sequential('a tenant, there and back', async () => {
  await say('pause', ['acme', ...because]);
  await say('resume', ['acme', ...because]);
  await say('setPace', ['acme', '--rows-per-second', '900', ...because]);
  await say('waive', ['acme', '--gate', 'nodes', '--until', '1h', ...because]);
  await say('waivers');
  const { since } = (await world().record('acme'))!;
  await say('drill', ['acme', ...because]);
  await expect
    .poll(async () => (await world().record('acme'))!.since > since, { timeout: 30_000 })
    .toBe(true);
  await world().until('acme', 'ready', 'waiting');
  await say('advance', ['acme', ...because]);
  await world().until('acme', 'ramp');
  await say('status');
  await say('status', ['acme']);
  await say('why', ['acme']);
  await say('report');
  await say('flags');
  await firstOf('flags watch', []);
  await firstOf('status', ['--watch']);
  await say('rollback', ['acme', ...because]);
  await world().until('acme', 'shadow', 'paused');
  await say('rollback', ['acme', '--direct', ...because], 4);
  await say('verify', ['acme']);
  await say('verify', ['acme', '--full']);
});

it.sequential('a drift, found and mended', async () => {
  await say('resume', ['acme', ...because]);
  await world().sql('target', "UPDATE customers SET name = 'another' WHERE tenant_id = 'acme' LIMIT 1");
  await world().until('acme', 'shadow', 'stopped');
  const { drift } = (await say('drift list')) as { drift: { id: number }[] };
  await say('drift show', [String(drift[0]!.id), '--show-values']);
  await say('why', ['acme']);
  await say('repair', ['acme', ...because]);
  expect(await say('history show', ['acme'])).toMatchObject({
    told: expect.arrayContaining([
      expect.objectContaining({ kind: 'drift', text: 'repair of 1 row' }),
    ]) as unknown,
  });
  await say('retry', ['acme', ...because]);
});

it.sequential('the end', async () => {
  await say('fleet rollback', ['--all', ...because]);
  await say('pause', ['acme', ...because]).catch(() => {}); // stopped again by then, or not
  const { phase } = (await world().record('acme'))!;
  await say('abort', ['acme', '--expect-phase', phase, ...because]);
  const histories = join(await folder(), 'histories');
  await say('history export', ['acme', '--out', histories, '--dry-run']);
  await say('history export', ['acme', '--out', histories]);
  await say('history verify', ['acme', '--from', histories, '--sums-only']);
  await say('history show', ['acme', '--from', histories]);
  await soon(() => say('start', ['acme', ...because]));
  await say('uninstall', ['--confirm', world().plan.name, '--force', ...because]);
  worker.child.kill('SIGTERM');
  const { stdout, code } = await worker.ended;
  expect(code).toBe(0);
  expectShape('worker', JSON.parse(stdout));
  asked.add('worker');
});

it.sequential('every verb was asked', () => {
  expect([...asked].sort()).toEqual(COMMANDS.map(({ name }) => name).sort());
});

const soon = (act: () => Promise<unknown>): Promise<unknown> =>
  vi.waitFor(act, { timeout: 60_000, interval: 200 });
