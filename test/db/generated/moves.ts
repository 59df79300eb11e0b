/** What happens to generated tables: statements of an application, and steps of the migration between them. */
import fc from 'fast-check';

import type { Random } from '../protocol/random.ts';
import type { Table } from './shape.ts';

export const WRITES = [
  'insert',
  'insert',
  'insert',
  'update',
  'update',
  'delete',
  'key',
  'owner',
  'owner',
  'ref',
  'unique swap',
  'many',
] as const;
export const STEPS = ['mirror', 'window', 'window', 'unresolved', 'drain'] as const;

export interface Move {
  readonly what: (typeof WRITES)[number] | (typeof STEPS)[number];
  readonly table: number;
  readonly tenant: number;
  readonly draw: number;
}

export const moves: fc.Arbitrary<Move[]> = fc.array(
  fc.record({
    what: fc.constantFrom(...WRITES, ...STEPS),
    table: fc.nat(3),
    tenant: fc.nat(2),
    draw: fc.nat(1_000_000),
  }),
  { minLength: 40, maxLength: 80 },
);

/** Few, so that most handles have a row, and most children a parent. */
const REFS = 22;
const UNIQUES = 12;

export interface Scene {
  readonly random: Random;
  readonly tenants: readonly string[];
}

const text = (value: string): string => `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;

function ownerValue(table: Table, { random, tenants }: Scene): string[] {
  if (table.tenancy.kind === 'shared') return [];
  return table.parent === null ? [text(random.pick(tenants))] : [String(random.below(REFS))];
}

const ownerName = (table: Table): string[] =>
  table.tenancy.kind === 'shared' ? [] : [table.parent === null ? 'tenant' : 'above'];

const orNull = (value: string, random: Random): string => (random.chance(0.15) ? 'NULL' : value);

/** A transaction of an application; a statement that the server refuses (1062) rolls it back. */
export function writeSql(what: Move['what'], table: Table, scene: Scene): string[] {
  const { random } = scene;
  const { name, key, columns } = table;
  const ref = `ref = ${random.below(REFS)}`;
  const set = (parts: readonly string[], where = ref): string[] =>
    parts.length === 0 ? [] : [`UPDATE ${name} SET ${parts.join(', ')} WHERE ${where}`];
  const column = random.pick(columns);
  switch (what) {
    case 'insert':
      return [
        `INSERT INTO ${name} (${['ref', ...ownerName(table), ...[...key, ...columns].map((one) => one.name), ...(table.unique ? ['u0'] : [])].join(', ')})
         VALUES (${[
           String(random.below(REFS)),
           ...ownerValue(table, scene),
           ...key.map((one) => one.value(random)),
           ...columns.map((one) => orNull(one.value(random), random)),
           ...(table.unique ? [orNull(String(random.below(UNIQUES)), random)] : []),
         ].join(', ')})`,
      ];
    case 'update':
      return set([`${column.name} = ${orNull(column.value(random), random)}`]);
    case 'delete':
      return [`DELETE FROM ${name} WHERE ${ref}`];
    case 'key':
      return set(key.map((one) => `${one.name} = ${one.value(random)}`));
    case 'owner':
      return set(ownerValue(table, scene).map((value) => `${ownerName(table)[0]} = ${value}`));
    case 'ref':
      return set([`ref = ${random.below(REFS)}`]);
    case 'unique swap':
      return table.unique ? swapSql(name, random) : [];
    default:
      return set(
        [`${column.name} = ${orNull(column.value(random), random)}`],
        `ref % ${2 + random.below(3)} = 0`,
      );
  }
}

/** Values go around three rows, whoever they belong to. */
function swapSql(name: string, random: Random): string[] {
  const [a, b, c] = [random.below(UNIQUES), random.below(UNIQUES), random.below(UNIQUES)];
  return [
    `UPDATE ${name} SET u0 = 1000 WHERE u0 = ${a}`,
    `UPDATE ${name} SET u0 = ${a} WHERE u0 = ${b}`,
    `UPDATE ${name} SET u0 = ${b} WHERE u0 = ${c}`,
    `UPDATE ${name} SET u0 = ${c} WHERE u0 = 1000`,
  ];
}
