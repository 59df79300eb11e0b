/** A batch in which parents are streamed and their children are few: whose the children are is asked before the parents go. */
import { beforeAll, expect, it } from 'vitest';

import { STATEMENTS, type Statement } from '../../src/db/database.ts';
import { UNRESOLVED } from '../../src/domain/stage.ts';
import { child, column, dump, useFixture } from '../support/pair.ts';

const fixture = useFixture([
  'CREATE TABLE orders (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, KEY (tenant_id))',
  'CREATE TABLE parts (id INT PRIMARY KEY, order_id INT NOT NULL, KEY (order_id))',
]);

beforeAll(async () => {
  const { install, start, sql } = fixture();
  await install({ orders: column(), parts: child('orders', 'order_id') });
  await start('ant');
  const rows = Array.from({ length: 300 }, (_, n) => `(${n}, 'ant')`);
  await sql('source', `INSERT INTO orders VALUES ${rows.join(', ')}`);
  await sql('source', 'INSERT INTO parts VALUES (1, 1), (2, 2)');
  await fixture().mirror.drain('ant');
});

it('takes the lock of no tenant but theirs', async () => {
  const { sql, mirror } = fixture();
  await sql('source', 'DELETE FROM parts');
  await sql('source', 'DELETE FROM orders');
  const locks: string[] = [];
  const hear = (message: unknown): void => {
    const { side, sql: text } = message as Statement;
    if (side === 'target' && /tenant_lock`.* FOR UPDATE/.test(text)) locks.push(text);
  };
  STATEMENTS.subscribe(hear);
  await mirror.drain('ant').finally(() => STATEMENTS.unsubscribe(hear));

  const unresolved = Buffer.from(UNRESOLVED).toString('hex');
  expect(locks.length).toBeGreaterThan(0);
  expect(locks.filter((text) => text.includes(unresolved))).toEqual([]);
  for (const name of ['orders', 'parts']) expect(await dump(fixture(), 'target', name)).toEqual([]);
});
