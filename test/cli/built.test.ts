/** The command as `npm run build` makes it, in a few files: what it needs beside it is found, and its faults are known. */
import { spawn } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { buildCli } from '../../src/build/cli.ts';
import { bundle } from '../../src/worker.ts';
import { useWorld } from '../support/world.ts';
import { ended, useFolder, writePlan, type Said } from './switchback.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** As deep as `dist/src/cli`, where packages are found and git does not look. */
const DIST = join(ROOT, 'node_modules', `.switchback-${process.pid}`);
const BUILT = join(DIST, 'cli');

const world = useWorld(['acme'], { rows: 20 });
const folder = useFolder();

beforeAll(async () => {
  await mkdir(DIST, { recursive: true });
  await buildCli(BUILT);
  const made = await bundle();
  if ('code' in made) await writeFile(join(DIST, 'workflow-bundle.js'), made.code);
});
afterAll(() => rm(DIST, { recursive: true, force: true }));

function running(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [join(BUILT, 'main.js'), ...words], {
    env: { ...process.env, NO_COLOR: '1', SWITCHBACK_ACTOR: 'ann', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { child, ended: ended(child) };
}

const say = (words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Said> =>
  running(words, env).ended;

it('knows its version, its example and its help', async () => {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const [said, example, help] = await Promise.all(
    [['--version'], ['plan', 'example'], ['--help']].map((words) => say(words)),
  );
  expect(said!.stdout.trim()).toBe(version);
  expect(example!.stdout).toContain('waves:');
  expect(help!.stdout).toContain('switchback');
});

it('says what it cannot reach as the sources do, and reads what it can', async () => {
  const plan = await writePlan(await folder(), world().plan);
  const away = await say(['status', '--plan', plan], { WORLD_SOURCE: 'mysql://nobody@127.0.0.1:1/none' });
  expect(away.code, away.all).toBe(7);
  expect(away.stderr).toContain('127.0.0.1:1: cannot be reached');
  const checked = await say(['plan', 'check', '--plan', plan, '--json']);
  expect(checked.code, checked.all).toBe(0);
});

it('moves a tenant as a worker, and ends well', { timeout: 120_000 }, async () => {
  const plan = await writePlan(await folder(), world().plan);
  world().followAsNode();
  const worker = running(['worker', '--plan', plan, '--json']);
  const started = await say(['start', 'acme', '--plan', plan, '--reason', 'a test']);
  expect(started.code, started.all).toBe(0);
  await world().until('acme', 'ramp', 'waiting');
  worker.child.kill('SIGTERM');
  const { code, all } = await worker.ended;
  expect(code, all).toBe(0);
});
