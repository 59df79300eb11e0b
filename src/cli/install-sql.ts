/** The statements of an installation, for its dry run: nothing of it has to stand already. */
import { captureSql } from '../db/capture.ts';
import { readForeignKeys, readTables } from '../db/catalog.ts';
import { sourceControlSql, targetControlSql } from '../db/control.ts';
import { qualified } from '../db/sql.ts';
import { planTargetSchema } from '../db/target-schema.ts';
import { track } from '../db/tenancy.ts';
import type { Pair } from '../db/tracked.ts';
import { createTriggerSql, planTriggers } from '../db/triggers.ts';
import { DatabaseError } from '../domain/errors.ts';
import type { Plan } from '../domain/plan.ts';

export interface Statement {
  readonly side: 'source' | 'target';
  readonly statement: string;
}

export async function installSql(plan: Plan, pair: Pair, withTarget: boolean): Promise<Statement[]> {
  const target = withTarget ? await planTargetSchema(plan, pair) : null;
  const tables = [
    ...(target?.schema ? [target.schema] : []),
    ...(target?.create.map(({ sql }) => sql) ?? []),
  ];
  return [
    ...tables.map((statement): Statement => ({ side: 'target', statement })),
    ...sourceControlSql(pair.control).map((statement): Statement => ({ side: 'source', statement })),
    ...targetControlSql(pair.control).map((statement): Statement => ({ side: 'target', statement })),
    ...(plan.capture === 'triggers' ? await triggerSql(plan, pair) : []).map((statement): Statement => ({
      side: 'source',
      statement,
    })),
  ];
}

/** Of what stands where every table has its number; else as they will be, numbers guessed. */
async function triggerSql(plan: Plan, pair: Pair): Promise<string[]> {
  const numbers = await numbersOf(pair);
  if (plan.tables.every(({ name, tenancy }) => numbers.get(name)?.tenancy === JSON.stringify(tenancy)))
    return captureSql(pair);
  const read = await readTables(
    pair.source,
    pair.sourceSchema,
    plan.tables.map(({ name }) => name),
  );
  let next = Math.max(0, ...[...numbers.values()].map(({ id }) => id));
  const plans = plan.tables.flatMap(({ name, tenancy, time }) => {
    const table = read.find((candidate) => candidate.name === name);
    return table === undefined ? [] : [{ id: numbers.get(name)?.id ?? ++next, table, tenancy, time }];
  });
  const byName = new Map(plans.map((one) => [one.table.name, one]));
  const foreignKeys = await readForeignKeys(pair.source, pair.sourceSchema);
  const otherNames = [...new Set(foreignKeys.flatMap((key) => [key.table, key.parent]))].filter(
    (name) => !byName.has(name),
  );
  const others = await readTables(pair.source, pair.sourceSchema, otherNames);
  const triggers = planTriggers({
    schema: pair.sourceSchema,
    control: pair.control,
    tables: plans.map((one) => track(one, byName)),
    foreignKeys,
    others: new Map(others.map((table) => [table.name, table])),
  });
  return triggers.map((trigger) => createTriggerSql(pair.sourceSchema, trigger));
}

async function numbersOf(pair: Pair): Promise<Map<string, { id: number; tenancy: string }>> {
  try {
    const rows = await pair.source.rows(
      `SELECT id, name, tenancy FROM ${qualified(pair.control, 'tracked_table')}`,
    );
    return new Map(rows.map((row) => [row['name']!, { id: Number(row['id']), tenancy: row['tenancy']! }]));
  } catch (error) {
    // Nothing is installed yet: unknown schema or table.
    if (error instanceof DatabaseError && (error.errno === 1049 || error.errno === 1146)) return new Map();
    throw error;
  }
}
