/** The source's tables: can they be captured, copied and compared? */
import type { Problem } from '../../domain/errors.ts';
import type { TablePlan } from '../../domain/plan.ts';
import { nearest } from '../../domain/nearest.ts';
import type { Column, Index, Table } from '../catalog.ts';
import { kindOf } from '../kinds.ts';
import { ident, qualified } from '../sql.ts';
import { timeRefusal } from '../time-windows.ts';
import type { Found, Survey } from './survey.ts';

export const columnNamed = (table: Table, name: string): Column | null =>
  table.columns.find((column) => column.name === name) ?? null;

/** Runs a check on every table of the plan that the source has. */
const onTables =
  (check: (plan: TablePlan, table: Table, source: Found) => Problem[]) =>
  ({ plan, source }: Survey): Problem[] =>
    source === null
      ? []
      : plan.tables.flatMap((tablePlan) => {
          const table = source.tables.get(tablePlan.name);
          return table === undefined ? [] : check(tablePlan, table, source);
        });

export function tablesExist({ plan, source }: Survey): Problem[] {
  if (source === null || !source.hasSchema) return [];
  return plan.tables.flatMap(({ name }): Problem[] => {
    const field = `tables.${name}`;
    const relation = source.relations.get(name);
    if (relation === undefined) {
      const hint = nearest(name, [...source.relations.keys()]);
      const remedy = hint === null ? 'correct the name, or take it out of the plan' : `did you mean ${hint}?`;
      return [{ field, value: name, problem: `is not in the source's schema ${source.schema}`, remedy }];
    }
    if (relation.type !== 'BASE TABLE') {
      const remedy = 'name the tables under it instead';
      return [
        { field, value: name, problem: `is a ${relation.type.toLowerCase()}, not a base table`, remedy },
      ];
    }
    if (relation.engine === 'InnoDB') return [];
    const remedy = `ALTER TABLE ${qualified(source.schema, name)} ENGINE=InnoDB`;
    return [{ field, value: relation.engine, problem: 'has an engine without transactions', remedy }];
  });
}

/** Types whose text does not name one value on every server. */
const UNFIT_KEYS = new Set(['float', 'double', 'json', 'geometry']);
/** MariaDB sorts them by their bytes, MySQL their text: a range of keys would hold other rows on either side. */
const UNFIT_TYPES = new Set(['uuid', 'inet4', 'inet6']);

export const primaryKeys = onTables(({ name }, table, { schema }) => {
  const field = `tables.${name}`;
  const index = table.indexes.find((candidate) => candidate.name === 'PRIMARY');
  if (index === undefined) {
    const remedy = `ALTER TABLE ${qualified(schema, name)} ADD PRIMARY KEY (…)`;
    return [{ field, value: name, problem: 'has no primary key, so its rows cannot be told apart', remedy }];
  }
  if (index.prefixed) {
    const remedy = 'make the primary key of whole columns';
    return [
      { field, value: index.columns.join(', '), problem: 'is a primary key of column prefixes', remedy },
    ];
  }
  return table.primary
    .filter((column) => UNFIT_KEYS.has(kindOf(column) ?? '') || UNFIT_TYPES.has(column.type))
    .map((column) => ({
      field: `${field}.${column.name}`,
      value: column.declared,
      problem: 'is no type for a primary key that two servers must agree on',
      remedy: 'use an integer, a text, binary bytes or a DECIMAL',
    }));
});

/**
 * A value that moves from row to row is followed by the unique key that it is in; of a prefix or an expression
 * the holder of a value can't be found by an index, and the mirror of both rows would wait for ever.
 */
export const uniqueKeys = onTables(({ name }, table) =>
  table.indexes
    .filter((index) => index.unique && index.prefixed && index.name !== 'PRIMARY')
    .map((index) => {
      const isExpression = index.columns.includes('');
      return {
        field: `tables.${name}`,
        value: index.name,
        problem: `is a unique key of ${isExpression ? 'an expression' : 'column prefixes'}: who holds a value that moves cannot be found`,
        remedy: isExpression
          ? 'make the expression a generated column, and the key one of that column'
          : 'make it a key of whole columns, or of a generated column that holds the prefix',
      };
    }),
);

export const columnKinds = onTables(({ name }, table) =>
  table.columns
    .filter((column) => kindOf(column) === null)
    .map((column) => ({
      field: `tables.${name}.${column.name}`,
      value: column.declared,
      problem: 'has a type that this version cannot move',
      remedy: 'change its type, or leave the table out of the plan',
    })),
);

/** An index that finds rows by this column; a prefix of an integer cannot be, so only text is in doubt. */
export const leadsWith = (index: Index, column: Column): boolean =>
  index.columns[0] === column.name && !(index.prefixed && column.characters !== null);

export function createIndex(
  table: Table,
  columns: readonly string[],
  name = `switchback_${columns.join('_')}`.slice(0, 64),
): string {
  const on = `${qualified(table.schema, table.name)} (${columns.map(ident).join(', ')})`;
  return `CREATE INDEX ${ident(name)} ON ${on} ALGORITHM=INPLACE LOCK=NONE`;
}

export const timeColumns = onTables(({ name, time, tenancy }, table) => {
  if (time === null || (tenancy.kind === 'column' && columnNamed(table, tenancy.column) === null)) return [];
  const refused = timeRefusal(table, tenancy, time);
  if (refused === null) return [];
  const remedy =
    columnNamed(table, time) === null
      ? hintFor(table, time)
      : refused.index === null
        ? 'take it out: windows are then cut by key'
        : createIndex(table, refused.index);
  return [{ field: `tables.${name}.time`, value: time, problem: refused.problem, remedy }];
});

export function hintFor(table: Table, name: string): string {
  const names = table.columns.map((column) => column.name);
  const hint = nearest(name, names);
  return hint === null
    ? `columns of ${table.name}: ${names.slice(0, 20).join(', ')}`
    : `did you mean ${hint}?`;
}
