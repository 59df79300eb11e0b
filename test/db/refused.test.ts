/** A value that the target can't hold is refused, and its column is named: never its value, never another value. */
import { createConnection } from 'mysql2/promise';
import { beforeAll, expect, it } from 'vitest';

import { copyTable } from '../../src/db/backfill.ts';
import { columnIn } from '../../src/db/faults.ts';
import { column, useFixture } from '../support/pair.ts';
import { stackInfo, urlWithSchema } from '../support/stack.ts';

/**
 * What preflight would have refused, had it stood there then; the label it can't see.
 * Column, its type on the source and on the target, a value of the source, as SQL.
 */
// prettier-ignore
const REFUSED: Readonly<Record<string, readonly [here: string, there: string, value: string]>> = {
  label: ["ENUM('a','😀')", "ENUM('a','?')", "'😀'"],
  short: ['VARCHAR(40)', 'VARCHAR(3)', "'secret words'"],
  small: ['INT', 'TINYINT', '777'],
  filled: ['INT NULL', 'INT NOT NULL', 'NULL'],
};

const create = (side: 0 | 1): string[] =>
  Object.entries(REFUSED).map(
    ([name, types]) =>
      `CREATE TABLE t_${name} (id INT PRIMARY KEY, tenant_id VARCHAR(9) NOT NULL, ${name} ${types[side]}, KEY (tenant_id)) CHARACTER SET utf8mb4`,
  );

const fixture = useFixture([]);

beforeAll(async () => {
  const { pair, sql, install, start } = fixture();
  for (const statement of create(1)) await sql('target', statement);
  // Labels go through a connection of utf8mb4; SHOW CREATE TABLE will print a `?` for the emoji.
  const connection = await createConnection({
    uri: urlWithSchema(stackInfo().sourceUrl, pair.sourceSchema),
    charset: 'utf8mb4',
  });
  for (const statement of create(0)) await connection.query(statement);
  await install(Object.fromEntries(Object.keys(REFUSED).map((name) => [`t_${name}`, column()])));
  for (const [name, [, , value]] of Object.entries(REFUSED))
    await connection.query(`INSERT INTO t_${name} VALUES (1, 'ant', ${value})`);
  await connection.end();
  await start('ant');
});

it.each(Object.keys(REFUSED))('%s: by the copy', async (name) => {
  const { pair, tracked, rows } = fixture();
  const copy = copyTable(pair, tracked, {
    tenant: 'ant',
    round: 1,
    tableId: tracked.byName(`t_${name}`).id,
    limits: {
      windowTarget: 300,
      windowRows: 25,
      reconcileRows: 25,
      windowBytes: 8_388_608,
      backfillParallel: 1,
      threadsRunning: 100,
      rowsPerSecond: 0,
    },
    pace: () => Promise.resolve(0),
    progress: () => {},
    until: () => false,
  });
  const refusal = await copy.then(
    () => null,
    (error: Error) => error,
  );
  expect(refusal?.name).toBe('DatabaseError');
  expect(refusal?.message).toMatch(new RegExp(`column (?:t_\\w+\\.)?${name}\\b`));
  expect(refusal?.message).not.toMatch(/secret|777|日本/);
  expect(await rows('target', `SELECT * FROM t_${name}`)).toEqual([]);
});

it('by the mirror', async () => {
  const refusal = await fixture()
    .mirror.drain('ant')
    .then(
      () => null,
      (error: Error) => error,
    );
  expect(refusal?.message).toMatch(/column /);
  expect(refusal?.message).not.toMatch(/secret|777|日本/);
});

it('a value that speaks of a column is not taken for one', () => {
  expect(columnIn("Data too long for column 'a`b' at row 12")).toBe('a`b');
  expect(columnIn("Incorrect integer value: 'for column 'x' at row 1' for column 'n' at row 1")).toBe('n');
  expect(columnIn("Column 'n' cannot be null")).toBe('n');
  expect(columnIn('Invalid JSON text: "Invalid value." at position 3 in value for column \'t.doc\'.')).toBe(
    't.doc',
  );
  expect(columnIn("Duplicate entry 'x' for key 'y'")).toBeNull();
});
