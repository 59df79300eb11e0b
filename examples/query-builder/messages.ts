/**
 * The portal's messages by way of a query builder: Drizzle, on the connection that the router hands out.
 *
 * A `drizzle(conn)` belongs to one `read` or `write` and is made anew in each; it costs some microseconds. Its
 * own `transaction()` is refused in there: a `write` is one already.
 */
import { and, desc, eq, sql } from 'drizzle-orm';
import { bigint, decimal, mysqlEnum, mysqlTable, text, varchar } from 'drizzle-orm/mysql-core';
import { drizzle } from 'drizzle-orm/mysql2';

import type { Router, Token } from '../../src/app/index.ts';

/** Numbers above 2^53 come as text from the router, and money always does: the columns say so. */
const id = () => bigint({ mode: 'bigint', unsigned: true });

export const customers = mysqlTable('customers', {
  id: id().autoincrement().primaryKey(),
  tenant: varchar('tenant_id', { length: 64 }).notNull(),
  name: varchar({ length: 120 }).notNull(),
  balance: decimal({ precision: 20, scale: 4 }).notNull(),
});

export const messages = mysqlTable('messages', {
  id: id().autoincrement().primaryKey(),
  tenant: varchar('tenant_id', { length: 64 }).notNull(),
  customer: bigint('customer_id', { mode: 'bigint', unsigned: true }).notNull(),
  body: text().notNull(),
  status: mysqlEnum(['queued', 'sent', 'delivered', 'failed']).notNull().default('queued'),
  price: decimal({ precision: 12, scale: 6 }).notNull(),
  // As the server writes it, with its microseconds: a JavaScript Date would lose them.
  createdAt: text('created_at').notNull(),
});

export const latest = (router: Router, tenant: string, count: number, after?: Token) =>
  router
    .tenant(tenant)
    .read(
      'latest',
      (conn) =>
        drizzle(conn)
          .select({ id: messages.id, body: messages.body, price: messages.price, customer: customers.name })
          .from(messages)
          .innerJoin(customers, eq(customers.id, messages.customer))
          .where(eq(messages.tenant, tenant))
          .orderBy(desc(messages.createdAt), desc(messages.id))
          .limit(count),
      { after },
    );

export const send = (router: Router, tenant: string, customer: bigint, body: string, price: string) =>
  router.tenant(tenant).write(async (conn) => {
    const db = drizzle(conn);
    const [paid] = await db
      .update(customers)
      .set({ balance: sql`${customers.balance} - ${price}` })
      .where(and(eq(customers.id, customer), eq(customers.tenant, tenant)));
    if (paid.affectedRows === 0) throw new Error('no such customer');
    const [{ insertId }] = await db
      .insert(messages)
      .values({ tenant, customer, body, price, createdAt: sql`UTC_TIMESTAMP(6)` });
    return BigInt(insertId);
  });
