/** The query builder of examples/query-builder on real servers: what docs/application.md says of it. */
import { drizzle } from 'drizzle-orm/mysql2';
import { beforeAll, expect, it } from 'vitest';

import { latest, messages, send } from '../../examples/query-builder/messages.ts';
import { createTable } from '../../examples/sms-portal/schema.sql.ts';
import { column } from '../support/pair.ts';
import { useApp } from './support.ts';

const { fixture, open, flip } = useApp(undefined, ['customers', 'messages'].map(createTable));

beforeAll(async () => {
  await fixture().install({ customers: column(), messages: column() });
  await fixture().sql(
    'source',
    "INSERT INTO customers (id, tenant_id, email, name, country, balance, created_at) VALUES (7, 'built', 'a@b', 'Ann', 'de', 10, NOW(6))",
  );
  await fixture().start('built', 'dual-write');
  await fixture().sql('source', 'UPDATE customers SET balance = 9.5 WHERE id = 7');
  await fixture().mirror.drain('built');
});

it('reads and writes through Drizzle on the side that the stage says, and the journal has its writes', async () => {
  await flip('built', 'read-target');
  const router = await open({ mirrorBudgetMs: 5_000, targetReadMs: 5_000 });

  const { value, token } = await send(router, 'built', 7n, 'from a builder 😀', '0.070000');
  const found = await latest(router, 'built', 5, token);

  expect(found).toEqual([{ id: value, body: 'from a builder 😀', price: '0.070000', customer: 'Ann' }]);
  expect(router.stats().reads).toEqual({ source: 0, target: 1 });
  const statement = 'SELECT balance FROM customers';
  expect(await fixture().rows('target', statement)).toEqual(await fixture().rows('source', statement));
  expect(await fixture().rows('source', statement)).toEqual([{ balance: '9.4300' }]);
});

it('rolls back as a whole, and refuses a transaction of its own and a write in a read', async () => {
  const router = await open();
  const bodies = () => fixture().rows('source', 'SELECT body FROM messages');
  const before = await bodies();
  const tenant = router.tenant('built');
  const row = { tenant: 'built', customer: 7n, body: 'lost', price: '1', createdAt: '2026-01-01' };

  await expect(
    tenant.write(async (conn) => {
      await drizzle(conn).insert(messages).values(row);
      throw new Error('changed my mind');
    }),
  ).rejects.toThrow('changed my mind');
  await expect(
    tenant.write((conn) => drizzle(conn).transaction((tx) => tx.insert(messages).values(row))),
  ).rejects.toMatchObject({ cause: { name: 'StatementRefusedError' } });
  await expect(
    tenant.read('sneak', (conn) => drizzle(conn).insert(messages).values(row)),
  ).rejects.toMatchObject({ cause: { errno: 1792 } });

  expect(await bodies()).toEqual(before);
});

it('is compared by shadow reads: the same rows are equal, others are not', async () => {
  await flip('built', 'shadow-read');
  const router = await open({ sampleRate: 1 });

  await latest(router, 'built', 5);
  await expect
    .poll(() => router.stats().shadow, { timeout: 20_000 })
    .toMatchObject({ samples: 1, differing: 0 });
  await fixture().corrupt('built', "UPDATE messages SET body = 'wrong'");
  // Another question: the same one would be taken for compared.
  await latest(router, 'built', 4);
  await expect
    .poll(() => router.stats().shadow, { timeout: 20_000 })
    .toMatchObject({ samples: 2, differing: 1 });
});
