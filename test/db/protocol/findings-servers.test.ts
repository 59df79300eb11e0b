/** The rows of research/protocol-findings.md that are about how the servers lock, log and time out: 7 to 17 and 24. */
import { setTimeout as sleep } from 'node:timers/promises';

import { createConnection, type Connection } from 'mysql2/promise';
import { afterEach, beforeAll, expect, it, vi } from 'vitest';

import { captureSql, installCapture, passBarrier } from '../../../src/db/capture.ts';
import { lostCapture } from '../../../src/db/capture-loss.ts';
import { deleteJournal } from '../../../src/db/journal-rows.ts';
import { shareTenant } from '../../../src/db/lock.ts';
import { Database } from '../../../src/db/database.ts';
import { Mirror, purgeJournal } from '../../../src/db/mirror.ts';
import type { Pair } from '../../../src/db/tracked.ts';
import { admitStage } from '../../../src/db/stages.ts';
import { column, useFixture, standingTrigger } from '../../support/pair.ts';
import { stackInfo, urlWithSchema } from '../../support/stack.ts';
import { FaultyDatabase } from './faults.ts';

const fixture = useFixture([
  'CREATE TABLE customers (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL DEFAULT 0, KEY (tenant_id))',
  `CREATE TABLE orders (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, customer_id INT NOT NULL, KEY (tenant_id), FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE)`,
]);

const opened: Connection[] = [];
const connect = async (side: 'source' | 'target'): Promise<Connection> => {
  const { sourceUrl, targetUrl } = stackInfo();
  const connection = await createConnection(
    urlWithSchema(side === 'source' ? sourceUrl : targetUrl, fixture().pair.sourceSchema),
  );
  connection.on('error', () => {});
  opened.push(connection);
  return connection;
};

const waits = async (work: Promise<unknown>, ms = 400): Promise<boolean> =>
  Promise.race([
    work.then(
      () => false,
      () => false,
    ),
    sleep(ms, true),
  ]);

const journal = () => `\`${fixture().pair.control}\`.journal`;
const lockRow = (tenant: string) =>
  `SELECT * FROM \`${fixture().pair.control}\`.tenant_lock WHERE tenant = '${tenant}'`;

beforeAll(async () => {
  await fixture().install({ customers: column(), orders: column() });
  await fixture().start('ant');
  await admitStage(fixture().pair.source, fixture().pair.control, 'idle');
  await fixture().sql(
    'source',
    "INSERT INTO customers (id, tenant_id) VALUES (1, 'ant'), (2, 'ant'), (3, 'idle')",
  );
  await fixture().mirror.drain('ant');
});
/** A test that failed leaves no lock behind. */
afterEach(() => opened.splice(0).forEach((connection) => connection.destroy()));

it('7: the mirror gets its turn beside back-to-back shared windows, where SKIP LOCKED on the tenant starves', async () => {
  const { pair, sql, mirror } = fixture();
  let copying = true;
  const windows = [0, 1, 2, 3].map(async (offset) => {
    await sleep(offset * 20);
    while (copying)
      await pair.target.transaction(async (session) => {
        await shareTenant(session, pair.control, 'ant');
        await sleep(80);
      });
  });
  await sleep(120);
  const skipping = await connect('target');
  let got = 0;
  for (let attempt = 0; attempt < 60; attempt += 1) {
    await skipping.query('BEGIN');
    const [rows] = await skipping.query(`${lockRow('ant')} FOR UPDATE SKIP LOCKED`);
    got += (rows as unknown[]).length;
    await skipping.query('COMMIT');
    await sleep(5);
  }
  await sql('source', 'UPDATE customers SET n = n + 1 WHERE id = 1');
  const mirrored = mirror.mirrorTenant('ant', 0);
  expect(await waits(mirrored, 3_000)).toBe(false);
  expect(await mirrored).toMatchObject({ kind: 'drained', applied: 1 });
  expect(got).toBe(0);
  copying = false;
  await Promise.all(windows);
});

it('8: journal rows are deleted beside an open writer, where IN (…) and a tenant range wait for it', async () => {
  const { pair, sql } = fixture();
  for (let n = 0; n < 20; n += 1) await sql('source', 'UPDATE customers SET n = n + 1 WHERE id = 1');
  const ids = (await pair.source.rows(`SELECT id FROM ${journal()} WHERE tenant = 'ant'`)).map(
    (row) => row['id']!,
  );
  const writer = await connect('source');
  await writer.query('BEGIN');
  await writer.query('UPDATE customers SET n = n + 1 WHERE id = 2');
  const naive = await connect('source');
  await naive.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
  await naive.query('SET SESSION innodb_lock_wait_timeout = 1');
  const many = [...ids, ...Array.from({ length: 480 }, (_, n) => String(1_000_000 + n))];
  await naive.query('BEGIN');
  const outcomes = await Promise.allSettled([
    naive.query(`DELETE FROM ${journal()} WHERE id IN (${many.join(', ')})`),
    naive.query(`DELETE FROM ${journal()} WHERE tenant = 'ant'`),
  ]);
  await naive.query('ROLLBACK');
  expect(outcomes.map((outcome) => outcome.status)).toContain('rejected');
  expect(await waits(deleteJournal(pair.source, pair.control, many), 700)).toBe(false);
  expect(await pair.source.rows(`SELECT id FROM ${journal()} WHERE tenant = 'ant'`)).toEqual([]);
  await writer.query('COMMIT');
});

it('8: a purge does not block the writers of its tenant', async () => {
  const { pair, sql } = fixture();
  await sql('source', 'UPDATE customers SET n = n + 1 WHERE id = 3');
  const writer = await connect('source');
  await writer.query('BEGIN');
  await writer.query('UPDATE customers SET n = n + 1 WHERE id = 3');
  expect(await waits(purgeJournal(pair, 'idle'), 700)).toBe(false);
  await writer.query('COMMIT');
});

it('9: a CREATE TRIGGER that waits without a bound stops every reader of the table', async () => {
  const { pair } = fixture();
  const [reader, naive, other] = await Promise.all([connect('source'), connect('source'), connect('source')]);
  await reader.query('BEGIN');
  await reader.query('SELECT * FROM customers');
  const creating = naive.query('CREATE TRIGGER naive BEFORE INSERT ON customers FOR EACH ROW SET @x = 1');
  await sleep(200);
  const reading = other.query('SELECT 1 FROM customers LIMIT 1');
  expect(await waits(reading, 1_200)).toBe(true);
  await reader.query('COMMIT');
  await Promise.all([creating, reading]);
  await naive.query('DROP TRIGGER naive');
  // The product's bound of one second, with the same reader in the way: see ../capture.test.ts.
  expect(await captureSql(pair)).toEqual([]);
});

it('10: the start barrier waits for a prepared XA transaction', async () => {
  const { pair } = fixture();
  const xa = await connect('source');
  const id = `'${pair.control}'`;
  await xa.query(`XA START ${id}`);
  await xa.query("INSERT INTO customers (id, tenant_id) VALUES (90, 'ant')");
  await xa.query(`XA END ${id}`);
  await xa.query(`XA PREPARE ${id}`);
  const barrier = passBarrier(pair.source);
  const waited = await waits(barrier, 700);
  // Whatever was seen: a prepared transaction would outlive this connection.
  await xa.query(`XA ROLLBACK ${id}`);
  await barrier;
  expect(waited).toBe(true);
});

it('12: a cascade fires no trigger of the child; the parent journals it', async () => {
  const { pair, sql, mirror, rows } = fixture();
  const journaled = async () => {
    const [row] = await pair.source.rows(
      `SELECT COUNT(*) AS n FROM ${journal()} WHERE table_id = ${fixture().tracked.byName('orders').id}`,
    );
    return Number(row!['n']);
  };
  await sql('source', "INSERT INTO customers (id, tenant_id) VALUES (20, 'ant'), (21, 'ant')");
  await sql('source', "INSERT INTO orders VALUES (20, 'ant', 20), (21, 'ant', 21)");
  await mirror.drain('ant');
  await sql(
    'source',
    `DROP TRIGGER ${await standingTrigger(fixture(), 'switchback_cascade_delete_customers')}`,
  );
  await sql('source', 'DELETE FROM customers WHERE id = 20');
  expect(await journaled()).toBe(0);
  await installCapture(pair);
  await sql('source', 'DELETE FROM customers WHERE id = 21');
  expect(await journaled()).toBe(1);
  await mirror.drain('ant');
  expect(await rows('target', 'SELECT id FROM orders')).toEqual([{ id: '20' }]);
  await sql('target', 'DELETE FROM orders WHERE id = 20');
});

it('15: two appliers that delete absent keys do not block each other’s inserts, under REPEATABLE READ they do', async () => {
  const { pair, sql } = fixture();
  await sql('target', "INSERT INTO customers (id, tenant_id) VALUES (100, 'ant'), (200, 'ant')");
  const name = `\`${pair.targetSchema}\`.customers`;
  const insertWaits = async (absent: number, begin: string): Promise<boolean> => {
    const other = await connect('target');
    await other.query(begin);
    await other.query('BEGIN');
    await other.query(`DELETE FROM customers WHERE id = ${absent}`);
    const inserting = pair.target.run(`INSERT INTO ${name} (id, tenant_id) VALUES (${absent + 1}, 'ant')`);
    const waited = await waits(inserting);
    await other.query('ROLLBACK');
    await inserting;
    return waited;
  };
  const [setting] = await pair.target.rows('SELECT @@SESSION.transaction_isolation AS level');
  expect(setting!['level']).toBe('READ-COMMITTED');
  expect(
    await insertWaits(150, `SET SESSION TRANSACTION ISOLATION LEVEL ${setting!['level']!.replace('-', ' ')}`),
  ).toBe(false);
  expect(await insertWaits(160, 'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ')).toBe(true);
  await sql('target', 'DELETE FROM customers WHERE id >= 100');
});

it('15b: the source snapshot is one instant, which READ COMMITTED would silently ignore', async () => {
  const { pair, sql } = fixture();
  const read = `SELECT n FROM \`${pair.sourceSchema}\`.customers WHERE id = 1`;
  const write = () => sql('source', 'UPDATE customers SET n = n + 1 WHERE id = 1');
  const [before, after] = await pair.source.snapshot(async (session) => {
    await write();
    const first = await session.rows(read);
    await write();
    return [first, await session.rows(read)];
  });
  expect(after).toEqual(before);

  const naive = await connect('source');
  await naive.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
  await naive.query('START TRANSACTION WITH CONSISTENT SNAPSHOT');
  expect((await naive.query('SHOW WARNINGS'))[0]).toMatchObject([{ Code: 138 }]);
  const [first] = await naive.query(read);
  await write();
  expect((await naive.query(read))[0]).not.toEqual(first);
});

it('16: an applier that falls silent loses its lock, also in the middle of sending or receiving', async () => {
  const { targetUrl } = stackInfo();
  const { pair } = fixture();
  const frozen = new Database({ side: 'target', url: targetUrl, idleTimeout: 1_000 });
  const settings = await frozen.rows(
    'SELECT @@SESSION.wait_timeout AS w, @@SESSION.net_read_timeout AS r, @@SESSION.net_write_timeout AS s',
  );
  expect(settings).toEqual([{ w: '1', r: '1', s: '1' }]);
  const next = await connect('target');
  const silent = frozen.transaction(async (session) => {
    await session.rows(`${lockRow('ant')} FOR UPDATE`);
    const started = Date.now();
    await next.query(`${lockRow('ant')} FOR UPDATE`);
    return Date.now() - started;
  });
  await expect(silent).rejects.toMatchObject({ name: 'TransientDatabaseError' });
  await frozen.close();

  // By default the next holder waits for hours.
  const naive = await connect('target');
  await naive.query('BEGIN');
  await naive.query(`${lockRow('ant')} FOR UPDATE`);
  expect(await waits(next.query(`${lockRow('ant')} FOR UPDATE`), 2_000)).toBe(true);
  await naive.query('ROLLBACK');

  // The source is read with a shorter bound than that.
  const source = new Database({ side: 'source', url: stackInfo().sourceUrl, idleTimeout: 1_000 });
  expect(await source.rows('SELECT @@SESSION.max_execution_time AS ms')).toEqual([{ ms: '800' }]);
  await source.close();
  void pair;
}, 20_000);

it('16: a server that ends a client in the middle of receiving frees its locks', async () => {
  const [slow, next] = await Promise.all([connect('target'), connect('target')]);
  await slow.query('SET SESSION net_write_timeout = 1');
  await slow.query('BEGIN');
  await slow.query(`${lockRow('ant')} FOR UPDATE`);
  const receiving = slow
    .query("SELECT REPEAT('x', 4000000) FROM information_schema.COLUMNS LIMIT 100")
    .catch(() => {});
  (slow as unknown as { connection: { stream: { pause(): void } } }).connection.stream.pause();
  expect(await waits(next.query(`${lockRow('ant')} FOR UPDATE`), 6_000)).toBe(false);
  slow.destroy();
  void receiving;
}, 20_000);

it('17: the journal is read from a low-water id, and from its beginning every few seconds', async () => {
  const { pair, sql, tracked } = fixture();
  const reads: string[] = [];
  const source = new FaultyDatabase(
    { side: 'source', url: stackInfo().sourceUrl },
    {
      withoutLock: false,
      at(moment, _, text) {
        const after = /^SELECT id, .*`journal` f WHERE \(\(f.tenant = \S+ AND f.id > (\d+)/.exec(text)?.[1];
        if (moment === 'before' && after !== undefined) reads.push(after);
      },
    },
  );
  const listening: Pair = { ...pair, source };
  const mirror = new Mirror(listening, tracked);
  await fixture().mirror.drain('ant');
  const late = await connect('source');
  await late.query('BEGIN');
  await late.query('UPDATE customers SET n = n + 1 WHERE id = 2');
  await sql('source', 'UPDATE customers SET n = n + 1 WHERE id = 1');
  expect(await mirror.mirrorTenant('ant', null)).toMatchObject({ applied: 1 });
  await late.query('COMMIT');
  // Its id is below the mark: only the rescan finds it.
  expect(await mirror.mirrorTenant('ant', null)).toMatchObject({ applied: 0 });
  const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 5_000);
  expect(await mirror.mirrorTenant('ant', null)).toMatchObject({ applied: 1 });
  clock.mockRestore();
  expect(reads[0]).toBe('0');
  expect(Number(reads[1])).toBeGreaterThan(0);
  expect(reads[2]).toBe('0');
  await source.close();
});

it('24: the journal trigger is unsafe under binlog format STATEMENT and safe under ROW', async () => {
  const writer = await connect('source');
  const warnings = async (format: string): Promise<number[]> => {
    await writer.query(`SET SESSION binlog_format = '${format}'`);
    await writer.query('UPDATE customers SET n = n + 1 WHERE id = 1');
    const [rows] = await writer.query('SHOW WARNINGS');
    return (rows as { Code: number }[]).map((row) => row.Code);
  };
  expect(await warnings('STATEMENT')).toContain(1592);
  expect(await warnings('ROW')).toEqual([]);
  // That preflight refuses STATEMENT is in ../preflight.test.ts.
});

it('11: after gh-ost’s rename nothing is journaled, and the loss is noticed', async () => {
  const { pair, sql } = fixture();
  const { id } = fixture().tracked.byName('orders');
  const count = async () =>
    (await pair.source.rows(`SELECT id FROM ${journal()} WHERE table_id = ${id}`)).length;
  await sql('source', 'CREATE TABLE ghost LIKE orders');
  await sql('source', 'RENAME TABLE orders TO _orders_old, ghost TO orders');
  const before = await count();
  await sql('source', "INSERT INTO orders VALUES (77, 'ant', 1)");
  expect(await count()).toBe(before);
  expect((await lostCapture(pair)).map(({ table }) => table)).toContain('orders');
});
