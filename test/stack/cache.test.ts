/** The cache holds whole entries only, and several programs may want the same one at once. */
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { cached, cachedVersions } from '../../src/stack/cache.ts';

let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchback-cache-'));
  vi.stubEnv('SWITCHBACK_CACHE', folder);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const log = () => {};

test('an entry that several ask for at once is made once', async () => {
  let made = 0;
  const make = async (path: string) => {
    made += 1;
    await writeFile(path, 'whole');
  };

  const paths = await Promise.all([1, 2, 3].map(() => cached({ name: 'thing-1.0', log, make })));

  expect(made).toBe(1);
  expect(new Set(paths).size).toBe(1);
  expect(await readFile(join(folder, 'thing-1.0'), 'utf8')).toBe('whole');
});

test('a failed attempt leaves nothing, and the next one starts afresh', async () => {
  const failing = cached({
    name: 'thing-1.0',
    log,
    make: async (path) => {
      await writeFile(path, 'half');
      throw new Error('network gone');
    },
  });
  await expect(failing).rejects.toThrow('network gone');
  expect(await readdir(folder)).toEqual([]);

  await cached({ name: 'thing-1.0', log, make: (path) => writeFile(path, 'whole') });

  expect(await readdir(folder)).toEqual(['thing-1.0']);
});

test('the lock and the leftovers of a killed program are taken over', async () => {
  // No process has this start time.
  await writeFile(join(folder, 'thing-1.0.lock'), JSON.stringify({ pid: process.pid, started: '1' }));
  await writeFile(join(folder, 'thing-1.0.partial-1'), 'half');

  await cached({ name: 'thing-1.0', log, make: (path) => writeFile(path, 'whole') });

  expect(await readdir(folder)).toEqual(['thing-1.0']);
});

test('versions come newest first, and neither half entries nor data folders count', async () => {
  for (const name of [
    'mysql-9.7',
    'mysql-10.1',
    'mysql-9.7.4-data-1',
    'mysql-9.8.partial-12',
    'mysql-9.7.lock',
  ]) {
    await writeFile(join(folder, name), '');
  }

  expect(await cachedVersions('mysql')).toEqual([join(folder, 'mysql-10.1'), join(folder, 'mysql-9.7')]);
});
