/** What held under every attempt before the first line of the product, and must go on holding: every kind of statement is journaled. */
import { setTimeout as sleep } from 'node:timers/promises';

import { createConnection, type Connection } from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { captureSql, installCapture, uninstallCapture } from '../../../src/db/capture.ts';
import type { DatabaseServer } from '../../../src/stack/database-server.ts';
import { startMariadb } from '../../../src/stack/mariadb.ts';
import { onPath } from '../../../src/stack/programs.ts';
import { column, dump, useFixture, type Fixture, type PairUrls } from '../../support/pair.ts';
import { stackInfo, urlWithSchema } from '../../support/stack.ts';

const OPTIONS = 'DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin';
const TABLES = [
  `CREATE TABLE people (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, email VARCHAR(40) NOT NULL, n INT NOT NULL DEFAULT 0, KEY (tenant_id), UNIQUE KEY email (email)) ${OPTIONS}`,
  `CREATE TABLE pets (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, person_id INT NOT NULL, KEY (tenant_id)) ${OPTIONS}`,
];

/** A statement and the keys that it touches, from four people and two pets of theirs. */
// prettier-ignore
const STATEMENTS: readonly (readonly [statement: string, keys: readonly string[]])[] = [
  ["INSERT INTO people VALUES (9, 'ant', 'nine', 0), (10, 'ant', 'ten', 0)", ['people 10', 'people 9']],
  ["INSERT INTO people SELECT id + 20, tenant_id, CONCAT(email, '+'), 1 FROM people", ['people 21', 'people 22', 'people 23', 'people 24']],
  ["INSERT IGNORE INTO people VALUES (1, 'ant', 'one', 5), (11, 'ant', 'eleven', 0)", ['people 11']],
  // One new row takes the place of two.
  ["REPLACE INTO people VALUES (1, 'ant', 'two', 7)", ['people 1', 'people 2']],
  ["INSERT INTO people VALUES (5, 'ant', 'one', 1) ON DUPLICATE KEY UPDATE n = 8", ['people 1']],
  ["INSERT INTO people VALUES (5, 'ant', 'one', 1) ON DUPLICATE KEY UPDATE id = 50", ['people 1', 'people 50']],
  ['UPDATE people SET id = id + 100 ORDER BY id DESC', ['people 1', 'people 101', 'people 102', 'people 103', 'people 104', 'people 2', 'people 3', 'people 4']],
  ["UPDATE people p JOIN pets t ON t.person_id = p.id SET p.n = 3, t.tenant_id = 'bee'", ['people 1', 'people 2', 'pets 1', 'pets 2']],
  ['DELETE p, t FROM people p JOIN pets t ON t.person_id = p.id WHERE p.id = 1', ['people 1', 'pets 1']],
  ['DELETE FROM people ORDER BY id LIMIT 2', ['people 1', 'people 2']],
  ["UPDATE IGNORE people SET email = 'one' WHERE id IN (1, 3)", ['people 1']],
];

function statements(fixture: () => Fixture): void {
  const opened: Connection[] = [];
  const connect = async (): Promise<Connection> => {
    const { pair } = fixture();
    const connection = await createConnection(urlWithSchema(urlOf(fixture), pair.sourceSchema));
    opened.push(connection);
    return connection;
  };
  afterEach(() => opened.splice(0).forEach((connection) => connection.destroy()));

  const journaled = async (): Promise<string[]> => {
    const { pair } = fixture();
    const rows = await pair.source.rows(
      `SELECT DISTINCT CONCAT(t.name, ' ', SUBSTRING_INDEX(j.row_key, ':', -1)) AS line FROM \`${pair.control}\`.journal j JOIN \`${pair.control}\`.tracked_table t ON t.id = j.table_id`,
    );
    return rows.map((row) => row['line']!).toSorted();
  };
  const forget = () => fixture().pair.source.run(`DELETE FROM \`${fixture().pair.control}\`.journal`);

  it('every statement journals the rows that it touched, and they arrive', { timeout: 60_000 }, async () => {
    const { install, start, sql } = fixture();
    await install({ people: column(), pets: column() });
    for (const tenant of ['ant', 'bee']) await start(tenant);
    for (const [statement, keys] of STATEMENTS) {
      await sql('source', 'DELETE FROM people');
      await sql('source', 'DELETE FROM pets');
      await sql(
        'source',
        "INSERT INTO people VALUES (1, 'ant', 'one', 0), (2, 'ant', 'two', 0), (3, 'bee', 'three', 0), (4, 'ant', 'four', 0)",
      );
      await sql('source', "INSERT INTO pets VALUES (1, 'ant', 1), (2, 'ant', 2)");
      for (const tenant of ['ant', 'bee']) await fixture().mirror.drain(tenant);
      await forget();
      await sql('source', statement);
      // MariaDB journals a row that IGNORE left alone, too.
      expect(await journaled(), statement).toEqual(expect.arrayContaining([...keys]));
      for (const tenant of ['ant', 'bee']) await fixture().mirror.drain(tenant);
      for (const table of ['people', 'pets'])
        expect(await dump(fixture(), 'target', table), statement).toEqual(
          await dump(fixture(), 'source', table),
        );
    }
  });

  it('a writer’s LAST_INSERT_ID, ROW_COUNT and warnings are its own', async () => {
    const writer = await connect();
    const [made] = await writer.query(
      "INSERT INTO people (tenant_id, email) VALUES ('ant', 'a'), ('ant', 'b')",
    );
    const [[own]] = (await writer.query('SELECT LAST_INSERT_ID() AS id')) as unknown as [[{ id: number }]];
    expect(made).toMatchObject({ insertId: own.id, affectedRows: 2, warningStatus: 0 });
    const [{ length }] = (await writer.query(
      `SELECT id FROM people WHERE id = ${own.id} AND email = 'a'`,
    )) as unknown as [unknown[]];
    expect(length).toBe(1);
  });

  it('a write that is rolled back, in whole or to a savepoint, leaves nothing in the journal', async () => {
    const writer = await connect();
    await forget();
    await writer.query('BEGIN');
    await writer.query("INSERT INTO pets VALUES (31, 'ant', 1)");
    await writer.query('SAVEPOINT here');
    await writer.query("INSERT INTO pets VALUES (32, 'ant', 1)");
    await writer.query('ROLLBACK TO here');
    await writer.query('COMMIT');
    await writer.query('BEGIN');
    await writer.query("INSERT INTO pets VALUES (33, 'ant', 1)");
    await writer.query('ROLLBACK');
    expect(await journaled()).toEqual(['pets 31']);
  });

  it('the start barrier holds off nobody it need not wait for, and whoever wrote before it is waited for', async () => {
    const { pair } = fixture();
    await uninstallCapture(pair);
    const [early, prepared, writer] = await Promise.all([connect(), connect(), connect()]);
    // A snapshot that has not touched the table, and a statement prepared before the triggers stand.
    await early.query('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    await early.query('START TRANSACTION WITH CONSISTENT SNAPSHOT');
    const statement = await prepared.prepare("INSERT INTO pets VALUES (?, 'ant', 1)");
    await writer.query('BEGIN');
    await writer.query("INSERT INTO pets VALUES (40, 'ant', 1)");
    let stands = false;
    const installing = installCapture(pair).then(() => (stands = true));
    await sleep(1_500);
    expect(stands).toBe(false);
    await writer.query('COMMIT');
    await installing;
    expect(await captureSql(pair)).toEqual([]);
    await forget();
    await early.query("INSERT INTO pets VALUES (41, 'ant', 1)");
    await early.query('COMMIT');
    await statement.execute([42]);
    expect(await journaled()).toEqual(['pets 41', 'pets 42']);
  });
}

let mariadb: DatabaseServer | null = null;
const urls = (): PairUrls => ({ sourceUrl: mariadb!.url(), targetUrl: stackInfo().targetUrl });

/** Of the source that the fixture stands on. */
const urlOf = (fixture: () => Fixture): string =>
  fixture().pair.source.address === addressOf(stackInfo().sourceUrl) ? stackInfo().sourceUrl : mariadb!.url();
const addressOf = (url: string): string => new URL(url).host;

describe('MySQL', () => statements(useFixture(TABLES)));

describe.skipIf(onPath('mariadbd').length === 0)('MariaDB', () => {
  beforeAll(async () => {
    mariadb = await startMariadb({ name: 'held' });
  });
  afterAll(async () => mariadb?.stop());
  statements(useFixture(TABLES, urls));
});
