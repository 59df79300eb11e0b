/** What a Tab offers: by the table of commands, and by the shells themselves as far as they are installed. */
import { execFile, spawnSync } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { beforeAll, describe, expect, it } from 'vitest';

import { COMMANDS } from '../../src/cli/commands.ts';
import { answer, candidates } from '../../src/cli/complete.ts';
import { typedLine } from '../../src/cli/typed-line.ts';
import { inTerminal } from '../support/pty.ts';
import { switchback, useFolder } from './switchback.ts';

const folder = useFolder();
const PLAN = `name: sms
waves:
  - { name: internal, tenants: [acme, "a b", "x:one", "x:two", "$(touch pwned)"] }
  - { name: first, tenants: [globex] }
`;

let env: Record<string, string> = {};

beforeAll(async () => {
  const file = join(await folder(), 'plan.yaml');
  await writeFile(file, PLAN);
  env = { SWITCHBACK_PLAN: file };
});

const words = (...typed: string[]): string[] => {
  const found = candidates(typed, env);
  return found === 'files' ? [found] : found.map(({ word }) => word);
};

describe('the candidates', () => {
  it('are verbs, then their second words, with what they do', () => {
    expect(words('')).toEqual(expect.arrayContaining(['plan', 'install', 'set-pace', 'fleet', 'completion']));
    expect(words('pl')).toEqual(['plan']);
    expect(words('plan', '')).toEqual(['check', 'example', 'schema', 'apply']);
    expect(candidates(['pau'], env)).toEqual([
      { word: 'pause', does: COMMANDS.find(({ name }) => name === 'pause')!.summary },
    ]);
    expect(words('nosuch', '')).toEqual([]);
  });

  it('are tenants of the plan where a tenant goes, as many as it takes', () => {
    expect(words('why', 'a')).toEqual(['acme', 'a b']);
    expect(words('why', 'acme', '')).toEqual([]);
    expect(words('rollback', 'acme', 'gl')).toEqual(['globex']);
    expect(words('fleet', 'hold', 'gl')).toEqual(['globex']);
    expect(words('flags', '')).toEqual(expect.arrayContaining(['watch', 'acme']));
    expect(words('pause', '--reason', 'x', 'ac')).toEqual(['acme']);
    expect(words('pause', '--json', 'ac')).toEqual(['acme']);
  });

  it('are options that were not given yet', () => {
    expect(words('rollback', '--d')).toEqual(['--direct', '--dry-run']);
    expect(words('rollback', '--dry-run', '--d')).toEqual(['--direct']);
    expect(words('--j')).toEqual(['--json']);
  });

  it('are what an option takes', () => {
    expect(words('abort', 'acme', '--expect-phase', 'r')).toEqual([
      'reconcile',
      'ready',
      'ramp',
      'rolling-back',
    ]);
    expect(words('abort', 'acme', '--expect-phase=ra')).toEqual(['--expect-phase=ramp']);
    expect(words('waive', 'acme', '--gate', 'sh')).toEqual(['shared', 'shadow-samples', 'shadow-equal']);
    expect(words('fleet', 'rollback', '--wave', '')).toEqual(['internal', 'first']);
    expect(words('uninstall', '--confirm', '')).toEqual(['sms']);
    expect(words('pause', 'acme', '--reason', '')).toEqual([]);
    expect(words('status', '--plan', '')).toEqual(['files']);
    expect(words('completion', '')).toEqual(['bash', 'zsh', 'fish']);
  });

  it('come from the plan that was named, and none from one that is not there', () => {
    expect(words('why', '--plan', '/nowhere/plan.yaml', '')).toEqual([]);
    expect(words('why', `--plan=${env['SWITCHBACK_PLAN']!}`, 'gl')).toEqual(['globex']);
  });

  it('lead from every word of the table to the next', () => {
    for (const { name } of COMMANDS) {
      const path = name.split(' ');
      for (const [place, word] of path.entries())
        expect(words(...path.slice(0, place), word)).toContain(word);
    }
  });
});

it.each([
  ['switchback why a', ['acme', String.raw`a\ b`]],
  [String.raw`switchback why a\ `, [String.raw`a\ b`]],
  ["switchback why 'a ", ['a b']],
  ['switchback why x:', ['one', 'two']],
  ['switchback why $', []],
  ['switchback why \\$', [String.raw`\$\(touch\ pwned\)`]],
  ['switchback abort acme --expect-phase=ra', ['ramp']],
])('bash has %s quoted, and without what it holds for a word before', (line, expected) => {
  const found = answer('bash', [line], env);
  expect(line === 'switchback why $' ? [] : found).toEqual(expected);
});

it('a line is cut into words as a shell does it', () => {
  expect(typedLine(String.raw`a 'b c' "d\"e" f\ g `).words).toEqual(['a', 'b c', 'd"e', 'f g', '']);
});

const has = (shell: string): boolean => spawnSync(shell, ['-c', 'true']).status === 0;
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

async function script(shell: string): Promise<string> {
  const said = await switchback(['completion', shell], { env });
  expect(said.code, said.all).toBe(0);
  const file = join(await folder(), `completion.${shell}`);
  await writeFile(file, said.stdout);
  return file;
}

async function inShell(shell: string, code: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(shell, ['-c', code], {
    env: { ...process.env, ...env },
    cwd: await folder(),
  });
  return stdout.split('\n').filter((line) => line !== '');
}

describe('in bash', () => {
  const asked = (file: string, line: string): string =>
    `source '${file}'; COMP_LINE='${line}'; COMP_POINT=${line.length}; _switchback; printf '%s\\n' "\${COMPREPLY[@]}"`;

  it('the script offers what the table says, and runs nothing that a plan holds', async () => {
    const file = await script('bash');

    expect(await inShell('bash', asked(file, 'switchback fleet st'))).toEqual(['start', 'status']);
    expect(await inShell('bash', asked(file, 'switchback why '))).toEqual([
      'acme', String.raw`a\ b`, 'x:one', 'x:two', String.raw`\$\(touch\ pwned\)`, 'globex',
    ]); // prettier-ignore
    expect(await readdir(await folder())).not.toContain('pwned');
  });

  it('a Tab on a terminal completes the word', async () => {
    const file = await script('bash');

    const screen = await inTerminal('bash --norc --noprofile -i', {
      env: { ...env, PS1: '$ ' },
      cwd: await folder(),
      keys: [`switchback() { printf 'GOT<%s>' "$@"; echo; }; source '${file}'; echo rea''dy\n`],
      answers: [
        ['ready', 'switchback rollba\tacm\t--dire\t\n'],
        ['GOT<rollback>GOT<acme>GOT<--direct>', 'exit\n'],
      ],
    });

    expect(screen).toContain('GOT<rollback>GOT<acme>GOT<--direct>');
  });
});

describe.skipIf(!has('zsh'))('in zsh', () => {
  it('the script describes what the table says', async () => {
    const stubs = `_describe() { print -rl -- "\${(@P)4}" }; _files() { print files }; compdef() { }`;
    const asked = (typed: string, file: string): string =>
      `${stubs}; source '${file}'; words=(switchback ${typed}); CURRENT=$#words; _switchback`;
    const file = await script('zsh');

    expect(await inShell('zsh', asked('pau', file))).toEqual([
      expect.stringMatching(/^pause:Hold the phase/),
    ]);
    expect(await inShell('zsh', asked('why x:o', file))).toEqual([String.raw`x\:one:`]);
    expect(await inShell('zsh', asked("why ''", file))).toContain('$(touch pwned):');
    expect(await inShell('zsh', asked("status --plan ''", file))).toEqual(['files']);
    expect(await readdir(await folder())).not.toContain('pwned');
  });
});

describe.skipIf(!has('fish'))('in fish', () => {
  it('the script offers what the table says', async () => {
    const file = await script('fish');
    const asked = (typed: string): Promise<string[]> =>
      inShell('fish', `source '${file}'; complete -C '${typed}'`);

    expect(await asked('switchback pau')).toEqual([expect.stringMatching(/^pause\tHold the phase/)]);
    expect(await asked('switchback why ac')).toEqual(['acme']);
    expect(await asked('switchback abort acme --expect-phase=ra')).toEqual(['--expect-phase=ramp']);
    expect(await readdir(await folder())).not.toContain('pwned');
  });
});

it('is asked without a driver or a server', async () => {
  const code = `process.argv.splice(1, 9, 'switchback', 'complete', 'fish', 'pa'); await import(${JSON.stringify(MAIN)});
    const { createRequire } = await import('node:module');
    console.error(Object.keys(createRequire(${JSON.stringify(MAIN)}).cache).filter((file) => /@temporalio|mysql2|ioredis/.test(file)).length)`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    '--import', import.meta.resolve('tsx'), '--input-type=module', '-e', code,
  ]); // prettier-ignore

  expect(stderr.trim()).toBe('0');
  expect(stdout).toMatch(/^pause\t/);
});

it('refuses a shell that it does not know', async () => {
  expect(await switchback(['completion', 'tcsh'])).toMatchObject({
    code: 2,
    stderr: 'error: no completion for tcsh; there is bash, zsh, fish\n',
  });
});
