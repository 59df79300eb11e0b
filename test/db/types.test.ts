/** Values of every type travel without loss, by mirror and by backfill, and differing values have differing digests. */
import { createConnection } from 'mysql2/promise';
import { beforeAll, expect, it } from 'vitest';

import { copyTable } from '../../src/db/backfill.ts';
import { digestOf, rowHash } from '../../src/db/digest.ts';
import { qualified } from '../../src/db/sql.ts';
import type { TrackedTable } from '../../src/db/tenancy.ts';
import { column, useFixture } from '../support/pair.ts';
import { stackInfo, urlWithSchema } from '../support/stack.ts';

/** Column declaration, then the values, as SQL; no two of a column are equal. */
// prettier-ignore
const TYPES: Readonly<Record<string, readonly [declared: string, values: readonly string[]]>> = {
  decimals:  ['DECIMAL(65,30)', [`${'9'.repeat(35)}.${'9'.repeat(30)}`, `-${'9'.repeat(35)}.${'9'.repeat(29)}8`, '0.000000000000000000000000000001', '0']],
  big:  ['BIGINT UNSIGNED', ['18446744073709551615', '18446744073709551614', '9007199254740993', '0']],
  neg:  ['BIGINT', ['-9223372036854775808', '-9223372036854775807', '9223372036854775807']],
  tiny: ['TINYINT(1)', ['0', '1', '-128']],
  yr:   ['YEAR', ['1901', '2155', '0']],
  flag: ['BIT(64)', ["b'1'", "X'FFFFFFFFFFFFFFFF'", "X'8000000000000000'", '0']],
  dt:   ['DATETIME(6)', ["'2026-03-29 02:30:00.000001'", "'2026-03-29 02:30:00.000002'", "'9999-12-31 23:59:59.999999'", "'0000-00-00 00:00:00'", "'2024-00-00 10:00:00'", "'2024-02-31 01:02:03'"]],
  d:    ['DATE', ["'0000-00-00'", "'2024-00-00'", "'2024-02-00'", "'2023-02-31'", "'2024-02-29'", "'9999-12-31'"]],
  t:    ['TIME(6)', ["'-838:59:59'", "'838:59:59'", "'00:00:00.000001'", "'-00:00:00.000001'", "'00:00:00'"]],
  ts:   ['TIMESTAMP(6) NULL', ["'1970-01-01 00:00:01.000001'", "'2038-01-19 03:14:07.999999'", "'0000-00-00 00:00:00'"]],
  js:   ['JSON', [`'{"b": 1, "a": [1.5, null, true, "x"]}'`, "'9007199254740993'", "'1.0'", "'1'", "'1e300'", "'null'", `'"\\\\u0000 😀 \\\\""'`]],
  bin:  ['BLOB', ['(SELECT bytes FROM every_byte)', "X'00'", "X'0000'", "''", "X'27225C0A0D1A'"]],
  vb:   ['VARBINARY(20)', ["X'00'", "''", "X'20'", "X'2020'", "X'FFFE'"]],
  b4:   ['BINARY(4)', ["X'00'", "X'20'", "X'61626364'"]],
  en:   ["ENUM('a','b ','','ü','7')", ["'a'", "'ü'", "''", "'7'"]],
  st:   ["SET('x','y z','ü')", ["'x,ü'", "''", "'y z'", "7"]],
  txt:  ['VARCHAR(200)', ["'😀𝒳é'", "'e\u0301'", "'é'", "''", "' '", "'  '", "'a\\\\b\\'c\"d\\0e\\n\\Z%_'", "'~'", "'1:1'", "'|'"]],
  lat:  ["VARCHAR(50) CHARACTER SET latin1", ["'ÄÖÜß€'", "X'8190'", "'a'", "'A'", "X'00FF'"]],
  big5: ["VARCHAR(50) CHARACTER SET ucs2", ["'中文'", "'a'"]],
  longs: ['LONGTEXT', ["REPEAT('😀', 100000)", "CONCAT(REPEAT('😀', 99999), '😁')", "''"]],
  f:    ['FLOAT', ['3.4028234e38', '1.17549435e-38', '16777217', '0.1', '-0.1', '1234567.8', '1e-45']],
  g:    ['DOUBLE', ['1.7976931348623157e308', '2.2250738585072014e-308', '5e-324', '0.1', '0.30000000000000004', '9007199254740993', '123456789.12345679', '-1.5']],
};
const NAMES = Object.keys(TYPES);
const SOURCE_MODE = "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'";

const fixture = useFixture([
  `CREATE TABLE samples (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL DEFAULT 'ant', ${NAMES.map((name) => `${name} ${TYPES[name]![0]}`).join(', ')},
     computed VARCHAR(300) AS (CONCAT(txt, '!')) VIRTUAL, stored_one DOUBLE AS (g * 2e-9) STORED, KEY (tenant_id)) CHARACTER SET utf8mb4`,
  'CREATE TABLE every_byte (bytes BLOB)',
]);

const allBytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
/** Row number of a column's value; rows whose number ends in 99 hold NULL. */
const rowOf = (name: string, index: number): number => (NAMES.indexOf(name) + 1) * 100 + index;
const COUNT = NAMES.reduce((sum, name) => sum + TYPES[name]![1].length + 1, 0);

/** Everything as the server's own hex, compared without the product's code. */
async function contents(side: 'source' | 'target'): Promise<Record<string, string | null>[]> {
  const columns = [...NAMES, 'computed', 'stored_one'].map((name) => {
    const type = TYPES[name]?.[0] ?? '';
    const value = type.startsWith('FLOAT')
      ? `${name} + 0e0`
      : type === 'JSON'
        ? `CONCAT(JSON_TYPE(${name}), ${name})`
        : name;
    return `HEX(CONCAT(${value})) AS ${name}`;
  });
  return [
    ...(await fixture().rows(
      side,
      `SELECT id, ${columns.join(', ')}, en + 0 AS en_number FROM samples ORDER BY id`,
    )),
  ];
}

beforeAll(async () => {
  const { pair, install, start } = fixture();
  const connection = await createConnection(urlWithSchema(stackInfo().sourceUrl, pair.sourceSchema));
  await connection.query(SOURCE_MODE);
  await connection.query("SET NAMES utf8mb4, time_zone = '+00:00'");
  await connection.query('INSERT INTO every_byte VALUES (?)', [allBytes]);
  await install({ samples: column() });
  for (const [name, [, values]] of Object.entries(TYPES)) {
    for (const [index, value] of [...values, 'NULL'].entries())
      await connection.query(`INSERT INTO samples (id, ${name}) VALUES (${rowOf(name, index)}, ${value})`);
  }
  await connection.end();
  await start('ant');
});

it('the samples are what they say: no two values of a column became equal', async () => {
  const rows = await contents('source');
  expect(rows).toHaveLength(COUNT);
  for (const [name, [, values]] of Object.entries(TYPES)) {
    const own = rows.filter((row) => Math.floor(Number(row['id']) / 100) === NAMES.indexOf(name) + 1);
    const distinct = new Set(own.map((row) => (name === 'js' ? row[name] : `${row[name]}`)));
    expect([name, distinct.size]).toEqual([name, values.length + 1]);
  }
});

it('the mirror carries every value without loss', async () => {
  await fixture().mirror.drain('ant');
  expect(await contents('target')).toEqual(await contents('source'));
});

it('backfill carries every value without loss', async () => {
  const { pair, tracked, sql } = fixture();
  await sql('target', 'DELETE FROM samples');
  const cursor = await copyTable(pair, tracked, {
    tenant: 'ant',
    round: 1,
    tableId: tracked.byName('samples').id,
    limits: {
      windowTarget: 300,
      windowRows: 25,
      windowBytes: 8_388_608,
      reconcileRows: 25,
      backfillParallel: 1,
      threadsRunning: 100,
      rowsPerSecond: 0,
    },
    pace: () => Promise.resolve(0),
    progress: () => {},
    until: () => false,
  });
  expect(cursor).toMatchObject({ finished: true, copiedRows: COUNT });
  expect(await contents('target')).toEqual(await contents('source'));
});

it('both sides compute the same digest, and different values have different digests', async () => {
  const { pair, tracked } = fixture();
  const { id, table } = tracked.byName('samples');
  const from = `FROM ${qualified(table.schema, table.name)} t`;
  const whole = (side: TrackedTable) => `SELECT ${rowHash(side, 't')} AS h ${from}`;
  const source = await digestOf(pair.source, whole(tracked.source(id)));
  expect(await digestOf(pair.target, whole(tracked.target(id)))).toEqual(source);
  expect(source.rows).toBe(COUNT);

  // The key is left out, so that only the value tells two rows apart.
  const valueOnly = { ...table, columns: table.columns.filter(({ name }) => name !== 'id') };
  const rows = await pair.source.rows(
    `SELECT t.id, ${rowHash({ table: valueOnly, side: 'source' }, 't')} AS h ${from}`,
  );
  for (const [name, [, values]] of Object.entries(TYPES)) {
    const hashes = rows
      .filter((row) => Math.floor(Number(row['id']) / 100) === NAMES.indexOf(name) + 1)
      .map((row) => row['h']);
    expect([name, new Set(hashes).size]).toEqual([name, values.length + 1]);
  }
});

it('both hours of a night in which clocks are set back arrive as they were meant', async () => {
  const { pair, mirror, rows, sql } = fixture();
  const url = urlWithSchema(stackInfo().sourceUrl, pair.sourceSchema);
  const summer = await createConnection(url);
  // 02:30 in Berlin on 2026-10-25 happens twice: at 00:30 and at 01:30 UTC.
  for (const [id, zone] of [
    [1, '+02:00'],
    [2, '+01:00'],
    [3, '+08:00'],
  ] as const) {
    await summer.query(`SET time_zone = '${zone}'`);
    await summer.query(`INSERT INTO samples (id, ts) VALUES (${id}, '2026-10-25 02:30:00.123456')`);
  }
  await summer.end();
  await mirror.drain('ant');
  const seconds = 'SELECT id, UNIX_TIMESTAMP(ts) AS s FROM samples WHERE id < 100 ORDER BY id';
  expect(await rows('target', seconds)).toEqual([
    { id: '1', s: '1792888200.123456' },
    { id: '2', s: '1792891800.123456' },
    { id: '3', s: '1792866600.123456' },
  ]);
  expect(await rows('target', seconds)).toEqual(await rows('source', seconds));
  await sql('source', 'DELETE FROM samples WHERE id < 100');
});

it('a DECIMAL inside JSON arrives as the double that its text means, and is no drift', async () => {
  const { pair, tracked, mirror, sql } = fixture();
  await sql('source', 'INSERT INTO samples (id, js) VALUES (50, CAST(1.10 AS JSON))');
  await mirror.drain('ant');
  const digest = (side: TrackedTable) =>
    digestOf(
      pair[side.side],
      `SELECT ${rowHash(side, 't')} AS h FROM ${qualified(side.table.schema, side.table.name)} t WHERE id = 50`,
    );
  const { id } = tracked.byName('samples');
  expect(await digest(tracked.target(id))).toEqual(await digest(tracked.source(id)));
  await sql('target', "UPDATE samples SET js = '1.2' WHERE id = 50");
  expect(await digest(tracked.target(id))).not.toEqual(await digest(tracked.source(id)));
});
