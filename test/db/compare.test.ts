/** The independent comparison: finds what differs, says why, raises no false alarm, and reads a row of any type. */
import { setTimeout as sleep } from 'node:timers/promises';

import { beforeAll, describe, expect, it } from 'vitest';

import { copyTable } from '../../src/db/backfill.ts';
import { canonicalJson } from '../../src/db/compare-json.ts';
import { compareTable, type Compared } from '../../src/db/compare.ts';
import { decodeKey } from '../../src/domain/key.ts';
import { startMariadb } from '../../src/stack/mariadb.ts';
import { onPath } from '../../src/stack/programs.ts';
import { limits } from '../support/limits.ts';
import { child, column, useFixture, type Fixture } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';
import { seeded } from './protocol/random.ts';

const LIMITS = limits({ windowRows: 500, reconcileRows: 500 });

async function copyAll(fixture: Fixture, tenant = 'ant'): Promise<void> {
  for (const { id } of fixture.tracked.all())
    await copyTable(fixture.pair, fixture.tracked, {
      tenant,
      round: 1,
      tableId: id,
      limits: LIMITS,
      pace: () => Promise.resolve(0),
      progress: () => {},
      until: () => false,
    });
}

const compare = (fixture: Fixture, table: string, named = 20): Promise<Compared> =>
  compareTable(fixture.pair, fixture.tracked, {
    tenant: 'ant',
    table: fixture.tracked.byName(table),
    named,
    progress: () => {},
    signal: new AbortController().signal,
  });

const found = ({ rows }: Compared): string[] =>
  rows.map(({ key, class: kind, columns }) =>
    `${decodeKey(key).join('/')} ${kind} ${columns.join(',')}`.trim(),
  );

describe('JSON', () => {
  const form = (text: string): string => canonicalJson(Buffer.from(text));

  it('is one value however it is printed', () => {
    expect(form('{"b": 1, "a": [1.0, "\\u0061"]}')).toBe(form('{"a":[1.0,"a"],"b":1}'));
    expect(form('{"a": 1, "a": 2}')).toBe(form('{"a": 2}'));
    expect(form('1e2')).toBe(form('100.0'));
    expect(form('1.10')).toBe(form('1.1'));
  });

  it('tells values apart that a JavaScript number would not', () => {
    const different = [
      '9007199254740993', '9007199254740992', '18446744073709551615', '1', '1.0', '"1"', 'true', 'null', '"null"',
      '[]', '{}', '[[]]', '""', '{"a": 1}', '{"a": "1"}', '["a", 1]', '"[\\"a\\",1]"',
    ]; // prettier-ignore
    expect(new Set(different.map(form)).size).toBe(different.length);
  });
});

describe('MySQL to MySQL', () => {
  const fixture = useFixture([
    'CREATE TABLE customers (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, doc JSON NULL, f FLOAT NULL, KEY (tenant_id))',
    'CREATE TABLE notes (customer_id INT NOT NULL, n INT NOT NULL, body VARCHAR(40) NULL, PRIMARY KEY (customer_id, n))',
  ]);

  beforeAll(async () => {
    const { sql, install, start } = fixture();
    await install({ customers: column(), notes: child('customers', 'customer_id') });
    const ids = Array.from({ length: 3_000 }, (_, id) => id);
    await sql(
      'source',
      `INSERT INTO customers VALUES ${ids.map((id) => `(${id}, '${id % 3 === 0 ? 'bee' : 'ant'}', 0, '{"id": ${id}}', ${id} / 7)`).join(', ')}`,
    );
    await sql(
      'source',
      `INSERT INTO notes VALUES ${ids.map((id) => `(${id}, 1, 'x'), (${id}, 2, NULL)`).join(', ')}`,
    );
    for (const tenant of ['ant', 'bee']) await start(tenant);
    await copyAll(fixture());
    await copyAll(fixture(), 'bee');
    for (const tenant of ['ant', 'bee']) await fixture().mirror.drain(tenant);
  });

  it('counts every row of the tenant on both sides, and calls equal what is equal', async () => {
    expect(await compare(fixture(), 'customers')).toMatchObject({
      sourceRows: 2_000, targetRows: 2_000, equal: 2_000, inFlight: 0, missing: 0, extra: 0, different: 0,
    }); // prettier-ignore
    expect(await compare(fixture(), 'notes')).toMatchObject({
      sourceRows: 4_000,
      targetRows: 4_000,
      equal: 4_000,
    });
  });

  it('finds what is missing, extra, different or of another tenant, wherever it hides', async () => {
    const { sql } = fixture();
    const wrong = [
      'DELETE FROM customers WHERE id = 1',
      "INSERT INTO customers VALUES (-7, 'ant', 0, NULL, NULL), (999999, 'ant', 0, NULL, NULL)",
      'UPDATE customers SET f = f * 1.0000002 WHERE id = 2999',
      `UPDATE customers SET doc = '{"id": 4.5}' WHERE id = 4`,
      "UPDATE customers SET tenant_id = 'bee' WHERE id = 5",
      "UPDATE notes SET body = '' WHERE customer_id = 7 AND n = 2",
    ];
    for (const statement of wrong) await sql('target', statement);
    const customers = await compare(fixture(), 'customers');
    expect(found(customers).sort()).toEqual(
      [
        '1 missing',
        '-7 extra',
        '999999 extra',
        '2999 different f',
        '4 different doc',
        '5 different tenant_id',
      ].sort(),
    );
    expect(customers).toMatchObject({ missing: 1, extra: 2, different: 3, inFlight: 0 });
    expect(await compare(fixture(), 'customers', 2)).toMatchObject({ different: 3, rows: { length: 2 } });
    const notes = await compare(fixture(), 'notes');
    // Those of customer 1 have lost their parent on the target, and are equal all the same.
    expect(found(notes)).toEqual(['7/2 different body']);
    for (const { id } of fixture().tracked.all())
      await sql('target', `DELETE FROM ${fixture().tracked.source(id).table.name}`);
    await fixture().pair.target.run(`DELETE FROM \`${fixture().pair.control}\`.backfill_cursor`);
    for (const tenant of ['ant', 'bee']) await copyAll(fixture(), tenant);
  }, 60_000);

  it('what the journal still holds is in flight, and no difference', async () => {
    const { sql, mirror } = fixture();
    await sql('source', 'UPDATE customers SET n = 9 WHERE id IN (10, 11)');
    await sql('source', 'DELETE FROM notes WHERE customer_id = 13');
    expect(await compare(fixture(), 'customers')).toMatchObject({ inFlight: 2, different: 0, equal: 1_998 });
    expect(await compare(fixture(), 'notes')).toMatchObject({ inFlight: 2, extra: 0 });
    await mirror.drain('ant');
    expect(await compare(fixture(), 'customers')).toMatchObject({ inFlight: 0, equal: 2_000 });
  }, 60_000);

  it('raises no false alarm while everything is written and mirrored', async () => {
    const { pair, sql, mirror } = fixture();
    const random = seeded(17);
    let over = false;
    let writes = 0;
    const write = async (): Promise<void> => {
      while (!over) {
        const id = random.below(3_000);
        const statement = random.pick([
          `UPDATE customers SET n = n + 1 WHERE id BETWEEN ${id} AND ${id + 20}`,
          `DELETE FROM notes WHERE customer_id = ${id}`,
          `INSERT IGNORE INTO notes VALUES (${id}, ${1 + random.below(3)}, 'new')`,
          `UPDATE customers SET tenant_id = '${random.pick(['ant', 'bee'])}' WHERE id = ${id}`,
          `REPLACE INTO customers VALUES (${id}, 'ant', ${random.below(9)}, '{"a": ${id}}', 0.1)`,
        ]);
        await sql('source', statement);
        writes += 1;
      }
    };
    const apply = async (): Promise<void> => {
      while (!over) {
        for (const tenant of ['ant', 'bee', '_unresolved']) await mirror.mirrorTenant(tenant, null);
        await sleep(20);
      }
    };
    const running = [write(), write(), apply()];
    const compared: Compared[] = [];
    for (let round = 0; round < 3; round += 1)
      for (const table of ['customers', 'notes']) compared.push(await compare(fixture(), table));
    over = true;
    await Promise.all(running);
    expect(compared.flatMap(found)).toEqual([]);
    expect(writes).toBeGreaterThan(100);
    expect(compared.reduce((sum, { sourceRows }) => sum + sourceRows, 0)).toBeGreaterThan(10_000);
    void pair;
  }, 120_000);
});

describe.skipIf(onPath('mariadbd').length === 0)('MariaDB to MySQL', () => {
  let url = '';
  beforeAll(async () => {
    const server = await startMariadb({ name: 'compare-mariadb' });
    url = server.url();
    return () => server.stop();
  }, 60_000);
  const TABLE = `CREATE TABLE docs (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, doc JSON NULL, d DOUBLE NULL, f FLOAT NULL,
    price DECIMAL(20,6) NULL, at TIMESTAMP(6) NULL, label ENUM('a','','ü') NULL, name VARCHAR(40) CHARACTER SET latin1 NULL, bits BIT(12) NULL, KEY (tenant_id))`;
  const fixture = useFixture([TABLE], () => ({ ...stackInfo(), sourceUrl: url }));

  it('JSON and doubles are compared as values, not as the server prints them', async () => {
    const { sql, install, start } = fixture();
    await install({ docs: column() });
    await start('ant');
    const docs = [
      '{"b": 1.0, "a": {"y": [], "x": 1e2}}',
      '[9007199254740993, 0.1, "ü\\\\u00e9"]',
      'null',
      '"😀"',
      '{"a": 1, "a": 2}',
    ];
    const doubles = ['1.74e-5', '1e300', '0.1', '123456789.12345679', '-5e-324'];
    for (const [id, doc] of docs.entries())
      await sql(
        'source',
        `INSERT INTO docs VALUES (${id}, 'ant', '${doc}', ${doubles[id]!}, ${id} / 7, 1.5, NOW(6), 'ü', 'é', b'101')`,
      );
    await fixture().mirror.drain('ant');
    const before = await compare(fixture(), 'docs');
    expect([found(before), before.equal]).toEqual([[], docs.length]);
    await sql('target', `UPDATE docs SET doc = '{"a": {"x": 100.5, "y": []}, "b": 1.0}' WHERE id = 0`);
    await sql('target', 'UPDATE docs SET d = 0.10000000000000002 WHERE id = 2');
    await sql('target', "UPDATE docs SET name = 'e' WHERE id = 3");
    expect(found(await compare(fixture(), 'docs'))).toEqual([
      '0 different doc',
      '2 different d',
      '3 different name',
    ]);
  }, 60_000);
});
