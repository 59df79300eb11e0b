/** docs/metrics.md is what the tables in the code say: every metric is in it, and nothing else. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

import { document } from './support/metrics-doc.ts';

const FILE = fileURLToPath(new URL('../docs/metrics.md', import.meta.url));

it('the list of metrics is the one that the code makes', () => {
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(FILE, document());
  expect(readFileSync(FILE, 'utf8')).toBe(document());
});
