/** Foreign keys that leave a tenant's schema, or come into it. */
import type { Problem } from '../../domain/errors.ts';
import type { Survey } from './survey.ts';

/** A tenant moves with its own schema alone: on the target, the other schema is another one, or is not there. */
export async function outsideKeys({ plan, source }: Survey): Promise<Problem[]> {
  if (source === null || plan.tables.every(({ tenancy }) => tenancy.kind !== 'schema')) return [];
  const rows = await source.db.rows(
    `SELECT CONSTRAINT_NAME AS name, TABLE_SCHEMA AS child_schema, TABLE_NAME AS child, REFERENCED_TABLE_SCHEMA AS parent_schema, REFERENCED_TABLE_NAME AS parent
     FROM information_schema.KEY_COLUMN_USAGE
     WHERE ORDINAL_POSITION = 1 AND REFERENCED_TABLE_SCHEMA <> TABLE_SCHEMA AND (TABLE_SCHEMA = ? OR REFERENCED_TABLE_SCHEMA = ?)
     ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME`,
    [source.schema, source.schema],
  );
  return rows.map((row) => {
    const isOurs = row['child_schema'] === source.schema;
    return {
      field: `tables.${isOurs ? row['child'] : row['parent']}`,
      value: row['name'] ?? '',
      problem: isOurs
        ? `is a foreign key to ${row['parent_schema']}.${row['parent']}, outside the tenant's schema`
        : `is a foreign key from ${row['child_schema']}.${row['child']}, outside the tenant's schema`,
      remedy: "drop it: a tenant's schema moves alone",
    };
  });
}
