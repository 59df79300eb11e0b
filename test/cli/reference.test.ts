/** docs/cli.md says what the table of commands says. */
import { readFile, writeFile } from 'node:fs/promises';

import { expect, it } from 'vitest';

import { COMMANDS } from '../../src/cli/commands.ts';
import { reference } from './reference.ts';
import { SHAPES } from './shapes.ts';

const FILE = new URL('../../docs/cli.md', import.meta.url);

it('docs/cli.md is made from the table', async () => {
  if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(FILE, reference());
  expect(await readFile(FILE, 'utf8'), 'UPDATE_GOLDEN=1 makes it anew').toBe(reference());
});

it('every verb has a shape of what --json prints, and no other', () => {
  expect(Object.keys(SHAPES).sort()).toEqual(COMMANDS.map(({ name }) => name).sort());
});
