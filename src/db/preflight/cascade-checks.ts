/** A foreign key's action fires no trigger on the child; capture stands on the parents, which must be within its reach. */
import type { Problem } from '../../domain/errors.ts';
import { cascadeTree } from '../cascade-paths.ts';
import { cascadeGraph, tooMany } from '../cascades.ts';
import { readForeignKeys } from '../catalog.ts';
import type { TextRow } from '../database.ts';
import type { Survey } from './survey.ts';

export async function cascades({ plan, source }: Survey): Promise<Problem[]> {
  if (source === null) return [];
  const [acting, foreignKeys] = await Promise.all([
    source.db.rows(
      `SELECT k.TABLE_NAME AS tbl, k.CONSTRAINT_NAME AS name, k.REFERENCED_TABLE_SCHEMA AS parent_schema, k.REFERENCED_TABLE_NAME AS parent
       FROM information_schema.KEY_COLUMN_USAGE k
       JOIN information_schema.REFERENTIAL_CONSTRAINTS r
         ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
       WHERE k.TABLE_SCHEMA = ? AND k.ORDINAL_POSITION = 1 AND k.REFERENCED_TABLE_NAME IS NOT NULL
         AND (r.DELETE_RULE IN ('CASCADE', 'SET NULL') OR r.UPDATE_RULE IN ('CASCADE', 'SET NULL'))`,
      [source.schema],
    ),
    readForeignKeys(source.db, source.schema),
  ]);
  const reaching = reachingTables(
    plan.tables.map(({ name }) => name),
    acting,
    source.schema,
  );
  const outside = acting
    .filter((row) => reaching.has(row['tbl']!))
    .filter((row) => {
      const relation = source.relations.get(row['parent'] ?? '');
      return row['parent_schema'] !== source.schema || relation?.engine !== 'InnoDB';
    })
    .map((row) => ({
      field: `tables.${row['tbl']}`,
      value: row['name'] ?? '',
      problem: `cascades from ${row['parent_schema']}.${row['parent']}, where capture cannot stand`,
      remedy: 'change the foreign key to RESTRICT or NO ACTION',
    }));
  const graph = cascadeGraph(foreignKeys, plan.tables);
  const endless = [...new Set(foreignKeys.map((key) => key.parent))]
    .filter((parent) =>
      [cascadeTree(graph, parent, 'DELETE'), cascadeTree(graph, parent, 'UPDATE')].includes(null),
    )
    .map((parent) => {
      const [problem, remedy] = tooMany.split('; ') as [string, string];
      return { field: `tables.${parent}`, value: parent, problem, remedy };
    });
  return [...outside, ...endless];
}

/** Tables of the plan, and those from which an action may reach one of them. */
function reachingTables(names: readonly string[], acting: readonly TextRow[], schema: string): Set<string> {
  const reaching = new Set(names);
  for (let size = 0; size < reaching.size;) {
    size = reaching.size;
    for (const row of acting)
      if (reaching.has(row['tbl']!) && row['parent_schema'] === schema) reaching.add(row['parent']!);
  }
  return reaching;
}
