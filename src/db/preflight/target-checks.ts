/** The target: does it take the source's rows, and does nothing there change them? */
import type { Problem } from '../../domain/errors.ts';
import type { TablePlan } from '../../domain/plan.ts';
import type { Table } from '../catalog.ts';
import type { Database } from '../database.ts';
import { literal, qualified } from '../sql.ts';
import { TRIGGER_PREFIX } from '../triggers.ts';
import { describeDifferences } from './differences.ts';
import type { Found, Survey } from './survey.ts';
import { createIndex } from './table-checks.ts';

export async function targetTables({ plan, source, target }: Survey): Promise<Problem[]> {
  if (target === null) return [];
  const defaults = await readDefaults(
    target.db,
    target.schema,
    plan.tables.map(({ name }) => name),
  );
  return plan.tables.flatMap((tablePlan): Problem[] => {
    const { name } = tablePlan;
    const there = target.tables.get(name);
    const here = source?.tables.get(name);
    if (there === undefined) return target.hasSchema && here !== undefined ? [missing(target, name)] : [];
    if (here === undefined) return [];
    const keys = tablePlan.tenancy.kind === 'column' ? [tablePlan.tenancy.column] : [];
    return [
      ...describeDifferences(here, there, { defaults: defaults.get(name) ?? new Set(), keys }),
      ...indexesDiffer(tablePlan, here, there),
    ];
  });
}

function missing(target: Found, name: string): Problem {
  const relation = target.relations.get(name);
  return {
    field: `tables.${name}`,
    value: name,
    problem:
      relation === undefined ? 'is not on the target' : `is a ${relation.type.toLowerCase()} on the target`,
    remedy:
      relation === undefined ? 'run switchback install --target-schema' : 'make it a table on the target',
  };
}

/** Both sides read a window through the same index, by its name. */
function indexesDiffer({ tenancy }: TablePlan, source: Table, target: Table): Problem[] {
  if (tenancy.kind === 'shared' || tenancy.kind === 'schema') return [];
  return source.indexes
    .filter(({ columns, name }) => columns[0] === tenancy.column && name !== 'PRIMARY')
    .filter(
      ({ name, columns }) =>
        !target.indexes.some(
          (index) => index.name === name && index.columns.join('\0') === columns.join('\0'),
        ),
    )
    .map((index) => ({
      field: `target.${target.name}`,
      value: `${index.name} (${index.columns.join(', ')})`,
      problem: "is an index by which the tenant's rows are found, and the target lacks it",
      remedy:
        index.unique || index.prefixed
          ? 'create it as on the source'
          : createIndex(target, index.columns, index.name),
    }));
}

/** Columns that fill themselves, by table. */
export async function readDefaults(
  db: Database,
  schema: string,
  names: readonly string[],
): Promise<Map<string, Set<string>>> {
  const found = new Map<string, Set<string>>();
  if (names.length === 0) return found;
  const rows = await db.rows(
    `SELECT TABLE_NAME AS tbl, COLUMN_NAME AS name FROM information_schema.COLUMNS
     WHERE TABLE_SCHEMA = ${literal(schema)} AND TABLE_NAME IN (${names.map(literal).join(', ')})
       AND (COLUMN_DEFAULT IS NOT NULL OR EXTRA LIKE '%auto_increment%')`,
  );
  for (const row of rows) found.set(row['tbl']!, (found.get(row['tbl']!) ?? new Set()).add(row['name']!));
  return found;
}

/** Whatever writes on the target by itself would make it differ, or write twice. */
export async function nothingWrites({ plan, target }: Survey): Promise<Problem[]> {
  if (target === null) return [];
  const names = plan.tables.map(({ name }) => literal(name)).join(', ');
  const [triggers, events] = await Promise.all([
    target.db.rows(
      `SELECT TRIGGER_NAME AS name, EVENT_OBJECT_TABLE AS tbl FROM information_schema.TRIGGERS
       WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE IN (${names}) ORDER BY TRIGGER_NAME`,
      [target.schema],
    ),
    target.db.rows(
      `SELECT EVENT_NAME AS name FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ? AND STATUS = 'ENABLED' ORDER BY EVENT_NAME`,
      [target.schema],
    ),
  ]);
  return [
    ...triggers
      .filter((row) => !row['name']!.startsWith(TRIGGER_PREFIX))
      .map((row) => ({
        field: `target.${row['tbl']}`,
        value: row['name']!,
        problem: "is a trigger: what the source's trigger did would be done again",
        remedy: `DROP TRIGGER ${qualified(target.schema, row['name']!)} on the target, and create it again after promote`,
      })),
    ...events.map((row) => ({
      field: 'target.schema',
      value: row['name']!,
      problem: 'is an event that runs on the target',
      remedy: `ALTER EVENT ${qualified(target.schema, row['name']!)} DISABLE until the target is the authority`,
    })),
  ];
}
