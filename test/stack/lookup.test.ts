/** Each server comes from the first place that has it. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { mysqlProgram, mysqlVersion } from '../../src/stack/database-program.ts';
import { ExternalServerError } from '../../src/stack/errors.ts';
import { startStack } from '../../src/stack/start.ts';

let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchback-lookup-'));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

async function aProgramThatSays(name: string, version: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, `#!/bin/sh\necho '${version}'\n`);
  await chmod(path, 0o755);
  return path;
}

test('an address in the environment is used, and nothing is started', async () => {
  vi.stubEnv('SWITCHBACK_TARGET', 'mysql://app:secret@db.internal:3307/sms');
  vi.stubEnv('TEMPORAL_ADDRESS', 'temporal.internal:7233');
  vi.stubEnv('REDIS_URL', 'redis://cache.internal');

  const stack = await startStack({ only: ['target', 'temporal', 'redis'] });

  expect(stack.owned()).toEqual([]);
  expect(stack.target.url()).toBe('mysql://app:secret@db.internal:3307/sms');
  expect(stack.target.url('other')).toBe('mysql://app:secret@db.internal:3307/other');
  expect([stack.target.host, stack.target.port]).toEqual(['db.internal', 3307]);
  expect(stack.temporal.address).toBe('temporal.internal:7233');
  expect(stack.redis.url).toBe('redis://cache.internal');
});

test('a server from the environment is never killed, started or frozen', async () => {
  vi.stubEnv('SWITCHBACK_TARGET', 'mysql://app:secret@db.internal/sms');
  const { target } = await startStack({ only: ['target'] });

  await expect(target.kill()).rejects.toThrow(ExternalServerError);
  await expect(target.start()).rejects.toThrow('Unset SWITCHBACK_TARGET to get a private one');
  await expect(target.freeze()).rejects.toThrow(ExternalServerError);
  expect(() => target.pid).toThrow(ExternalServerError);
});

test('an address of the wrong kind is refused by the name of its variable', async () => {
  vi.stubEnv('SWITCHBACK_TARGET', 'db.internal:3306');

  await expect(startStack({ only: ['target'] })).rejects.toThrow('SWITCHBACK_TARGET must look like mysql://');
});

test('a MySQL on the PATH comes before the cache', async () => {
  const command = await aProgramThatSays(
    'mysqld',
    'mysqld  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server)',
  );

  const program = await mysqlProgram(() => {}, folder);

  expect(program).toEqual({ command, args: ['--no-defaults'], version: '8.0.36' });
});

test.each([
  ['MariaDB', 'mysqld  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)', null],
  ['a MySQL before 8.0', 'mysqld  Ver 5.7.44 for Linux on x86_64 (MySQL Community Server (GPL))', null],
  ['a program that says nothing', '', null],
  ['MySQL', 'mysqld  Ver 9.7.4 for debian-linux-gnu on x86_64 ((Debian))', '9.7.4'],
])('%s is told apart', (_name, text, version) => {
  expect(mysqlVersion(text)).toBe(version);
});

test('a MariaDB on the PATH is passed over', async () => {
  const command = await aProgramThatSays('mysqld', 'mysqld  Ver 10.11.19-MariaDB for Linux on x86_64');

  const program = await mysqlProgram(() => {}, folder);

  expect(program.command).not.toBe(command);
  expect(program.version).not.toMatch(/^10\.11/);
});
