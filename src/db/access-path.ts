/** By which index the rows of a tenant's key range are read; which rows they are is none of its business. */
import type { Database, Session } from './database.ts';
import { ident, qualified } from './sql.ts';
import { ownedBy, type TrackedTable } from './tenancy.ts';

/** Foreign rows that are read for each own one before an index of the tenant is the cheaper way to its rows. */
const FOREIGN_MAX = 2;
/** While a server counts a table again it may say for a moment that there is next to nothing in it. */
const BELIEVED_FROM = 1_000;

/**
 * A secondary index finds each row by one more descent. Where the tenant owns most of the key range, reading
 * the range itself costs half of that, and far less where the table is not in memory.
 *
 * @param range a condition on the primary key of `t`
 */
export async function cheaperIndex(
  source: Pick<Database | Session, 'rows'>,
  tracked: TrackedTable,
  tenant: string,
  { index, range }: { readonly index: string; readonly range: string },
): Promise<string> {
  if (index === 'PRIMARY') return index;
  const { schema, name } = tracked.table;
  // USE, not FORCE: an index that is forced need not be better than another, and MySQL then estimates one row.
  const estimate = async (by: string, where: string): Promise<number> => {
    const [row] = await source.rows(
      `EXPLAIN FORMAT=TRADITIONAL SELECT 1 FROM ${qualified(schema, name)} t USE INDEX (${ident(by)}) WHERE ${where}`,
    );
    return Number(row?.['rows'] ?? Number.NaN);
  };
  const all = await estimate('PRIMARY', range);
  const own = await estimate(index, `${ownedBy(tracked, 't', tenant)} AND ${range}`);
  // Of a tenant that owns nearly all, either estimate may be the larger one.
  const isBelieved = all >= BELIEVED_FROM && 2 * all >= own;
  return isBelieved && all <= own * (1 + FOREIGN_MAX) ? 'PRIMARY' : index;
}
