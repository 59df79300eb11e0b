/** The statements of an installation, for its dry run: nothing of it has to stand already. */
import { captureSql } from '../db/capture.ts';
import { sourceControlSql, targetControlSql } from '../db/control.ts';
import { plannedTriggers } from '../db/planned-triggers.ts';
import { plansBySchema } from '../db/preflight/each-schema.ts';
import { qualified } from '../db/sql.ts';
import { planTargetSchema } from '../db/target-schema.ts';
import { homeOf, type Pair } from '../db/tracked.ts';
import { createTriggerSql } from '../db/triggers.ts';
import { DatabaseError } from '../domain/errors.ts';
import type { Plan } from '../domain/plan.ts';
import { tenantsWithSchemas } from '../domain/tenant-schema.ts';
import type { Statement } from './dry-run.ts';

export async function installSql(plan: Plan, pair: Pair, withTarget: boolean): Promise<Statement[]> {
  const tables: string[] = [];
  for (const one of withTarget ? plansBySchema(plan) : []) {
    const { schema, create } = await planTargetSchema(one, pair);
    tables.push(...(schema === null ? [] : [schema]), ...create.map(({ sql }) => sql));
  }
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
  const tenants = tenantsWithSchemas(plan);
  const numbers = await numbersOf(pair);
  const areNumbered = (tenants.length === 0 ? [''] : tenants).every((owner) =>
    plan.tables.every(
      ({ name, tenancy }) => numbers.get(placeOf(owner, name))?.tenancy === JSON.stringify(tenancy),
    ),
  );
  if (areNumbered) return captureSql(pair);
  const highest = Math.max(0, ...[...numbers.values()].map(({ id }) => id));
  let next = highest;
  const number = (owner: string, name: string): number => numbers.get(placeOf(owner, name))?.id ?? ++next;
  const statements: string[] = [];
  const places = tenants.length === 0 ? [''] : tenants;
  for (const home of places.map((tenant) => homeOf(pair, tenant))) {
    const triggers = await plannedTriggers(plan, home, (name) => number(home.owner ?? '', name));
    statements.push(...triggers.map((trigger) => createTriggerSql(home.sourceSchema, trigger)));
  }
  return statements;
}

const placeOf = (owner: string, table: string): string => `${owner}\0${table}`;

async function numbersOf(pair: Pair): Promise<Map<string, { id: number; tenancy: string }>> {
  try {
    const rows = await pair.source.rows(
      `SELECT id, owner, name, tenancy FROM ${qualified(pair.control, 'tracked_table')}`,
    );
    return new Map(
      rows.map((row) => [
        placeOf(row['owner']!, row['name']!),
        { id: Number(row['id']), tenancy: row['tenancy']! },
      ]),
    );
  } catch (error) {
    // Nothing is installed yet: unknown schema or table.
    if (error instanceof DatabaseError && (error.errno === 1049 || error.errno === 1146)) return new Map();
    throw error;
  }
}
