/** Capture: what the triggers journal, how they are installed, and how their loss is noticed. */
import { setTimeout as sleep } from 'node:timers/promises';

import { createConnection } from 'mysql2/promise';
import { describe, expect, it } from 'vitest';

import { captureSql, installCapture, uninstallCapture } from '../../src/db/capture.ts';
import { lostCapture } from '../../src/db/capture-loss.ts';
import type { Pair } from '../../src/db/tracked.ts';
import { child, column, dump, useFixture, type Fixture, standingTrigger } from '../support/pair.ts';
import { stackInfo, urlWithSchema } from '../support/stack.ts';
import { FaultyDatabase } from './protocol/faults.ts';

const PLAIN = [
  'CREATE TABLE customers (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL DEFAULT 0, KEY (tenant_id))',
  'CREATE TABLE notes (id INT PRIMARY KEY, customer_id INT NOT NULL, n INT NOT NULL DEFAULT 0, KEY (customer_id))',
];

const journal = async ({ pair }: Fixture): Promise<string[]> =>
  (
    await pair.source.rows(
      `SELECT CONCAT(t.name, ' ', j.row_key, ' ', j.tenant) AS line FROM \`${pair.control}\`.journal j JOIN \`${pair.control}\`.tracked_table t ON t.id = j.table_id ORDER BY 1`,
    )
  ).map((row) => row['line']!);

const clearJournal = ({ pair }: Fixture) => pair.source.run(`DELETE FROM \`${pair.control}\`.journal`);

async function drainAll({ mirror }: Fixture, tenants: readonly string[]): Promise<void> {
  for (const tenant of ['_unresolved', ...tenants]) await mirror.drain(tenant);
}

describe('installing', () => {
  const fixture = useFixture(PLAIN);

  it('runs what the dry run prints, and a second time runs nothing', async () => {
    const { pair, install } = fixture();
    await install({ customers: column(), notes: child('customers', 'customer_id') });
    await uninstallCapture(pair);
    const ran: string[] = [];
    const listening: Pair = {
      ...pair,
      source: new FaultyDatabase(
        { side: 'source', url: stackInfo().sourceUrl },
        {
          withoutLock: false,
          at: (moment, _, sql) =>
            void (moment === 'before' && /^(CREATE|DROP|ALTER)/.test(sql) && ran.push(sql)),
        },
      ),
    };
    const printed = await captureSql(pair);
    expect(printed).toHaveLength(6);
    await installCapture(listening);
    expect(ran.filter((sql) => !sql.startsWith('DROP TRIGGER IF EXISTS'))).toEqual(printed);
    expect(await captureSql(pair)).toEqual([]);

    ran.length = 0;
    await installCapture(listening);
    expect(ran).toEqual([]);
    await listening.source.close();
  });

  it('gives a locked table up after a second and tries again, while other sessions go on', async () => {
    const { pair } = fixture();
    const url = urlWithSchema(stackInfo().sourceUrl, pair.sourceSchema);
    const [holder, other] = await Promise.all([createConnection(url), createConnection(url)]);
    await uninstallCapture(pair);
    await holder.query('BEGIN');
    await holder.query('SELECT * FROM customers');

    const lines: string[] = [];
    let installed = false;
    const installing = installCapture(pair, (line) => lines.push(line)).then(() => (installed = true));
    let slowest = 0;
    let statements = 0;
    for (const end = Date.now() + 2_500; Date.now() < end; await sleep(20)) {
      const started = Date.now();
      await other.query('UPDATE customers SET n = n + 1 WHERE id = 1');
      slowest = Math.max(slowest, Date.now() - started);
      statements += 1;
    }
    expect(installed).toBe(false);
    expect(lines[0]).toMatch(
      new RegExp(
        `^waiting for customers: connection ${holder.threadId} \\(.+@.+\\) holds \\S+customers\\S, for \\d+ s; it ends with COMMIT`,
      ),
    );
    expect(slowest).toBeLessThan(1_600);
    expect(statements).toBeGreaterThan(5);

    await holder.query('COMMIT');
    await installing;
    expect(await captureSql(pair)).toEqual([]);
    await Promise.all([holder.end(), other.end()]);
  });
});

describe('losing', () => {
  const fixture = useFixture(PLAIN);

  it('a trigger dropped or altered, a table swapped or truncated is noticed and named', async () => {
    const { pair, sql, install } = fixture();
    await install({ customers: column(), notes: child('customers', 'customer_id') });
    // A table's creation time has whole seconds.
    await sleep(1_100);
    const { id } = fixture().tracked.byName('notes');
    const triggerOf = (prefix: string) => standingTrigger(fixture(), prefix);
    const ways: Readonly<Record<string, readonly string[]>> = {
      'is gone': [`DROP TRIGGER ${await triggerOf(`switchback_${id}_update`)}`],
      'was altered': [
        `DROP TRIGGER ${await triggerOf(`switchback_${id}_delete`)}`,
        `CREATE TRIGGER ${await triggerOf(`switchback_${id}_delete`)} AFTER DELETE ON notes FOR EACH ROW SET @nothing = 1`,
      ],
      'was truncated': ['TRUNCATE notes'],
      // As gh-ost and pt-osc do it: the triggers stay on the old table.
      'was altered (swapped)': [
        'CREATE TABLE ghost LIKE notes',
        'RENAME TABLE notes TO gone, ghost TO notes',
      ],
    };
    for (const [why, statements] of Object.entries(ways)) {
      expect(await lostCapture(pair)).toEqual([]);
      for (const statement of statements) await sql('source', statement);
      const lost = await lostCapture(pair);
      expect(lost).toHaveLength(1);
      expect(lost[0]).toMatchObject({
        table: 'notes',
        why: expect.stringContaining(why.split(' (')[0]!) as string,
      });
      if (!why.includes('swapped')) await installCapture(pair);
      await sleep(1_100);
    }
  });

  it('a tracked table that is gone is noticed', async () => {
    const { pair, sql } = fixture();
    await sql('source', 'DROP TABLE notes');
    await sql('source', 'DROP TABLE gone');
    expect(await lostCapture(pair)).toEqual([
      { table: 'notes', owner: null, why: 'table notes is gone, and its triggers with it' },
    ]);
  });
});

describe('parents and children', () => {
  const fixture = useFixture(PLAIN);

  it('a parent that changes its tenant journals its children under both tenants', async () => {
    const { sql, install, start } = fixture();
    await install({ customers: column(), notes: child('customers', 'customer_id') });
    for (const tenant of ['ant', 'bee']) await start(tenant);
    await sql('source', "INSERT INTO customers VALUES (1, 'ant', 0)");
    await sql('source', 'INSERT INTO notes VALUES (7, 1, 0), (8, 1, 0)');
    await drainAll(fixture(), ['ant', 'bee']);
    await sql('source', "UPDATE customers SET tenant_id = 'bee' WHERE id = 1");
    expect(await journal(fixture())).toEqual([
      'customers 1:1 ant',
      'customers 1:1 bee',
      'notes 1:7 ant',
      'notes 1:7 bee',
      'notes 1:8 ant',
      'notes 1:8 bee',
    ]);
  });

  it('a child without its parent belongs to nobody, and comes back with it', async () => {
    const { sql, rows } = fixture();
    const target = () => rows('target', 'SELECT id FROM notes WHERE customer_id = 50 ORDER BY id');
    await sql('source', 'INSERT INTO notes VALUES (50, 50, 0)');
    await drainAll(fixture(), ['ant', 'bee']);
    expect(await target()).toEqual([]);
    await sql('source', "INSERT INTO customers VALUES (50, 'ant', 0)");
    await drainAll(fixture(), ['ant', 'bee']);
    expect(await target()).toEqual([{ id: '50' }]);
    await sql('source', 'DELETE FROM customers WHERE id = 50');
    await drainAll(fixture(), ['ant', 'bee']);
    expect(await target()).toEqual([]);
  });
});

describe('a parent found by another column than its key', () => {
  const fixture = useFixture([
    'CREATE TABLE customers (id INT PRIMARY KEY, code VARCHAR(20) UNIQUE, tenant_id VARCHAR(20) NOT NULL, KEY (tenant_id))',
    'CREATE TABLE notes (id INT PRIMARY KEY, customer VARCHAR(20) NOT NULL, KEY (customer))',
  ]);

  it('journals its children when that column changes', async () => {
    const { sql, rows, install, start } = fixture();
    await install({ customers: column(), notes: child('customers', 'customer', 'code') });
    await start('ant');
    await sql('source', "INSERT INTO customers VALUES (1, 'one', 'ant')");
    await sql('source', "INSERT INTO notes VALUES (1, 'one'), (2, 'two')");
    await drainAll(fixture(), ['ant']);
    expect(await rows('target', 'SELECT id FROM notes')).toEqual([{ id: '1' }]);
    await sql('source', "UPDATE customers SET code = 'two' WHERE id = 1");
    await drainAll(fixture(), ['ant']);
    expect(await rows('target', 'SELECT id FROM notes')).toEqual([{ id: '2' }]);
  });

  it('journals the key that it leaves while that column is NULL', async () => {
    const { sql, rows, install, start } = fixture();
    await install({ customers: column(), notes: child('customers', 'customer', 'code') });
    await start('bee');
    await sql('source', "INSERT INTO customers VALUES (7, NULL, 'bee')");
    await drainAll(fixture(), ['bee']);
    await sql('source', 'UPDATE customers SET id = 8 WHERE id = 7');
    await drainAll(fixture(), ['bee']);
    expect(await rows('target', "SELECT id FROM customers WHERE tenant_id = 'bee'")).toEqual([{ id: '8' }]);
  });
});

describe('foreign keys that act', () => {
  const fixture = useFixture([
    'CREATE TABLE regions (id INT PRIMARY KEY)',
    `CREATE TABLE customers (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, region_id INT NOT NULL, KEY (tenant_id),
       FOREIGN KEY (region_id) REFERENCES regions (id) ON DELETE CASCADE ON UPDATE CASCADE)`,
    `CREATE TABLE notes (customer_id INT NOT NULL, pos INT NOT NULL, PRIMARY KEY (customer_id, pos),
       FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE ON UPDATE CASCADE)`,
    `CREATE TABLE tags (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, customer_id INT NULL, KEY (tenant_id),
       FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE SET NULL ON UPDATE SET NULL)`,
    `CREATE TABLE prices (region_id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, KEY (tenant_id),
       FOREIGN KEY (region_id) REFERENCES regions (id) ON DELETE CASCADE ON UPDATE CASCADE)`,
  ]);
  const TABLES = { customers: 'id', notes: 'customer_id, pos', tags: 'id', prices: 'region_id' };

  async function expectEqual(): Promise<void> {
    await drainAll(fixture(), ['ant']);
    for (const [table, order] of Object.entries(TABLES))
      expect(await dump(fixture(), 'target', table, order)).toEqual(
        await dump(fixture(), 'source', table, order),
      );
  }

  it('CASCADE and SET NULL over two levels reach the target, from a parent that is not in the plan', async () => {
    const { sql, install, start } = fixture();
    await install({
      customers: column(),
      notes: child('customers', 'customer_id'),
      tags: column(),
      prices: column(),
    });
    await start('ant');
    await sql('source', 'INSERT INTO regions VALUES (1), (2), (3)');
    await sql('source', "INSERT INTO customers VALUES (10, 'ant', 1), (20, 'ant', 2), (30, 'ant', 3)");
    await sql('source', 'INSERT INTO notes VALUES (10, 1), (10, 2), (20, 1), (30, 1)');
    await sql('source', "INSERT INTO prices VALUES (2, 'ant'), (3, 'ant')");
    await sql('source', "INSERT INTO tags VALUES (1, 'ant', 10), (2, 'ant', 20), (3, 'ant', 30)");
    await expectEqual();
    await clearJournal(fixture());
    await sql('source', 'DELETE FROM regions WHERE id = 1');
    expect(await journal(fixture())).toEqual(
      expect.arrayContaining([
        'customers 2:10 ant',
        'notes 2:101:1 ant',
        'notes 2:101:2 ant',
        'tags 1:1 ant',
      ]),
    );
    await expectEqual();
  });

  it('ON UPDATE CASCADE that changes the key of a child reaches the target', async () => {
    const { sql } = fixture();
    await sql('source', 'UPDATE regions SET id = 22 WHERE id = 2');
    await expectEqual();
    await sql('source', 'UPDATE customers SET id = 21 WHERE id = 20');
    await expectEqual();
  });
});

describe('a parent whose key gets other letters that its collation takes for equal', () => {
  const fixture = useFixture([
    'CREATE TABLE codes (code VARCHAR(20) PRIMARY KEY)',
    `CREATE TABLE customers (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, code VARCHAR(20), KEY (tenant_id),
       FOREIGN KEY (code) REFERENCES codes (code) ON UPDATE CASCADE)`,
  ]);

  it('ON UPDATE CASCADE that changes only the case of letters reaches the target', async () => {
    const { sql, install, start } = fixture();
    await install({ customers: column() });
    await start('ant');
    await sql('source', "INSERT INTO codes VALUES ('one')");
    await sql('source', "INSERT INTO customers VALUES (1, 'ant', 'one')");
    await drainAll(fixture(), ['ant']);
    await sql('source', "UPDATE codes SET code = 'ONE'");
    await drainAll(fixture(), ['ant']);
    for (const side of ['source', 'target'] as const)
      expect(await dump(fixture(), side, 'customers', 'id')).toEqual(
        await dump(fixture(), 'source', 'customers', 'id'),
      );
    expect(JSON.stringify(await dump(fixture(), 'source', 'customers', 'id'))).toContain('ONE');
  });
});
