/** Statements of a trigger that journal rows of other tables than its own. */
import { UNRESOLVED } from '../domain/stage.ts';
import type { CascadeStep } from './cascade-paths.ts';
import { keySql } from './keys.ts';
import { ident, qualified, tenantLiteral } from './sql.ts';
import type { TrackedTable } from './tenancy.ts';

export interface Reached {
  /** From the table whose rows are journaled up to the one below the trigger's own. */
  readonly path: readonly CascadeStep[];
  readonly row: 'NEW' | 'OLD';
  /** SQL of the tenant's bytes, over `c0`, over the trigger's row, or over what `join` adds. */
  readonly owner: string;
  readonly join: string;
}

/**
 * Journals the rows that the trigger's row reaches, through a cursor: a cursor reads without locks, where
 * INSERT … SELECT would lock every child.
 *
 * @param then statements for when there was a row at all
 */
export function journalReached(
  { schema, control }: { readonly schema: string; readonly control: string },
  child: TrackedTable,
  { path, row, owner, join }: Reached,
  then = '',
): string {
  const from = path
    .map(({ table }, index) => {
      const name = `${qualified(schema, table)} c${index}`;
      if (index === 0) return name;
      const on = path[index - 1]!.columns.map(
        ([down, up]) => `c${index}.${ident(up)} = c${index - 1}.${ident(down)}`,
      );
      return `JOIN ${name} ON ${on.join(' AND ')}`;
    })
    .join(' ');
  const top = path.length - 1;
  const where = path[top]!.columns.map(([down, up]) => `c${top}.${ident(down)} = ${row}.${ident(up)}`);
  const insert = `INSERT INTO ${qualified(control, 'journal')} (tenant, table_id, row_key, parent_key) VALUES (IFNULL(owner, ${tenantLiteral(UNRESOLVED)}), ${child.id}, reached, NULL);`;
  const [count, after] =
    then === '' ? ['', ''] : ['SET hits = hits + 1; ', `IF hits > 0 THEN ${then}END IF; `];
  return `BEGIN DECLARE finished INT DEFAULT 0; ${then === '' ? '' : 'DECLARE hits INT DEFAULT 0; '}DECLARE reached VARBINARY(8192); DECLARE owner VARBINARY(1020); DECLARE found CURSOR FOR SELECT ${keySql(child.table, 'c0')}, ${owner} FROM ${from} ${join} WHERE ${where.join(' AND ')}; DECLARE CONTINUE HANDLER FOR NOT FOUND SET finished = 1; OPEN found; fetching: LOOP FETCH found INTO reached, owner; IF finished = 1 THEN LEAVE fetching; END IF; ${count}${insert} END LOOP; CLOSE found; ${after}END; `;
}
