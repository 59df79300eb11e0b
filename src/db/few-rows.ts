/**
 * A tenant with few rows in a table that is its own through parents: they are read from the parents down, all
 * at once, where windows of the key would walk through everybody's rows to find them.
 */
import type { Database, Session } from './database.ts';
import { ident, qualified } from './sql.ts';
import { joinChain, ownedBy, type TrackedTable } from './tenancy.ts';

/**
 * @param most rows that may be read at once
 * @returns the index on the column that leads to the parent; null: the rows are too many, or no index leads to them
 */
export async function fewThroughParents(
  source: Pick<Database | Session, 'rows'>,
  tracked: TrackedTable,
  tenant: string,
  most: number,
): Promise<string | null> {
  const { table, tenancy } = tracked;
  if (tenancy.kind !== 'parent') return null;
  const index = table.indexes.find(({ columns, prefixed }) => !prefixed && columns[0] === tenancy.column);
  if (index === undefined) return null;
  const rows = `SELECT 1 FROM ${qualified(table.schema, table.name)} t FORCE INDEX (${ident(index.name)}) ${joinChain(tracked, 't', 'JOIN')} WHERE ${ownedBy(tracked, 't', tenant)}`;
  // Parents without children are read as well, so that a bound of what is found would bound nothing.
  const plan = await source.rows(`EXPLAIN FORMAT=TRADITIONAL ${rows}`);
  const read = plan.reduce((product, row) => product * Math.max(1, Number(row['rows'] ?? Number.NaN)), 1);
  if (plan[0]?.['table'] === 't' || !(read <= most)) return null;
  const [found] = await source.rows(`SELECT COUNT(*) AS n FROM (${rows} LIMIT ${most + 1}) x`);
  return Number(found?.['n'] ?? Number.NaN) <= most ? index.name : null;
}
