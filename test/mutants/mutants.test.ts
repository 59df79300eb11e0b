/** The table of mutants is true: each names a line that is there once, and a test that exists. */
import { readFile } from 'node:fs/promises';

import { expect, it } from 'vitest';

import { APPLICATION } from './application.ts';
import { DIGESTS } from './digest.ts';
import { OPERATIONS } from './operations.ts';
import { PROTOCOL } from './protocol.ts';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string): Promise<string> => readFile(new URL(path, ROOT), 'utf8');

it.each([...PROTOCOL, ...DIGESTS, ...OPERATIONS, ...APPLICATION])(
  '$name',
  async ({ file, find, put, test, title }) => {
    expect((await read(file)).split(find)).toHaveLength(2);
    expect(put).not.toBe(find);
    // `it.each` fills its names in.
    expect(await read(test)).toContain(
      title
        .replace(/^by sql /, 'by %s ')
        .replace(/^\S+ is (open|closed)/, '%s is $1')
        .replace(/^'ADD COLUMN': /, '$what: ')
        .replace('(buffers: true)', '(buffers: %s)'),
    );
  },
);
