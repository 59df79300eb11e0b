/** Keys of every column type: journaled by a trigger under odd session settings, found again on both sides. */
import { createConnection } from 'mysql2/promise';
import { beforeAll, describe, expect, it } from 'vitest';

import { partsSql } from '../../src/db/foresight.ts';
import { keySql, placeIn, rowsOfKeys } from '../../src/db/keys.ts';
import { qualified } from '../../src/db/sql.ts';
import type { TrackedTable } from '../../src/db/tenancy.ts';
import { judgeKeys } from '../../src/db/verdict.ts';
import { decodeKey } from '../../src/domain/key.ts';
import { column, dump, useFixture } from '../support/pair.ts';
import { stackInfo, urlWithSchema } from '../support/stack.ts';

/** Table name: its key columns, then rows of key values as SQL. */
// prettier-ignore
const KEYS: Readonly<Record<string, readonly [columns: readonly string[], rows: readonly (readonly string[])[]]>> = {
  k_int:     [['INT'], [['-2147483648'], ['0'], ['7']]],
  k_zerofill:[['INT(8) UNSIGNED ZEROFILL'], [['0'], ['42']]],
  k_bigint:  [['BIGINT UNSIGNED'], [['18446744073709551615'], ['18446744073709551614'], ['9007199254740993']]],
  k_signed:  [['BIGINT'], [['-9223372036854775808'], ['9223372036854775807'], ['-1']]],
  k_decimal: [['DECIMAL(40,20)'], [['12345678901234567890.12345678901234567891'], ['-0.00000000000000000001'], ['0']]],
  k_year:    [['YEAR'], [['1901'], ['0'], ['2000'], ['2155']]],
  k_bit:     [['BIT(64)'], [["X'FFFFFFFFFFFFFFFF'"], ["b'0'"], ["b'101'"]]],
  k_float:   [['FLOAT'], [['0.1'], ['16777216'], ['-1.5']]],
  k_double:  [['DOUBLE'], [['0.1'], ['0.30000000000000004'], ['-1e300'], ['123456789.12345679']]],
  k_date:    [['DATE'], [["'2024-02-29'"], ["'0000-00-00'"], ["'2024-02-00'"], ["'2023-02-31'"]]],
  k_datetime:[['DATETIME(6)'], [["'2026-03-29 02:30:00.000001'"], ["'2026-03-29 02:30:00.000002'"], ["'0000-00-00 00:00:00'"], ["'2023-02-31 00:00:00'"]]],
  k_time:    [['TIME(3)'], [["'-838:59:59'"], ["'00:00:00.001'"], ["'00:00:00'"]]],
  k_timestamp: [['TIMESTAMP(6)'], [["'2026-10-25 02:30:00.123456'"], ["'1985-01-01 00:00:00'"], ["'0000-00-00 00:00:00'"]]],
  k_char:    [['CHAR(10)'], [["'abc'"], ["''"], ["'ä'"]]],
  k_varchar: [['VARCHAR(100) COLLATE utf8mb4_bin'], [["'it\\'s'"], ["'a'"], ["'A'"], ["'😀'"], ["'1:1'"], ["''"]]],
  k_padded:  [['VARCHAR(20) COLLATE utf8mb4_0900_bin'], [["'a'"], ["'a '"], ["'a  '"]]],
  k_latin1:  [['VARCHAR(50) CHARACTER SET latin1'], [["'ÄÖÜ'"], ["'€'"]]],
  k_utf16:   [['VARCHAR(50) CHARACTER SET utf16'], [["'中😀'"], ["'a'"]]],
  k_binary:  [['BINARY(4)'], [["X'00'"], ["X'FF00FF00'"], ["X'61'"]]],
  k_varbinary: [['VARBINARY(30)'], [["X'00'"], ["X'0000'"], ["''"], ["X'27225C0A'"]]],
  k_enum:    [["ENUM('x','y','ä')"], [["'x'"], ["'ä'"]]],
  k_set:     [["SET('x','y','z')"], [["'x,z'"], ["''"], ["'y'"]]],
  k_two:     [['VARCHAR(20) COLLATE utf8mb4_bin', 'INT'], [["'a'", '11'], ["'a1'", '1'], ["'a'", '1']]],
  k_three:   [['INT', 'TIMESTAMP(3)', 'BIT(8)'], [['1', "'2026-10-25 02:30:00.5'", "b'11'"], ['1', "'2026-10-25 02:30:00.5'", "b'10'"]]],
  k_four:    [['BINARY(2)', 'DECIMAL(10,2)', 'CHAR(3)', 'DATE'], [["X'0102'", '1.50', "'ab'", "'2024-01-01'"], ["X'0102'", '1.51', "'ab'", "'2024-01-01'"]]],
};

const names = (table: string): string[] => KEYS[table]![0].map((_, index) => `c${index}`);

const fixture = useFixture([
  ...Object.entries(KEYS).map(
    ([table, [columns]]) =>
      `CREATE TABLE ${table} (${columns.map((type, index) => `c${index} ${type} NOT NULL`).join(', ')}, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL,
         PRIMARY KEY (${names(table).join(', ')}), KEY (tenant_id)) CHARACTER SET utf8mb4`,
  ),
  'CREATE TABLE ci (code VARCHAR(20) COLLATE utf8mb4_unicode_ci PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, KEY (tenant_id))',
]);

/** Settings that print values in other ways than the appliers' sessions do. */
const SETTINGS = [
  ["SET time_zone = '+08:00'", 'SET NAMES latin1'],
  [
    "SET time_zone = '-03:30'",
    'SET NAMES utf8mb4',
    "SET sql_mode = 'PAD_CHAR_TO_FULL_LENGTH,ANSI_QUOTES,PIPES_AS_CONCAT,ALLOW_INVALID_DATES,NO_BACKSLASH_ESCAPES'",
  ],
  [
    "SET time_zone = '+00:00'",
    'SET NAMES utf8mb4',
    "SET sql_mode = 'ALLOW_INVALID_DATES', lc_time_names = 'de_DE', character_set_connection = utf16",
  ],
];

beforeAll(async () => {
  const { install, start } = fixture();
  await install(Object.fromEntries([...Object.keys(KEYS), 'ci'].map((table) => [table, column()])));
  await start('ant');
});

const order = (table: string): string =>
  names(table)
    .map((name) => `HEX(${name})`)
    .join(', ');

describe.each(Object.keys(KEYS))('%s', (table) => {
  it('is journaled by any session, found again on both sides, updated and deleted', async () => {
    const { pair, tracked, mirror } = fixture();
    const [, keyRows] = KEYS[table]!;
    const connection = await createConnection(urlWithSchema(stackInfo().sourceUrl, pair.sourceSchema));
    await connection.query("SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES'");
    for (const values of keyRows)
      await connection.query(`INSERT INTO ${table} VALUES (${values.join(', ')}, 'ant', 0)`);
    for (const [index, settings] of SETTINGS.entries()) {
      for (const setting of settings) await connection.query(setting);
      await connection.query(`UPDATE ${table} SET n = n + ${index + 1}`);
    }
    const journal = await pair.source.rows(
      `SELECT DISTINCT row_key FROM \`${pair.control}\`.journal WHERE table_id = ${tracked.byName(table).id}`,
    );
    const keys = journal.map((row) => row['row_key']!);
    // One spelling of each key, whoever wrote it.
    expect(keys).toHaveLength(keyRows.length);
    for (const key of keys) expect(decodeKey(key)).toHaveLength(names(table).length);

    await foundThroughJournal(tracked.source(tracked.byName(table).id), keys);

    await mirror.drain('ant');
    expect(await dump(fixture(), 'target', table, order(table))).toEqual(
      await dump(fixture(), 'source', table, order(table)),
    );
    for (const side of ['source', 'target'] as const) {
      const { table: found } = tracked[side](tracked.byName(table).id);
      const foundBy = async (some: string[], asRows: boolean) => {
        const from = { table: qualified(found.schema, table), as: 't', columns: found.primary, keys: some };
        const rows = await pair[side].rows(
          `SELECT ${placeIn(some)} AS n, ${keySql(found, 't')} AS row_key FROM ${rowsOfKeys({ ...from, asRows })}`,
        );
        return rows.map((row) => `${row['n']} ${row['row_key']}`).sort();
      };
      for (const asRows of [false, pair[side].takesRows])
        expect(await foundBy(keys, asRows), side).toEqual(keys.map((key, at) => `${at} ${key}`).sort());
      for (const key of keys) expect(await foundBy([key], true), `${side}, alone`).toEqual([`0 ${key}`]);
    }

    await connection.query(`DELETE FROM ${table}`);
    await connection.end();
    await mirror.drain('ant');
    expect(await dump(fixture(), 'target', table, order(table))).toEqual([]);
  });
});

/** Of types for which the source finds a row by the text of its journaled key. */
async function foundThroughJournal({ id, table }: TrackedTable, keys: readonly string[]): Promise<void> {
  const { pair } = fixture();
  const parts = partsSql(table.primary, 'f.row_key');
  if (parts === null) return;
  const isRow = table.primary.map(({ name }, at) => `t.${name} = ${parts[at]}`).join(' AND ');
  const joined = `SELECT f.row_key AS row_key, ${keySql(table, 't')} AS own FROM \`${pair.control}\`.journal f
    STRAIGHT_JOIN ${qualified(table.schema, table.name)} t ON ${isRow} WHERE f.table_id = ${id}`;
  const rows = await pair.source.rows(joined);
  expect(rows.map((row) => row['own'])).toEqual(rows.map((row) => row['row_key']));
  expect(new Set(rows.map((row) => row['own']))).toEqual(new Set(keys));
  const [, plan] = await pair.source.rows(`EXPLAIN FORMAT = TRADITIONAL ${joined}`);
  expect(plan!['key'], joined).toBe('PRIMARY');
}

it('keys that only a collation calls equal are one row on both sides', async () => {
  const { sql, mirror } = fixture();
  const equal = async () =>
    expect(await dump(fixture(), 'target', 'ci', 'HEX(code)')).toEqual(
      await dump(fixture(), 'source', 'ci', 'HEX(code)'),
    );
  await sql('source', "INSERT INTO ci VALUES ('abc', 'ant', 1), ('straße', 'ant', 1)");
  await mirror.drain('ant');
  await sql('source', "UPDATE ci SET code = 'ABC ', n = 2 WHERE code = 'abc'");
  await sql('source', "UPDATE ci SET code = 'STRASSE', n = 2 WHERE code = 'straße'");
  await mirror.drain('ant');
  await equal();
  await sql('source', "DELETE FROM ci WHERE code = 'abc'");
  await sql('source', "INSERT INTO ci VALUES ('äbc', 'ant', 3)");
  await mirror.drain('ant');
  await equal();
});

it('a verdict on one spelling of a key counts the journal row of another', async () => {
  const { sql, mirror, pair, tracked } = fixture();
  await sql('source', "INSERT INTO ci VALUES ('verdict', 'ant', 1)");
  const { id } = tracked.byName('ci');
  const asked = `${'VERDICT'.length * 2}:${Buffer.from('VERDICT').toString('hex').toUpperCase()}`;
  const judge = async () => (await judgeKeys(pair, tracked, 'ant', id, [asked]))[0]!.verdict.kind;
  expect(await judge()).toBe('in-flight');
  await mirror.drain('ant');
  expect(await judge()).toBe('equal');
  await sql('source', "DELETE FROM ci WHERE code = 'verdict'");
  expect(await judge()).toBe('in-flight');
});
