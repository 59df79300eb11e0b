/** Tests that break a server get it back as it was. */
import { createConnection, type Connection } from 'mysql2/promise';
import { expect, test } from 'vitest';
import { startOf } from '../../src/stack/process-identity.ts';
import { ownStack } from '../support/stack.ts';

const stack = ownStack({ only: ['target', 'temporal'] });

async function withTarget<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await createConnection(stack().target.url());
  try {
    return await work(connection);
  } finally {
    await connection.end();
  }
}

test('a target that was killed comes back on the same port with every committed row', async () => {
  const { target } = stack();
  const { port, pid } = target;
  await withTarget(async (connection) => {
    await connection.query('CREATE DATABASE kept');
    await connection.query('CREATE TABLE kept.rows (id INT PRIMARY KEY)');
    await connection.query('INSERT INTO kept.rows VALUES (7)');
  });

  await target.kill();
  const whileDown = await createConnection(target.url()).catch((error: NodeJS.ErrnoException) => error.code);
  await target.start();

  expect(whileDown).toBe('ECONNREFUSED');
  expect(target.port).toBe(port);
  expect(target.pid).not.toBe(pid);
  const [rows] = await withTarget((connection) => connection.query('SELECT id FROM kept.rows'));
  expect(rows).toEqual([{ id: 7 }]);
});

test('a frozen target accepts connections and answers nothing until it is thawed', async () => {
  const { target } = stack();
  await withTarget(async (connection) => {
    await target.freeze();
    const answer = connection.query('SELECT 1 AS one');
    const first = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 300, 'silence'))]);
    target.thaw();

    expect(first).toBe('silence');
    expect((await answer)[0]).toEqual([{ one: 1 }]);
  });
});

test('a frozen target can be stopped', async () => {
  const { target } = stack();
  const { pid } = target;

  await target.freeze();
  await target.kill('SIGTERM');

  expect(startOf(pid)).toBe('');
  await target.start();
});

test('Temporal comes back at the same address', async () => {
  const { temporal } = stack();
  const { address } = temporal;

  await temporal.kill();
  await temporal.start();

  expect(temporal.address).toBe(address);
  expect((await fetch(temporal.uiUrl)).status).toBe(200);
});

test('a server that was not asked for is refused by name', () => {
  expect(() => stack().redis).toThrow('This stack was started without redis');
});
