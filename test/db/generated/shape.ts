/** Random tables: what fast-check draws, and the SQL that it means. Shares nothing with the product. */
import fc from 'fast-check';

import type { Tenancy } from '../../../src/domain/plan.ts';
import type { Random } from '../protocol/random.ts';

interface Kind {
  readonly sql: string;
  /** A literal. */
  readonly value: (random: Random) => string;
  /** How the checker reads it: text that says the whole value. */
  readonly read: (column: string) => string;
}

const plain = (column: string): string => column;
const hex = (column: string): string => `HEX(${column})`;
const WORDS = ["''", "'a'", "'A '", "'ä😀'", "'o''hara'", String.raw`'back\\slash'`, "'%_'", "'zz top'"];
const word = (random: Random): string => random.pick(WORDS);
const two = (n: number): string => String(n).padStart(2, '0');
const date = (random: Random): string =>
  `20${two(random.below(60))}-${two(1 + random.below(12))}-${two(1 + random.below(28))}`;

// prettier-ignore
const KINDS: Readonly<Record<string, Kind>> = {
  int: { sql: 'INT', value: (r) => String(r.below(2_000) - 1_000), read: plain },
  big: { sql: 'BIGINT UNSIGNED', value: (r) => r.pick(['0', '18446744073709551615', String(r.below(1_000))]), read: plain },
  decimal: { sql: 'DECIMAL(20,6)', value: (r) => `${r.below(9_999)}.${r.below(999_999)}`, read: plain },
  double: { sql: 'DOUBLE', value: (r) => r.pick(['0.1e0', '-1e300', '1e-300', String(r.below(99) / 7)]), read: plain },
  varchar: { sql: 'VARCHAR(40) COLLATE utf8mb4_0900_ai_ci', value: word, read: hex },
  latin: { sql: 'VARCHAR(40) CHARACTER SET latin1', value: (r) => r.pick(["'a'", "'é'", "''"]), read: hex },
  text: { sql: 'TEXT', value: word, read: hex },
  bytes: { sql: 'VARBINARY(16)', value: (r) => r.pick(["''", "X'00ff'", "X'27'", "X'5c0a0d1a'"]), read: hex },
  blob: { sql: 'BLOB', value: (r) => r.pick(["''", "X'0000'", `REPEAT('x', ${r.below(3_000)})`]), read: hex },
  datetime: { sql: 'DATETIME(6)', value: (r) => `'${date(r)} 10:00:0${r.below(10)}.${r.below(999_999)}'`, read: plain },
  timestamp: { sql: 'TIMESTAMP(3) NULL', value: (r) => `'20${two(r.below(37))}-01-02 03:04:05.${r.below(999)}'`, read: plain },
  date: { sql: 'DATE', value: (r) => `'${date(r)}'`, read: plain },
  time: { sql: 'TIME(3)', value: (r) => r.pick(["'-838:59:59'", "'12:00:00.125'", "'00:00:00'"]), read: plain },
  json: { sql: 'JSON', value: (r) => r.pick(["'null'", `'{"a": ${r.below(99)}, "b": [1, "x"]}'`, "'9007199254740993'"]), read: (c) => `HEX(CAST(${c} AS CHAR))` },
  label: { sql: "ENUM('x','Y','ä')", value: (r) => r.pick(["'x'", "'Y'", "'ä'"]), read: (c) => `${c} + 0` },
  bits: { sql: 'BIT(9)', value: (r) => String(r.below(512)), read: (c) => `${c} + 0` },
};

/** Columns of a primary key beside the row's handle; values meet often, so that keys move onto each other. */
// prettier-ignore
const KEYS: Readonly<Record<string, readonly Kind[]>> = {
  integer: [{ sql: 'INT', value: (r) => String(r.below(60)), read: plain }],
  text: [{ sql: 'VARCHAR(20) COLLATE utf8mb4_0900_ai_ci', value: (r) => r.pick([`'k${r.below(40)}'`, `'K${r.below(40)}'`]), read: hex }],
  uuid: [{ sql: 'BINARY(16)', value: (r) => `UNHEX(LEFT(SHA2('${r.below(60)}', 256), 32))`, read: hex }],
  composite: [
    { sql: 'SMALLINT UNSIGNED', value: (r) => String(r.below(6)), read: plain },
    { sql: 'VARCHAR(10) COLLATE utf8mb4_bin', value: (r) => r.pick(["'a'", "'A'", `'é${r.below(9)}'`]), read: hex },
  ],
};

export interface TableShape {
  readonly key: string;
  readonly columns: readonly string[];
  readonly unique: boolean;
  /** `parent` falls back to `column` where there is none above. */
  readonly tenancy: 'column' | 'parent' | 'shared';
  readonly above: number;
  /** Does the key begin with the tenant, does an index, or does only the plain index on it? */
  readonly index: 'key' | 'both' | 'plain';
}

export const tableShape: fc.Arbitrary<TableShape> = fc.record({
  key: fc.constantFrom(...Object.keys(KEYS)),
  columns: fc.array(fc.constantFrom(...Object.keys(KINDS)), { minLength: 1, maxLength: 6 }),
  unique: fc.boolean(),
  tenancy: fc.constantFrom(
    'parent' as const,
    'parent' as const,
    'parent' as const,
    'column' as const,
    'shared' as const,
  ),
  above: fc.nat(3),
  index: fc.constantFrom('key' as const, 'both' as const, 'plain' as const),
});

export interface Column extends Kind {
  readonly name: string;
}

export interface Table {
  readonly name: string;
  readonly key: readonly Column[];
  readonly columns: readonly Column[];
  readonly unique: boolean;
  readonly tenancy: Tenancy;
  /** The table above, for `parent`. */
  readonly parent: Table | null;
  readonly create: string;
}

const TENANT = 'VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin';

/** Every row has a handle, `ref`: the test finds it by that, and children refer to it. */
export function tablesOf(shapes: readonly TableShape[]): Table[] {
  const tables: Table[] = [];
  shapes.forEach((drawn, index) => {
    // Most schemas hang on one table.
    const shape =
      index === 0 && drawn.tenancy === 'shared' && shapes.length > 1
        ? { ...drawn, tenancy: 'column' as const }
        : drawn;
    const above = tables.filter(({ tenancy }) => tenancy.kind !== 'shared');
    const parent = shape.tenancy === 'parent' && above.length > 0 ? above[shape.above % above.length]! : null;
    tables.push(tableOf(`t${index}`, shape, parent));
  });
  return tables;
}

function tableOf(name: string, shape: TableShape, parent: Table | null): Table {
  const key = KEYS[shape.key]!.map((kind, index) => ({ ...kind, name: `k${index}` }));
  const columns = shape.columns.map((kind, index) => ({ ...KINDS[kind]!, name: `c${index}` }));
  const isShared = shape.tenancy === 'shared';
  const owner = isShared ? null : parent === null ? 'tenant' : 'above';
  const leads = owner === 'tenant' && shape.index === 'key';
  const keyNames = [...(leads ? ['tenant'] : []), ...key.map((column) => column.name)];
  const parts = [
    'ref INT NOT NULL',
    ...(owner === null ? [] : [`${owner} ${owner === 'tenant' ? TENANT : 'INT'} NOT NULL`]),
    ...key.map((column) => `${column.name} ${column.sql} NOT NULL`),
    ...columns.map((column) => `${column.name} ${column.sql}`),
    ...(shape.unique ? ['u0 INT NULL', 'UNIQUE KEY by_u (u0)'] : []),
    `PRIMARY KEY (${keyNames.join(', ')})`,
    'UNIQUE KEY by_ref (ref)',
    ...(owner === null
      ? []
      : [
          `KEY by_owner (${[owner, ...(shape.index === 'both' ? key.map((column) => column.name) : [])].join(', ')})`,
        ]),
  ];
  const tenancy: Tenancy = isShared
    ? { kind: 'shared' }
    : parent === null
      ? { kind: 'column', column: 'tenant' }
      : { kind: 'parent', parent: parent.name, column: 'above', references: 'ref' };
  return {
    name,
    key,
    columns,
    unique: shape.unique,
    tenancy,
    parent,
    create: `CREATE TABLE ${name} (${parts.join(', ')})`,
  };
}

/** SQL of the row's tenant, by joins of the test's own; NULL for an orphan. */
export function ownerSql(table: Table): { readonly owner: string; readonly joins: string } {
  if (table.tenancy.kind === 'shared') return { owner: "'_shared'", joins: '' };
  let joins = '';
  let [here, depth] = ['r', 0];
  for (let at: Table = table; at.parent !== null; at = at.parent) {
    joins += ` LEFT JOIN ${at.parent.name} a${depth} ON a${depth}.ref = ${here}.above`;
    here = `a${depth}`;
    depth += 1;
  }
  return { owner: `${here}.tenant`, joins };
}
