/** Windows are a partition: whatever the keys are and whoever writes meanwhile, a row is in exactly one. */
import fc from 'fast-check';
import { expect, it } from 'vitest';

import { readTables } from '../../src/db/catalog.ts';
import { ident, qualified } from '../../src/db/sql.ts';
import { onTarget, track, type TrackedTable } from '../../src/db/tenancy.ts';
import { cutter, type Bounds } from '../../src/db/windows.ts';
import { column, useFixture } from '../support/pair.ts';

const fixture = useFixture([]);

const quoted = (text: string): string => `'${text.replaceAll(/['\\]/g, (char) => `\\${char}`)}'`;
const int = (min: number, max: number) => fc.integer({ min, max }).map(String);
const hex = (size: number) =>
  fc
    .uint8Array({ minLength: size, maxLength: size })
    .map((bytes) => `X'${Buffer.from(bytes).toString('hex')}'`);
const two = (value: number): string => String(value).padStart(2, '0');
const day = fc
  .tuple(
    fc.integer({ min: 2020, max: 2024 }),
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 1, max: 31 }),
  )
  .map(([year, month, date]) => `${year}-${two(month)}-${two(date)}`);
const clock = fc
  .tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 999_999 }))
  .map(([hour, micros]) => `${two(hour)}:00:00.${String(micros).padStart(6, '0')}`);
const moment = fc.tuple(day, clock).map(([date, time]) => `'${date} ${time}'`);

/** Column type, and values of it as SQL: edges, holes, and values that repeat. */
const TYPES: Readonly<Record<string, fc.Arbitrary<string>>> = {
  INT: fc.oneof(int(-9, 9), fc.constantFrom('-2147483648', '2147483647')),
  BIGINT: fc.oneof(
    int(0, 30),
    int(0, 30).map((n) => `${n}000000000000`),
    int(-30, 0),
    fc.constant('-9223372036854775808'),
  ),
  'BIGINT UNSIGNED': fc.oneof(int(0, 9), fc.constantFrom('18446744073709551615', '18446744073709551614')),
  'DECIMAL(20,4)': fc.oneof(int(-5, 5), fc.constantFrom('0.0001', '-0.0001', '9999999999999999.9999')),
  'CHAR(36) CHARACTER SET latin1': fc.uuid().map(quoted),
  'BINARY(16)': hex(16),
  'VARBINARY(20)': fc.integer({ min: 0, max: 3 }).chain(hex),
  'VARCHAR(20) COLLATE utf8mb4_0900_ai_ci': fc.string({ maxLength: 3, unit: 'grapheme' }).map(quoted),
  'VARCHAR(20) COLLATE utf8mb4_bin': fc.constantFrom("'a'", "'a '", "'A'", "'ä'", "'😀'", "''", "'1:1'"),
  DATE: fc.oneof(day.map(quoted), fc.constantFrom("'0000-00-00'", "'2024-02-00'", "'9999-12-31'")),
  'DATETIME(6)': fc.oneof(moment, fc.constantFrom("'0000-00-00 00:00:00'", "'2023-02-31 00:00:00'")),
  'TIMESTAMP(3)': fc.oneof(moment, fc.constantFrom("'0000-00-00 00:00:00'", "'1970-01-01 00:00:01'")),
  'TIME(3)': fc.constantFrom("'-838:59:59'", "'00:00:00.001'", "'00:00:00'", "'12:00:00'"),
  YEAR: fc.constantFrom('0', '1901', '2000', '2155'),
  "ENUM('x','it''s','ä')": int(1, 3),
  "SET('x','y','z')": int(0, 7),
  'BIT(9)': int(0, 511),
};
const TIMES: Readonly<Record<string, fc.Arbitrary<string>>> = {
  DATE: fc.oneof(fc.constantFrom("'2024-01-01'", "'0000-00-00'"), day.map(quoted)),
  DATETIME: fc.oneof(fc.constantFrom("'2024-01-01'", "'0000-00-00'"), moment),
  'DATETIME(6)': fc.oneof(fc.constantFrom("'2024-01-01'", "'9999-12-31 23:59:59.999999'"), moment),
  'TIMESTAMP(2)': fc.oneof(fc.constantFrom("'2024-01-01'", "'0000-00-00'"), moment),
};

interface Case {
  readonly keys: readonly string[];
  readonly time: string | null;
  /** Does the key start with the tenant? */
  readonly leads: boolean;
  readonly rows: readonly (readonly string[])[];
  /** Written while the windows are cut: after which of them, and on which side. */
  readonly late: readonly {
    readonly row: readonly string[];
    readonly after: number;
    readonly side: 'source' | 'target';
  }[];
  readonly sizes: readonly number[];
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    keys: fc.array(fc.constantFrom(...Object.keys(TYPES)), { minLength: 1, maxLength: 3 }),
    time: fc.option(fc.constantFrom(...Object.keys(TIMES))),
    leads: fc.boolean(),
  })
  .chain(({ keys, time, leads }) => {
    const row = fc.tuple(
      fc.constantFrom("'ant'", "'ant'", "'bee'"),
      time === null ? fc.constant("'2000-01-01'") : TIMES[time]!,
      ...keys.map((key) => TYPES[key]!),
    );
    return fc.record({
      keys: fc.constant(keys),
      time: fc.constant(time),
      leads: fc.constant(leads),
      rows: fc.array(row, { minLength: 1, maxLength: 50 }),
      late: fc.array(
        fc.record({ row, after: fc.nat(8), side: fc.constantFrom('source' as const, 'target' as const) }),
        { maxLength: 15 },
      ),
      sizes: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 4 }),
    });
  });

async function create({ keys, time, leads }: Case): Promise<TrackedTable> {
  const { sql, pair } = fixture();
  const names = keys.map((_, index) => `k${index}`);
  const body = [
    'tenant_id VARCHAR(20) NOT NULL',
    `at ${time ?? 'DATE'} NOT NULL`,
    ...keys.map((type, index) => `k${index} ${type} NOT NULL`),
    `PRIMARY KEY (${[...(leads ? ['tenant_id'] : []), ...names].join(', ')})`,
    'KEY by_tenant (tenant_id)',
    'KEY by_time (tenant_id, at)',
  ];
  for (const side of ['source', 'target'] as const) {
    await sql(side, 'DROP TABLE IF EXISTS w');
    await sql(side, `CREATE TABLE w (${body.join(', ')}) CHARACTER SET utf8mb4`);
  }
  const [table] = await readTables(pair.source, pair.sourceSchema, ['w']);
  const plan = { id: 1, table: table!, tenancy: column(), time: time === null ? null : 'at' };
  return track(plan, new Map([['w', plan]]));
}

/** What is equal by key is one row: the later ones are left out. */
const insert = (side: 'source' | 'target', rows: readonly (readonly string[])[]): Promise<unknown> =>
  fixture().sql(side, `INSERT IGNORE INTO w VALUES ${rows.map((row) => `(${row.join(', ')})`).join(', ')}`);

async function check(given: Case): Promise<void> {
  const { pair } = fixture();
  const tracked = await create(given);
  for (const side of ['source', 'target'] as const) await insert(side, given.rows);
  const { cut, where, by, resume } = cutter(tracked, 'ant');
  expect(by).toBe(given.time === null ? 'key' : 'time');
  const windows: Bounds[] = [];
  let from: string | null = null;
  for (let n = 0; n < 500; n += 1) {
    const rows = given.sizes[n % given.sizes.length]!;
    const { to, index } = await cut(pair.source, from, rows);
    const window = { from, to };
    windows.push(window);
    const own = await count(tracked, `tenant_id = 'ant' AND ${where(window)}`, index);
    expect(own).toBeLessThanOrEqual(rows);
    for (const { row, side } of given.late.filter(({ after }) => after === n)) await insert(side, [row]);
    if (to === null) break;
    // The place of a pass is kept as JSON between two slices.
    from = resume((JSON.parse(JSON.stringify({ from: to })) as { from: string }).from);
    expect(from).not.toBeNull();
  }
  expect(windows.at(-1)!.to).toBeNull();
  for (const { row, side } of given.late) await insert(side, [row]);
  for (const side of [tracked, onTarget(tracked, pair.targetSchema)]) {
    const falls = windows.map((window) => `(${where(window)})`).join(' + ');
    const [odd] = await pair[side.side].rows(
      `SELECT COUNT(*) AS n FROM ${qualified(side.table.schema, 'w')} t WHERE ${falls} <> 1`,
    );
    expect([side.side, odd!['n']]).toEqual([side.side, '0']);
  }
}

async function count({ table }: TrackedTable, where: string, index: string): Promise<number> {
  const from = `${qualified(table.schema, table.name)} t FORCE INDEX (${ident(index)})`;
  const [row] = await fixture().pair.source.rows(`SELECT COUNT(*) AS n FROM ${from} WHERE ${where}`);
  return Number(row!['n']);
}

it('of random keys, types and sizes, with rows that come while they are cut', async () => {
  await fc.assert(fc.asyncProperty(cases, check), { numRuns: 60, endOnFailure: false });
}, 240_000);
