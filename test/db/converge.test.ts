import { expect, it } from 'vitest';

import { copyTable, tablesOf } from '../../src/db/backfill.ts';
import { probeDigest } from '../../src/db/digest.ts';
import { reconcileSlice } from '../../src/db/reconcile.ts';
import { limits } from '../support/limits.ts';
import { column, child, dump, shared, useFixture } from '../support/pair.ts';

const LIMITS = limits({ windowRows: 50, reconcileRows: 50 });

const fixture = useFixture([
  `CREATE TABLE customers (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(64) NOT NULL, email VARCHAR(190) NOT NULL, name VARCHAR(100) NULL,
     balance DECIMAL(20,4) NOT NULL DEFAULT 0, KEY (tenant_id), UNIQUE KEY email (email))`,
  `CREATE TABLE messages (tenant_id VARCHAR(64) NOT NULL, id INT AUTO_INCREMENT PRIMARY KEY, customer_id BIGINT UNSIGNED NOT NULL, body TEXT NOT NULL, meta JSON NULL,
     created_at DATETIME(6) NOT NULL, KEY by_time (tenant_id, created_at))`,
  `CREATE TABLE deliveries (id INT AUTO_INCREMENT PRIMARY KEY, message_id INT NOT NULL, status ENUM('sent','failed') NOT NULL, raw BLOB NULL, KEY (message_id))`,
  `CREATE TABLE countries (code CHAR(2) PRIMARY KEY, name VARCHAR(50) NOT NULL)`,
]);

async function copyEverything(tenant: string): Promise<void> {
  const { pair, tracked } = fixture();
  for (const { id } of tablesOf(tracked, tenant)) {
    const cursor = await copyTable(pair, tracked, {
      tenant,
      round: 1,
      tableId: id,
      limits: LIMITS,
      pace: () => Promise.resolve(0),
      progress: () => {},
      until: () => false,
    });
    expect(cursor.finished).toBe(true);
  }
}

const pass = async (tenant: string) => {
  const { pair, tracked } = fixture();
  return reconcileSlice(pair, tracked, {
    tenant,
    limits: LIMITS,
    missingAgain: 1_000,
    progress: () => {},
    until: () => false,
  });
};

it('computes the known digest on both servers', async () => {
  await probeDigest(fixture().pair.source);
  await probeDigest(fixture().pair.target);
});

it('moves a tenant: capture, backfill, mirror, clean pass, and finds what was corrupted', async () => {
  const { pair, sql, rows, install, start } = fixture();
  await install({
    customers: column(),
    messages: { tenancy: column(), time: 'created_at' },
    deliveries: child('messages', 'message_id'),
    countries: shared,
  });
  for (let i = 1; i <= 120; i += 1) {
    const tenant = i % 3 === 0 ? 'beta' : 'acme';
    await sql(
      'source',
      `INSERT INTO customers (tenant_id, email, name) VALUES ('${tenant}', 'c${i}@x', ${i % 5 === 0 ? 'NULL' : `'näme 😀 ${i}'`})`,
    );
    await sql(
      'source',
      `INSERT INTO messages (tenant_id, customer_id, body, meta, created_at) VALUES ('${tenant}', ${i}, 'hello ${i}', '{"a": ${i}}', '2026-01-01 00:00:00' + INTERVAL ${i} SECOND)`,
    );
    await sql(
      'source',
      `INSERT INTO deliveries (message_id, status, raw) VALUES (${i}, 'sent', X'00ff${(i % 16).toString(16)}0')`,
    );
  }
  await sql('source', "INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France')");
  for (const tenant of ['_shared', 'acme']) await start(tenant);
  for (const tenant of ['_shared', 'acme']) await copyEverything(tenant);
  await fixture().mirror.drain('acme');

  expect(await dump(fixture(), 'target', 'messages')).toEqual(
    (await dump(fixture(), 'source', 'messages')).filter((row) => row.includes('"acme"')),
  );
  expect((await rows('target', 'SELECT COUNT(*) AS n FROM deliveries'))[0]!['n']).toBe('80');
  expect((await pass('acme')).pass).toMatchObject({ clean: true, counts: { drifted: 0 } });

  await sql('source', "UPDATE customers SET name = 'changed' WHERE id = 1");
  await sql('source', 'DELETE FROM messages WHERE id = 2');
  await sql('source', 'UPDATE deliveries SET status = 2 WHERE message_id = 4');
  expect((await pass('acme')).pass.counts).toMatchObject({ drifted: 0 });
  await fixture().mirror.drain('acme');
  expect((await pass('acme')).pass).toMatchObject({ clean: true, counts: { suspects: 0 } });

  await sql('target', "UPDATE customers SET name = 'corrupted' WHERE id = 1");
  await sql('target', 'DELETE FROM messages WHERE id = 5');
  await sql('target', "INSERT INTO deliveries (id, message_id, status) VALUES (9999, 7, 'sent')");
  const found = await pass('acme');
  expect(found.stopped).toBe(true);
  expect(found.pass).toMatchObject({ clean: false, counts: { drifted: 3, repaired: 1 } });
  expect(await rows('target', 'SELECT id FROM messages WHERE id = 5')).toHaveLength(1);
  void pair;
});

it('moves unique values between rows in a circle', async () => {
  const { sql } = fixture();
  await sql('source', "UPDATE customers SET email = 'swap' WHERE id = 10");
  await sql('source', "UPDATE customers SET email = 'c10@x' WHERE id = 11");
  await sql('source', "UPDATE customers SET email = 'c11@x' WHERE id = 10");
  await fixture().mirror.drain('acme');
  expect((await dump(fixture(), 'target', 'customers')).filter((row) => /"c1[01]@x"/.test(row))).toEqual(
    (await dump(fixture(), 'source', 'customers')).filter((row) => /"c1[01]@x"/.test(row)),
  );
});
