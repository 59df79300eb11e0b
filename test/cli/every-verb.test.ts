/** Every verb of the table: its help, a plan that is not there, a tenant that is not, and options that can't be read. */
import { expect, it } from 'vitest';

import { COMMANDS } from '../../src/cli/commands.ts';
import { useWorld } from '../support/world.ts';
import { switchbackHere, useFolder, writePlan, type Said } from './switchback.ts';

const world = useWorld(['acme', 'globex'], { rows: 2 });
const folder = useFolder();

/** What a verb wants beside its arguments before it looks at anything else. */
const EXTRA: Readonly<Record<string, readonly string[]>> = {
  rollback: ['acme'],
  waive: ['--gate', 'soak', '--until', '3d'],
  setPace: ['--rows-per-second', '1'],
  abort: ['--expect-phase', 'shadow'],
  'fleet rollback': ['--all'],
};

/** The verb with a word for each argument that must be there. */
const wordsOf = (name: string, args: readonly string[], tenant = 'acme'): string[] => [
  ...name.split(' '),
  ...args.filter((arg) => arg.startsWith('<')).map((arg) => (arg === '<drift>' ? '1' : tenant)),
  ...(EXTRA[name] ?? []),
];

const changes = (name: string): string[] =>
  COMMANDS.find((row) => row.name === name)!.options.some(({ flags }) => flags.startsWith('--reason'))
    ? ['--reason', 'a test']
    : [];

function expectOneLine(said: Said, code: number, ...parts: readonly string[]): void {
  expect(said.code, said.all).toBe(code);
  expect(said.stdout).toBe('');
  const lines = said.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('next: '));
  expect(lines, said.all).toHaveLength(1);
  for (const part of parts) expect(lines[0]).toContain(part);
}

/** What needs no plan at all. */
const PLANLESS = new Set(['plan example', 'plan schema', 'completion']);

it.each(COMMANDS.map(({ name }) => name))('%s --help says what it does, with an example', async (name) => {
  const row = COMMANDS.find((one) => one.name === name)!;
  const { code, stdout, stderr } = await switchbackHere([...name.split(' '), '--help']);

  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(new RegExp(`^Usage: switchback ${name}`));
  for (const example of row.examples) expect(stdout).toContain(`  switchback ${example}`);
  for (const { flags } of row.options) expect(stdout).toContain(flags);
});

it.each(COMMANDS.filter(({ name }) => !PLANLESS.has(name)).map(({ name, args }) => [name, args] as const))(
  '%s names a plan that is not there',
  async (name, args) => {
    const words = [...wordsOf(name, args), ...changes(name), '--plan', '/nowhere/plan.yaml'];
    expectOneLine(await switchbackHere(words), 2, '/nowhere/plan.yaml');
  },
);

const tenantVerbs = COMMANDS.filter(({ args }) => args.includes('<tenant>')).map(
  ({ name, args }) => [name, args] as const,
);

it.each(tenantVerbs)('%s names a tenant that the plan has not, and a near one', async (name, args) => {
  const plan = await writePlan(await folder(), world().plan);
  const words = [...wordsOf(name, args, 'acne'), ...changes(name), '--plan', plan];
  const said = await switchbackHere(words);
  // The fleet's own run is asked first: there is none.
  if (/^fleet (remove|hold|release)$/.test(name)) expectOneLine(said, 3, 'no fleet of this plan is running');
  else expectOneLine(said, 3, 'no tenant acne', 'did you mean acme?');
});

const parsed = COMMANDS.flatMap(({ name, args, options }) =>
  options
    .filter(({ parse }) => parse !== undefined)
    .map(({ flags }) => [name, flags.split(' ')[0]!, args] as const),
);

it.each(parsed)('%s %s refuses what it can not read, and says what it takes', async (name, flag, args) => {
  const said = await switchbackHere([...wordsOf(name, args), flag, '%%%', ...changes(name)]);
  expectOneLine(said, 2, flag, "'%%%'", ';');
});

it.each(COMMANDS.map(({ name, args }) => [name, args] as const))(
  '%s refuses an option that it has not',
  async (name, args) => {
    expectOneLine(
      await switchbackHere([...wordsOf(name, args), '--colour', 'red']),
      2,
      '--colour',
      `switchback ${name} --help`,
    );
  },
);

it.each(
  COMMANDS.filter(({ name }) => changes(name).length > 0).map(({ name, args }) => [name, args] as const),
)('%s asks for a reason', async (name, args) => {
  const plan = await writePlan(await folder(), world().plan);
  const extra = name === 'uninstall' ? ['--confirm', world().plan.name] : [];
  expectOneLine(await switchbackHere([...wordsOf(name, args), ...extra, '--plan', plan]), 2, '--reason');
});
