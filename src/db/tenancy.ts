/**
 * Whose row is it? SQL for every kind of tenancy, over any alias.
 *
 * A tenant is compared as its UTF-8 bytes; where a query can use the tenant's index, the column is
 * compared with a literal of its own type instead.
 */
import { SchemaMismatchError } from '../domain/errors.ts';
import type { Tenancy } from '../domain/plan.ts';
import { SHARED } from '../domain/stage.ts';
import { columnOf, type Column, type Table } from './catalog.ts';
import { kindOf } from './kinds.ts';
import { ident, qualified, tenantLiteral } from './sql.ts';

export interface TrackedTable {
  /** Through which side's schema the table is seen. */
  readonly side: 'source' | 'target';
  readonly id: number;
  readonly table: Table;
  readonly tenancy: Tenancy;
  readonly time: string | null;
  /** Whose all its rows are: of a shared table `_shared`, of a tenant's own schema that tenant; null: each row says it. */
  readonly owner: string | null;
  /** From this table's parent up to the table that holds the tenant column. */
  readonly chain: readonly Link[];
  /** The column that holds the tenant, in this table or in the last of the chain; null where the table has one owner. */
  readonly tenantColumn: Column | null;
}

export interface Link {
  readonly parent: Table;
  /** Column of the child. */
  readonly column: string;
  /** Column of the parent that it refers to. */
  readonly references: string;
}

/** The tenant column as `joinChain` makes it visible. */
function holder(tracked: TrackedTable, row: string): { column: Column; value: string } | null {
  const { tenantColumn: column, chain } = tracked;
  if (column === null) return null;
  const alias = chain.length === 0 ? row : `p${chain.length - 1}`;
  return { column, value: `${alias}.${ident(column.name)}` };
}

/** The tenant's bytes of a row, or NULL where its parent is not there. */
export function tenantSql(tracked: TrackedTable, row: string): string {
  const found = holder(tracked, row);
  return found === null ? tenantLiteral(ownerOf(tracked)) : tenantBytes(found.column, found.value);
}

export function tenantBytes(column: Column, value: string): string {
  switch (kindOf(column)) {
    case 'text':
      return `CAST(CONVERT(${value} USING utf8mb4) AS BINARY)`;
    case 'binary':
      return `CAST(LOWER(HEX(${value})) AS BINARY)`;
    default:
      return `CAST(CONCAT(${value}) AS BINARY)`;
  }
}

/** `LEFT JOIN`s from a row up to the table that holds the tenant; empty where the row holds it itself. */
export function joinChain(
  tracked: TrackedTable,
  row: string,
  join: 'LEFT JOIN' | 'JOIN' = 'LEFT JOIN',
): string {
  return tracked.chain
    .map(({ parent, column, references }, depth) => {
      const child = depth === 0 ? row : `p${depth - 1}`;
      return `${join} ${qualified(parent.schema, parent.name)} p${depth} ON p${depth}.${ident(references)} = ${child}.${ident(column)}`;
    })
    .join(' ');
}

export function ownerOf({ owner, table }: TrackedTable): string {
  if (owner === null) throw new SchemaMismatchError(`table ${table.name} has no tenant column and no owner`);
  return owner;
}

/** May the tenant have rows in the table? `_shared` has the shared ones and no other. */
export const concerns = ({ owner }: TrackedTable, tenant: string): boolean =>
  owner === null ? tenant !== SHARED : owner === tenant;

/** A condition that an index on the tenant column serves; `TRUE` where the table is the tenant's own. */
export function ownedBy(tracked: TrackedTable, row: string, tenant: string): string {
  const found = holder(tracked, row);
  if (found === null) return tenant === ownerOf(tracked) ? 'TRUE' : 'FALSE';
  return `${found.value} = ${tenantValue(found.column, tenant)}`;
}

function tenantValue(column: Column, tenant: string): string {
  switch (kindOf(column)) {
    case 'text':
      return `CONVERT(CONVERT(${tenantLiteral(tenant)} USING utf8mb4) USING ${column.charset ?? 'utf8mb4'}) COLLATE ${column.collation ?? 'utf8mb4_bin'}`;
    case 'binary':
      return /^(?:[0-9a-f]{2})+$/.test(tenant) ? `X'${tenant}'` : 'NULL';
    default:
      return /^-?\d+$/.test(tenant) ? tenant : 'NULL';
  }
}

/**
 * @param tables every tracked table by name, of the same schema
 * @param tenant whose schema it is; null: of all
 * @throws SchemaMismatchError when a parent is not in the plan, or the chain is a circle
 */
export function track(
  plan: Pick<TrackedTable, 'id' | 'table' | 'tenancy' | 'time'>,
  tables: ReadonlyMap<string, { table: Table; tenancy: Tenancy }>,
  tenant: string | null = null,
): TrackedTable {
  const chain: Link[] = [];
  let tenancy = plan.tenancy;
  const seen = new Set([plan.table.name]);
  while (tenancy.kind === 'parent') {
    const parent = tables.get(tenancy.parent);
    if (parent === undefined)
      throw new SchemaMismatchError(
        `table ${plan.table.name}: its parent ${tenancy.parent} is not in the plan`,
      );
    if (seen.has(tenancy.parent))
      throw new SchemaMismatchError(`table ${plan.table.name}: its parents form a circle`);
    seen.add(tenancy.parent);
    chain.push({ parent: parent.table, column: tenancy.column, references: tenancy.references });
    tenancy = parent.tenancy;
  }
  if (tenancy.kind === 'shared' && chain.length > 0) {
    throw new SchemaMismatchError(`table ${plan.table.name}: its parents lead to no tenant column`);
  }
  const top = chain.at(-1)?.parent ?? plan.table;
  return {
    ...plan,
    side: 'source',
    owner: tenancy.kind === 'shared' ? SHARED : tenancy.kind === 'schema' ? tenant : null,
    chain,
    tenantColumn: tenancy.kind === 'column' ? columnOf(top, tenancy.column) : null,
  };
}

/** A tracked table seen through the other side's schema (its name may differ). */
export function onTarget(tracked: TrackedTable, schema: string): TrackedTable {
  return {
    ...tracked,
    side: 'target',
    table: { ...tracked.table, schema },
    chain: tracked.chain.map((link) => ({ ...link, parent: { ...link.parent, schema } })),
  };
}
