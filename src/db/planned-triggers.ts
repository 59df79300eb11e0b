/** The triggers of a plan before anything is installed, and which columns they read: a write fails where one is gone. */
import type { Plan } from '../domain/plan.ts';
import { readForeignKeys, readTables } from './catalog.ts';
import { track } from './tenancy.ts';
import type { Home } from './tracked.ts';
import { planTriggers, type Trigger } from './triggers.ts';

/** @param number that a table of the plan has, or will have */
export async function plannedTriggers(
  plan: Plan,
  home: Home,
  number: (table: string) => number,
): Promise<Trigger[]> {
  const read = await readTables(
    home.source,
    home.sourceSchema,
    plan.tables.map(({ name }) => name),
  );
  const plans = plan.tables.flatMap(({ name, tenancy, time }) => {
    const table = read.find((candidate) => candidate.name === name);
    return table === undefined ? [] : [{ id: number(name), table, tenancy, time }];
  });
  const byName = new Map(plans.map((one) => [one.table.name, one]));
  return planTriggers({
    schema: home.sourceSchema,
    control: home.control,
    tables: plans.map((one) => track(one, byName, home.owner)),
    foreignKeys: await readForeignKeys(home.source, home.sourceSchema),
  });
}

export interface ColumnsRead {
  readonly table: string;
  readonly columns: readonly string[];
}

/** Tables and columns by name. As the SQL itself says it: nothing else knows all that a trigger looks up. */
export function columnsRead(triggers: readonly Pick<Trigger, 'table' | 'body'>[]): ColumnsRead[] {
  const found = new Map<string, Set<string>>();
  for (const trigger of triggers) {
    for (const statement of statementsOf(trigger.body)) {
      const aliases = new Map(statement.tables.map(({ alias, table }) => [alias, table]));
      for (const { alias, column } of statement.columns) {
        const table = aliases.get(alias) ?? trigger.table;
        found.set(table, (found.get(table) ?? new Set()).add(column));
      }
    }
  }
  return [...found]
    .map(([table, columns]) => ({ table, columns: [...columns].sort() }))
    .sort((a, b) => (a.table < b.table ? -1 : 1));
}

const NAME = '`((?:[^`]|``)*)`';
/** A table with its alias, a column with its alias or OLD or NEW, or the end of a statement. */
const WORDS = new RegExp(`${NAME}\\.${NAME} ([cp]\\d+)\\b|\\b(OLD|NEW|[cp]\\d+)\\.${NAME}|;`, 'g');

interface Read {
  readonly tables: { readonly alias: string; readonly table: string }[];
  readonly columns: { readonly alias: string; readonly column: string }[];
}

function statementsOf(body: string): Read[] {
  const statements: Read[] = [{ tables: [], columns: [] }];
  for (const [word, , table, of, alias, column] of body.matchAll(WORDS)) {
    const { tables, columns } = statements.at(-1)!;
    if (of !== undefined) tables.push({ alias: of, table: plain(table!) });
    else if (alias !== undefined) columns.push({ alias, column: plain(column!) });
    else if (word === ';') statements.push({ tables: [], columns: [] });
  }
  return statements;
}

const plain = (name: string): string => name.replaceAll('``', '`');
