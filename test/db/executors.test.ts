/** Two executors, one answer: the same rows differ, in the same columns, whichever of them looks. */
import fc from 'fast-check';
import { createConnection } from 'mysql2/promise';
import { describe, expect, it } from 'vitest';

import { readTables, storedColumns } from '../../src/db/catalog.ts';
import type { Executor } from '../../src/db/executor.ts';
import { SQL_EXECUTOR } from '../../src/db/executor-sql.ts';
import { streamExecutor } from '../../src/db/executor-stream.ts';
import { chooseExecutors } from '../../src/db/executors.ts';
import { canonicalJson } from '../../src/db/json-canonical.ts';
import { keySql } from '../../src/db/keys.ts';
import { qualified } from '../../src/db/sql.ts';
import type { TrackedTable } from '../../src/db/tenancy.ts';
import { column, useFixture } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';
import { quoted, zooOf, type Species } from './zoo.ts';

const fixture = useFixture(['CREATE TABLE seed (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL)']);
const SPECIES = zooOf('mysql');

type Row = Readonly<Record<string, number | null>>;
type Rows = ReadonlyMap<number, Row>;

interface Case {
  readonly species: readonly Species[];
  readonly source: Rows;
  readonly target: Rows;
}

/** Rows of value numbers; the target has some of them changed, some not, some more. */
const cases: fc.Arbitrary<Case> = fc
  .subarray(SPECIES, { minLength: 1, maxLength: 6 })
  .chain((species) => {
    const row = fc.record(
      Object.fromEntries(species.map(({ name, values }) => [name, fc.option(fc.nat(values.length - 1))])),
    );
    const rows = (maxLength: number, from: number) =>
      fc
        .array(row, { minLength: 1, maxLength })
        .map((all) => new Map(all.map((one, index): [number, Row] => [from + index, one])));
    return fc.record({
      species: fc.constant(species),
      source: rows(12, 1),
      changed: fc.dictionary(fc.integer({ min: 1, max: 12 }).map(String), row, { maxKeys: 3 }),
      deleted: fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 2 }),
      extra: fc.option(rows(2, 100)),
    });
  })
  .map(({ species, source, changed, deleted, extra }) => {
    const target = new Map([...source, ...(extra ?? [])]);
    for (const [id, row] of Object.entries(changed)) if (target.has(Number(id))) target.set(Number(id), row);
    for (const id of deleted) target.delete(id);
    return { species, source, target };
  });

/** Differing columns by key; null: the row is on one side only. */
function expected({ species, source, target }: Case): Map<number, readonly string[] | null> {
  const found = new Map<number, readonly string[] | null>();
  for (const id of new Set([...source.keys(), ...target.keys()])) {
    const [here, there] = [source.get(id), target.get(id)];
    if (here === undefined || there === undefined) found.set(id, null);
    else {
      const names = species.map(({ name }) => name).filter((name) => here[name] !== there[name]);
      if (names.length > 0) found.set(id, names);
    }
  }
  return found;
}

async function fill(url: string, table: string, { species }: Case, rows: Rows): Promise<void> {
  const connection = await createConnection(url);
  await connection.query("SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES'");
  const columns = species.map(({ name, declared }) => `${quoted(name)} ${declared}`);
  await connection.query(`CREATE TABLE ${table} (id INT PRIMARY KEY, ${columns.join(', ')})`);
  const value = ({ name, values }: Species, row: Row): string => {
    const index = row[name] ?? null;
    return index === null ? 'NULL' : values[index]!;
  };
  for (const [id, row] of rows)
    await connection.query(
      `INSERT INTO ${table} VALUES (${[id, ...species.map((one) => value(one, row))].join(', ')})`,
    );
  await connection.end();
}

async function seenBy(executor: Executor, sides: readonly [TrackedTable, TrackedTable]) {
  const { pair } = fixture();
  const read = async (side: TrackedTable) => {
    const rows = (select: string): string =>
      `SELECT ${select} FROM ${qualified(side.table.schema, side.table.name)} t`;
    const db = pair[side.side];
    const beside = [keySql(side.table, 't'), 't.id'];
    const whole = await executor.hashes(db, side, { rows, beside, parts: 'row' });
    const parts = await executor.hashes(db, side, { rows, beside, parts: 'columns' });
    return {
      digest: await executor.digest(db, side, rows),
      whole: new Map(whole.map((row) => [Number(row.beside[1]), row.hashes[0]!])),
      parts: new Map(parts.map((row) => [Number(row.beside[1]), row.hashes])),
    };
  };
  const [source, target] = [await read(sides[0]), await read(sides[1])];
  const names = storedColumns(sides[0].table).map(({ name }) => name);
  const found = new Map<number, readonly string[] | null>();
  for (const id of new Set([...source.whole.keys(), ...target.whole.keys()])) {
    if (source.whole.get(id) === target.whole.get(id)) continue;
    const [here, there] = [source.parts.get(id), target.parts.get(id)];
    found.set(
      id,
      here === undefined || there === undefined
        ? null
        : names.filter((_, index) => here[index] !== there[index]),
    );
  }
  return { found, equal: JSON.stringify(source.digest) === JSON.stringify(target.digest) };
}

let run = 0;
it('both find the same seeded differences, in any set of columns', async () => {
  const { pair } = fixture();
  await fixture().install({ seed: column() });
  const like = fixture().tracked.all()[0]!;
  await fc.assert(
    fc.asyncProperty(cases, async (one) => {
      const name = `case_${(run += 1)}`;
      const place = qualified(pair.sourceSchema, name);
      await fill(stackInfo().sourceUrl, place, one, one.source);
      await fill(stackInfo().targetUrl, place, one, one.target);
      const [table] = await readTables(pair.source, pair.sourceSchema, [name]);
      const sides = [
        { ...like, side: 'source', table: table! },
        { ...like, side: 'target', table: table! },
      ] as const;
      const truth = expected(one);
      const stored = storedColumns(table!);
      for (const executor of [SQL_EXECUTOR, streamExecutor({ source: stored, target: stored })])
        expect([executor.name, await seenBy(executor, sides)]).toEqual([
          executor.name,
          { found: truth, equal: truth.size === 0 },
        ]);
      for (const side of ['source', 'target'] as const) await fixture().sql(side, `DROP TABLE ${name}`);
    }),
    { numRuns: 15 },
  );
}, 120_000);

describe('one JSON value', () => {
  // prettier-ignore
  it.each([
    ['key order and spaces', '{"b": 1, "a": [1, {}]}', '{"a":[1,{ }],"b":1}'],
    ['equal keys: the last one', '{"a": 1, "b": 0, "a": 2}', '{"a": 2, "b": 0}'],
    ['escapes', '"\\u00e9\\/\\n\\ud83d\\ude00"', '"é/\\u000a😀"'],
    ['exponents', '1e2', '100.0'],
    ['an integer beyond 64 bits is a double', '18446744073709551616', '1.8446744073709552e19'],
    ['-0 without a fraction is the integer 0', '-0', '0'],
  ])('%s', (_, one, other) => expect(canonicalJson(one)).toEqual(canonicalJson(other)));

  // prettier-ignore
  it.each([
    ['1', '1.0'], ['0', '-0.0'], ['18446744073709551615', '18446744073709551614'], ['9007199254740993', '9007199254740992'], ['"1"', '1'], ['null', '"null"'], ['[]', '{}'],
    ['[1,2]', '[2,1]'], ['[[1],2]', '[[1,2]]'], ['{"a":"b","c":""}', '{"a":"bc","":""}'], ['["a","b"]', '["a\\",\\"b"]'], ['[12]', '[1,2]'], ['{"a":null}', '{}'],
  ])('%s is not %s', (one, other) => expect(canonicalJson(one)).not.toEqual(canonicalJson(other)));

  it.each(['', '{', '[1,]', '{"a"}', '01', '1 2', "'a'", 'nul', '{"a":1,}', '"\u0001"'])(
    '%j is none',
    (text) => expect(() => canonicalJson(text)).toThrow(),
  );
});

describe('the choice', () => {
  it('is SQL between two servers that print alike, whatever the columns', async () => {
    const { pair, sql } = fixture();
    await sql('source', 'CREATE TABLE plain (id INT PRIMARY KEY, d DOUBLE, js JSON, g GEOMETRY)');
    const tables = await readTables(pair.source, pair.sourceSchema, ['plain']);
    expect(await chooseExecutors(pair, tables, tables)).toEqual([
      { table: 'plain', executor: 'sql', why: null },
    ]);
  });

  it('is the stream where one side holds JSON as text', async () => {
    const { pair, sql } = fixture();
    await sql('source', 'CREATE TABLE mixed (id INT PRIMARY KEY, js JSON)');
    await sql('target', 'CREATE TABLE mixed (id INT PRIMARY KEY, js LONGTEXT)');
    const [here, there] = [
      await readTables(pair.source, pair.sourceSchema, ['mixed']),
      await readTables(pair.target, pair.targetSchema, ['mixed']),
    ];
    expect(await chooseExecutors(pair, here, there)).toEqual([
      { table: 'mixed', executor: 'stream', why: 'js: it is JSON on one side only' },
    ]);
  });
});
