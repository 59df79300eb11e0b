/** Who holds a unique value on the target that the source has given to another row by now? */
import { UNRESOLVED } from '../domain/stage.ts';
import { columnOf } from './catalog.ts';
import { keyOfColumns, keysJoin, keySql, keysTable } from './keys.ts';
import { qualified } from './sql.ts';
import { joinChain, tenantSql } from './tenancy.ts';
import type { Pair, Tracked } from './tracked.ts';

export interface Holder {
  readonly key: string;
  readonly tenant: string;
}

/** Target rows that hold a unique value (the primary key too) that the source gives to one of `keys`. */
export async function uniqueHolders(
  pair: Pair,
  tracked: Tracked,
  tableId: number,
  keys: ReadonlySet<string>,
): Promise<Holder[]> {
  const side = tracked.target(tableId);
  const { table } = side;
  const { schema: sourceSchema } = tracked.source(tableId).table;
  const holders = new Map<string, Holder>();
  for (const index of table.indexes.filter((candidate) => candidate.unique && !candidate.prefixed)) {
    const columns = index.columns.map((name) => columnOf(table, name));
    const values = await pair.source.rows(
      `SELECT ${keyOfColumns(columns, 't')} AS value FROM ${keysTable(table.primary, [...keys])} k
       STRAIGHT_JOIN ${qualified(sourceSchema, table.name)} t ON ${keysJoin(table.primary, 'k', 't')}`,
    );
    const present = values.flatMap((row) => row['value'] ?? []);
    if (present.length === 0) continue;
    const rows = await pair.target.rows(
      `SELECT ${keySql(table, 't')} AS row_key, ${tenantSql(side, 't')} AS tenant FROM ${keysTable(columns, present)} k
       STRAIGHT_JOIN ${qualified(table.schema, table.name)} t ON ${keysJoin(columns, 'k', 't')} ${joinChain(side, 't')}`,
    );
    for (const row of rows)
      holders.set(row['row_key']!, { key: row['row_key']!, tenant: row['tenant'] ?? UNRESOLVED });
  }
  return [...holders.values()];
}
