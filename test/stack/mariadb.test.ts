/** The second source dialect, where it is installed. */
import { createConnection } from 'mysql2/promise';
import { expect, test } from 'vitest';
import { startMariadb } from '../../src/stack/mariadb.ts';
import { onPath } from '../../src/stack/programs.ts';

test.skipIf(onPath('mariadbd').length === 0)('a private MariaDB answers and keeps its rows', async () => {
  const server = await startMariadb({ name: 'mariadb' });
  const before = await createConnection(server.url());
  await before.query('CREATE DATABASE kept');

  await server.kill();
  before.on('error', () => {});
  await server.start();

  const after = await createConnection(server.url('kept'));
  const [rows] = await after.query('SELECT VERSION() AS version');
  expect(rows).toEqual([{ version: expect.stringMatching(/MariaDB/) as string }]);
  await after.end();
  await server.stop();
});
