/**
 * What broke the protocol without one of its rules: one test per row of research/protocol-findings.md, each with the
 * variant that lacks the rule. Rows 1 and 23 concern promote and its fences, which are not built; row 3 has its
 * direction check here, in row 2. Rows 7 to 24 are in findings-servers.test.ts; row 6 is also in ../keys.test.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { createConnection, type Connection } from 'mysql2/promise';
import { afterEach, beforeAll, expect, it } from 'vitest';

import { copyTable } from '../../../src/db/backfill.ts';
import { journalState } from '../../../src/db/evidence.ts';
import { keysJoin, keysTable } from '../../../src/db/keys.ts';
import { purgeJournal } from '../../../src/db/mirror.ts';
import { flipStage } from '../../../src/db/stages.ts';
import { judgeHot, judgeKeys } from '../../../src/db/verdict.ts';
import { child, column, useFixture } from '../../support/pair.ts';
import { stackInfo, urlWithSchema } from '../../support/stack.ts';

const fixture = useFixture([
  'CREATE TABLE customers (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, email VARCHAR(40) NULL UNIQUE, n INT NOT NULL DEFAULT 0, KEY (tenant_id))',
  'CREATE TABLE notes (id INT PRIMARY KEY, customer_id INT NOT NULL, KEY (customer_id))',
  'CREATE TABLE odd (at TIMESTAMP(6) NOT NULL, flags BIT(16) NOT NULL, code BINARY(4) NOT NULL, tenant_id VARCHAR(20) NOT NULL, PRIMARY KEY (at, flags, code), KEY (tenant_id))',
]);

const opened: Connection[] = [];
const connect = async (side: 'source' | 'target'): Promise<Connection> => {
  const { sourceUrl, targetUrl } = stackInfo();
  const url = side === 'source' ? sourceUrl : targetUrl;
  const connection = await createConnection(urlWithSchema(url, fixture().pair.sourceSchema));
  opened.push(connection);
  return connection;
};
/** A test that failed leaves no lock behind. */
afterEach(() => opened.splice(0).forEach((connection) => connection.destroy()));

/** Is it still waiting after so long? */
const waits = async (work: Promise<unknown>, ms = 400): Promise<boolean> =>
  Promise.race([
    work.then(
      () => false,
      () => false,
    ),
    sleep(ms, true),
  ]);

const journalOf = async (table: string): Promise<string[]> => {
  const { pair, tracked } = fixture();
  const rows = await pair.source.rows(
    `SELECT DISTINCT tenant FROM \`${pair.control}\`.journal WHERE table_id = ${tracked.byName(table).id} ORDER BY 1`,
  );
  return rows.map((row) => row['tenant']!);
};

const drain = async () => {
  for (const tenant of ['_unresolved', 'ant', 'bee']) await fixture().mirror.drain(tenant);
};

beforeAll(async () => {
  await fixture().install({ customers: column(), notes: child('customers', 'customer_id'), odd: column() });
  for (const tenant of ['ant', 'bee']) await fixture().start(tenant);
});

it('2: the holder of a unique value moves only under the direction of its own tenant', async () => {
  const { pair, sql, rows, mirror } = fixture();
  const turn = (direction: string) =>
    pair.target.run(
      `UPDATE \`${pair.control}\`.tenant_lock SET direction = '${direction}' WHERE tenant = 'bee'`,
    );
  await sql('source', "INSERT INTO customers VALUES (1, 'bee', 'first', 1)");
  await drain();
  await turn('reverse');
  await sql('target', 'UPDATE customers SET n = 8 WHERE id = 1');
  await sql('source', 'UPDATE customers SET email = NULL, n = 7 WHERE id = 1');
  await sql('source', "INSERT INTO customers VALUES (2, 'ant', 'first', 1)");
  await expect(mirror.drain('ant')).rejects.toThrow('the mirror of bee does not run forward');
  expect(await rows('target', 'SELECT id, n FROM customers')).toEqual([{ id: '1', n: '8' }]);
  await turn('forward');
  await drain();
  expect(await rows('target', 'SELECT id, n FROM customers ORDER BY id')).toEqual([
    { id: '1', n: '7' },
    { id: '2', n: '1' },
  ]);
});

it('4: a parent that the writer cannot see does not fail the write, and its child arrives', async () => {
  const { sql, rows } = fixture();
  const writer = await connect('source');
  await writer.query('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
  await writer.query('BEGIN');
  await writer.query('SELECT COUNT(*) FROM customers');
  await sql('source', "INSERT INTO customers (id, tenant_id) VALUES (10, 'bee')");
  await drain();
  await writer.query('INSERT INTO notes VALUES (10, 10)');
  await writer.query('COMMIT');
  await writer.end();
  expect(await journalOf('notes')).toEqual(['_unresolved']);
  await drain();
  expect(await rows('target', 'SELECT id FROM notes')).toEqual([{ id: '10' }]);
});

it('4: looking the parent up does not wait for its writer, where INSERT … SELECT would', async () => {
  const [parent, writer] = await Promise.all([connect('source'), connect('source')]);
  const { sql } = fixture();
  await sql('source', 'CREATE TABLE naive (tenant VARCHAR(20), note INT)');
  await sql(
    'source',
    'CREATE TRIGGER naive AFTER DELETE ON notes FOR EACH ROW INSERT INTO naive SELECT tenant_id, OLD.id FROM customers WHERE id = OLD.customer_id',
  );
  await writer.query('SET SESSION innodb_lock_wait_timeout = 1');
  await parent.query('BEGIN');
  await parent.query('UPDATE customers SET n = n + 1 WHERE id = 10');
  await writer.query('INSERT INTO notes VALUES (11, 10)');
  await writer.query('UPDATE notes SET customer_id = 10 WHERE id = 11');
  await expect(writer.query('DELETE FROM notes WHERE id = 11')).rejects.toMatchObject({ errno: 1205 });
  await parent.query('ROLLBACK');
  await sql('source', 'DROP TRIGGER naive');
});

it('4: journaling the children of a parent does not wait for their writers', async () => {
  const { sql } = fixture();
  const [note, parent] = await Promise.all([connect('source'), connect('source')]);
  await sql('source', 'INSERT INTO notes VALUES (12, 10)');
  await note.query('BEGIN');
  await note.query('UPDATE notes SET customer_id = 11 WHERE id = 12');
  await parent.query('SET SESSION innodb_lock_wait_timeout = 1');
  await parent.query("UPDATE customers SET tenant_id = 'ant' WHERE id = 10");
  await parent.query("UPDATE customers SET tenant_id = 'bee' WHERE id = 10");
  await note.query('ROLLBACK');
});

it('5: a row that moves between tenants is written under the locks of both', async () => {
  const { pair, sql, rows, mirror } = fixture();
  await drain();
  const holder = await connect('target');
  await holder.query('BEGIN');
  await holder.query(`SELECT * FROM \`${pair.control}\`.tenant_lock WHERE tenant = 'bee' FOR UPDATE`);
  await sql('source', 'UPDATE customers SET n = 77 WHERE id = 2');
  const alone = mirror.drain('ant');
  expect(await waits(alone)).toBe(false);
  await sql('source', "UPDATE customers SET tenant_id = 'bee' WHERE id = 2");
  const moving = mirror.drain('ant');
  expect(await waits(moving)).toBe(true);
  expect(await rows('target', 'SELECT tenant_id FROM customers WHERE id = 2')).toEqual([
    { tenant_id: 'ant' },
  ]);
  await holder.query('COMMIT');
  await moving;
  expect(await rows('target', 'SELECT tenant_id FROM customers WHERE id = 2')).toEqual([
    { tenant_id: 'bee' },
  ]);
  await holder.end();
});

it('6: typed keys written by a session at +08:00 find their row, printed ones find none', async () => {
  const { pair, tracked } = fixture();
  const writer = await connect('source');
  await writer.query("SET time_zone = '+08:00'");
  await writer.query("INSERT INTO odd VALUES ('2026-01-01 12:00:00.5', b'101', X'FF00FE01', 'ant')");
  const [printed] = (await writer.query('SELECT CONCAT(at) AS at, CONCAT(flags) AS flags FROM odd'))[0] as [
    { at: string; flags: Buffer },
  ];
  const { table, id } = tracked.byName('odd');
  const [journaled] = await pair.source.rows(
    `SELECT row_key FROM \`${pair.control}\`.journal WHERE table_id = ${id}`,
  );
  const found = (where: string) =>
    pair.source.rows(`SELECT 1 AS one FROM \`${table.schema}\`.odd t WHERE ${where}`);
  expect(await found(`at = '${printed.at}'`)).toEqual([]);
  expect(await found(`flags = _utf8mb4 X'${printed.flags.toString('hex')}'`)).toEqual([]);
  expect(
    await pair.source.rows(
      `SELECT 1 AS one FROM ${keysTable(table.primary, [journaled!['row_key']!])} k STRAIGHT_JOIN \`${table.schema}\`.odd t ON ${keysJoin(table.primary, 'k', 't')}`,
    ),
  ).toHaveLength(1);

  // A key column of text refuses such bytes, and with them the user's write.
  await writer.query('CREATE TABLE naive_journal (row_key VARCHAR(100) CHARACTER SET utf8mb4)');
  await writer.query(
    'CREATE TRIGGER naive_key AFTER UPDATE ON odd FOR EACH ROW INSERT INTO naive_journal VALUES (OLD.code)',
  );
  await expect(writer.query("UPDATE odd SET code = X'FF00FE02'")).rejects.toMatchObject({ errno: 1366 });
  await writer.query('DROP TRIGGER naive_key');
  await writer.query("UPDATE odd SET code = X'FF00FE02'");
  await writer.end();
  await drain();
});

it('6b: the age of a journal row is the same whatever zone its writer was in', async () => {
  const { pair, sql } = fixture();
  await drain();
  const writer = await connect('source');
  await sql('source', 'CREATE TABLE naive_age (id INT, at DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6))');
  await writer.query("SET time_zone = '-08:00'");
  await writer.query("INSERT INTO customers (id, tenant_id) VALUES (60, 'bee')");
  await writer.query('INSERT INTO naive_age (id) VALUES (1)');
  await writer.end();
  const { journalAge, journalRows } = await journalState(pair.source, pair.control, ['bee']);
  expect(journalRows).toBe(1);
  expect(journalAge).toBeLessThan(10_000);
  const [naive] = await fixture().rows(
    'source',
    'SELECT TIMESTAMPDIFF(HOUR, at, NOW(6)) AS hours FROM naive_age',
  );
  expect(Number(naive!['hours'])).toBeGreaterThan(6);
});

it('18: a key that is always in flight gets a verdict: mirrored under the lock and compared', async () => {
  const { pair, sql, tracked, rows } = fixture();
  await drain();
  await sql('target', 'UPDATE customers SET n = 999 WHERE id = 10');
  await sql('source', 'UPDATE customers SET n = 5 WHERE id = 10');
  const { id } = tracked.byName('customers');
  const kind = async (judge: typeof judgeHot) =>
    (await judge(pair, tracked, 'bee', id, ['2:10'])).map(({ verdict }) => verdict.kind);
  expect(await kind(judgeKeys)).toEqual(['in-flight']);
  expect(await kind(judgeKeys)).toEqual(['in-flight']);
  expect(await kind(judgeHot)).toEqual(['equal']);
  expect(await rows('target', 'SELECT n FROM customers WHERE id = 10')).toEqual([{ n: '5' }]);
});

it('19: a tenant that was aborted and is started again keeps no row that was deleted meanwhile', async () => {
  const { pair, sql, rows, tracked, start } = fixture();
  await sql('source', "INSERT INTO customers (id, tenant_id) VALUES (30, 'ant'), (31, 'ant')");
  await drain();
  await flipStage(pair.source, pair.control, {
    tenant: 'ant',
    to: 'source-only',
    expectEpoch: null,
    from: ['dual-write'],
    actor: 'test',
    reason: 'abort',
    requestId: null,
  });
  await sql('source', 'DELETE FROM customers WHERE id = 30');
  expect(await purgeJournal(pair, 'ant')).toBeGreaterThan(0);
  await start('ant');
  await drain();
  expect(await rows('target', 'SELECT id FROM customers WHERE id IN (30, 31)')).toHaveLength(2);
  await copyTable(pair, tracked, {
    tenant: 'ant',
    round: 2,
    tableId: tracked.byName('customers').id,
    limits: {
      windowTarget: 100,
      windowRows: 10,
      windowBytes: 8_388_608,
      reconcileRows: 10,
      backfillParallel: 1,
      threadsRunning: 100,
      rowsPerSecond: 0,
    },
    pace: () => Promise.resolve(0),
    progress: () => {},
    until: () => false,
  });
  expect(await rows('target', 'SELECT id FROM customers WHERE id IN (30, 31)')).toEqual([{ id: '31' }]);
});
