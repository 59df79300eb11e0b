/** The command as an operator has it: a process of its own, its words, its exit code. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { stringify } from 'yaml';
import { afterAll, expect } from 'vitest';

import { main } from '../../src/cli/program.ts';
import type { Durations, Plan, Tenancy } from '../../src/domain/plan.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const GOLDEN = new URL('./golden/', import.meta.url);

export interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Both, as they stand on a screen. */
  readonly all: string;
}

export interface Surroundings {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
}

const command = (words: readonly string[], { env = {}, cwd }: Surroundings) =>
  spawn(process.execPath, ['--import', import.meta.resolve('tsx'), MAIN, ...words], {
    env: { ...process.env, NO_COLOR: '1', SWITCHBACK_ACTOR: 'ann', SWITCHBACK_PLAN: undefined, ...env },
    ...(cwd === undefined ? {} : { cwd }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });

export function switchback(words: readonly string[], surroundings: Surroundings = {}): Promise<Said> {
  return ended(command(words, surroundings));
}

/** The same words in this process: a test that says many of them need not pay for a process each. */
export async function switchbackHere(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Said> {
  let stdout = '';
  let stderr = '';
  let all = '';
  const code = await main(words, {
    stdout: { write: (text) => ((stdout += text), (all += text)) },
    stderr: { write: (text) => ((stderr += text), (all += text)) },
    stdin: {},
    env: { ...process.env, SWITCHBACK_ACTOR: 'ann', ...env },
  });
  return { code, stdout, stderr, all };
}

/** Still running: for what lasts until a signal. */
export function switchbackRunning(words: readonly string[], surroundings: Surroundings = {}) {
  const child = command(words, surroundings);
  return { child, ended: ended(child) };
}

export function ended(child: ReturnType<typeof command>): Promise<Said> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr, all: `${stdout}${stderr}` }));
  });
}

/** A folder that goes with the test file. */
export function useFolder(): () => Promise<string> {
  let folder: Promise<string> | null = null;
  afterAll(async () => {
    if (folder !== null) await rm(await folder, { recursive: true, force: true });
  });
  return () => (folder ??= mkdtemp(join(tmpdir(), 'switchback-cli-')));
}

/** Writes a plan as the file that an operator would have written. */
export async function writePlan(folder: string, plan: Plan, name = 'switchback.yaml'): Promise<string> {
  const path = join(folder, name);
  const durations = Object.fromEntries(
    Object.entries(plan.durations).map(([key, ms]) => [key, `${ms}ms`]),
  ) as Record<keyof Durations, string>;
  const tables = Object.fromEntries(
    plan.tables.map((table) => [table.name, { tenant: tenant(table.tenancy), time: table.time }]),
  );
  const limits = { ...plan.limits, windowTarget: `${plan.limits.windowTarget}ms` };
  const waves = plan.waves.map((wave) => ({ ...wave, every: `${wave.every}ms`, soak: `${wave.soak}ms` }));
  const history = { ...plan.history, keep: `${plan.history.keep}ms` };
  // What the namespace has to keep is made of the waves.
  const { replicaLag = 5_000, retention: _, ...counts } = plan.gates;
  const gates = { ...counts, replicaLag: `${replicaLag}ms` };
  await writeFile(path, stringify({ ...plan, durations, limits, gates, tables, waves, history, drill: {} }));
  return path;
}

function tenant(tenancy: Tenancy): unknown {
  if (tenancy.kind === 'shared' || tenancy.kind === 'schema') return tenancy.kind;
  const { kind: _, ...rest } = tenancy;
  return rest;
}

/** What differs from run to run: times, ages, ids, ports, folders, names of schemas. */
export const steady = (text: string, replacements: Readonly<Record<string, string>> = {}): string =>
  Object.entries(replacements)
    .reduce((kept, [from, to]) => kept.replaceAll(from, to), text)
    .replaceAll(/\d{4}-\d{2}-\d{2}T[\d:.]+Z/g, '<time>')
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}/g, '<id>')
    .replaceAll(/127\.0\.0\.1:\d+/g, '<address>')
    .replaceAll(/\(\d+(?:ms|s|m)(?: \d+s)?\)/g, '(<age>)')
    .replaceAll(/[ \t]+$/gm, '');

/** Compares with a committed file; `UPDATE_GOLDEN=1` writes it. */
export async function expectGolden(name: string, text: string): Promise<void> {
  const file = new URL(name, GOLDEN);
  if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(file, text);
  expect(text).toBe(await readFile(file, 'utf8'));
}

export const shown = (words: readonly string[], { code, stdout, stderr }: Said): string =>
  `$ switchback ${words.join(' ')}\n${stdout}${stderr === '' ? '' : `--- standard error\n${stderr}`}--- exit ${code}\n`;
