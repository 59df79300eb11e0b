/** What the command says of itself. */
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { describe, expect, it } from 'vitest';

import { COMMANDS } from '../../src/cli/commands.ts';
import { EXITS } from '../../src/cli/exit.ts';
import { build } from '../../src/cli/program.ts';
import { Terminal } from '../../src/cli/terminal.ts';
import { COMMAND_NAMES } from '../../src/domain/command.ts';
import { expectGolden, switchback } from './switchback.ts';

/** Help of every command from one process: commander prints through the terminal it was given. */
function helpOf(words: readonly string[]): string {
  let text = '';
  const stream = { write: (part: string) => (text += part) };
  const terminal = new Terminal({ stdout: stream, stderr: stream, stdin: {}, env: {} }, false);
  const program = build(terminal, () => {});
  try {
    program.parse([...words, '--help'], { from: 'user' });
  } catch {
    // exitOverride throws once the help was shown
  }
  return text;
}

describe('help', () => {
  it('teaches with examples, groups and exit codes', async () => {
    const said = await switchback(['--help']);

    expect(said.code).toBe(0);
    expect(said.stderr).toBe('');
    expect((await switchback([])).stdout).toBe(said.stdout);
    await expectGolden('help.txt', said.stdout);
  });

  it('of each command is as committed', async () => {
    const texts = COMMANDS.map(({ name }) => `$ switchback ${name} --help\n${helpOf(name.split(' '))}`);

    await expectGolden('help-commands.txt', texts.join('\n'));
  });

  it('documents every exit code', () => {
    for (const { code, means } of Object.values(EXITS)) expect(helpOf([])).toContain(`${code}  ${means}`);
  });

  it('loads no native worker and no driver', async () => {
    const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
    const script = `process.argv.push('--help'); await import(${JSON.stringify(main)});
      const { createRequire } = await import('node:module');
      console.error(Object.keys(createRequire(${JSON.stringify(main)}).cache).filter((file) => /@temporalio|mysql2|ioredis/.test(file)).length)`;
    const { stderr } = await promisify(execFile)(process.execPath, [
      '--import',
      import.meta.resolve('tsx'),
      '--input-type=module',
      '-e',
      script,
    ]);

    expect(stderr.trim()).toBe('0');
  });
});

describe('the table of commands', () => {
  it('has a row for every command of the domain, with its reason and its actor', () => {
    for (const name of COMMAND_NAMES) {
      const row = COMMANDS.find((candidate) => candidate.name === name);

      expect(row, name).toBeDefined();
      expect(row!.options.map(({ flags }) => flags.split(' ')[0])).toEqual(
        expect.arrayContaining(['--reason', '--actor', '--expect-phase', '--request-id']),
      );
    }
  });

  it('has an example for every row, which the row itself would take', () => {
    for (const { name, alias, examples } of COMMANDS) {
      expect(examples.length, name).toBeGreaterThan(0);
      for (const example of examples) {
        expect(
          [name, alias ?? name].some((word) => example.startsWith(word)),
          example,
        ).toBe(true);
      }
    }
  });

  it('finds its handler for every row', async () => {
    for (const row of COMMANDS) expect((await row.load()).run, row.name).toBeTypeOf('function');
  });
});

it('the binary runs from any working directory', async () => {
  const bin = fileURLToPath(new URL('../../bin/switchback.mjs', import.meta.url));

  const { stdout } = await promisify(execFile)(process.execPath, [bin, '--version'], { cwd: tmpdir() });

  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});
