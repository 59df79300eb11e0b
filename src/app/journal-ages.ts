/** How far the mirror is behind, for all tenants in one statement. */
import type { Database } from '../db/database.ts';
import { oldestOfEach } from '../db/journal-rows.ts';
import { qualified, tenantLiteral } from '../db/sql.ts';
import type { Milliseconds } from '../domain/duration.ts';

/** A subquery costs a server more than the row that it finds. */
const ASKED_EACH_MAX = 16;

/**
 * @param tenants at least two: a single one would need another form on older servers
 * @returns age of each tenant's oldest journal row; a tenant without one is missing.
 */
export async function readJournalAges(
  source: Database,
  control: string,
  tenants: readonly string[],
): Promise<Map<string, Milliseconds>> {
  const asked = new Set(tenants);
  const rows = await source.rows(
    tenants.length > ASKED_EACH_MAX ? agesOfAll(control) : agesOf(control, tenants),
  );
  return new Map(
    rows.flatMap((row) => (asked.has(row['tenant']!) ? [[row['tenant']!, Number(row['age'])] as const] : [])),
  );
}

const AGE = 'TIMESTAMPDIFF(MICROSECOND, created_at, NOW(6)) DIV 1000 AS age';

/** The first row of each by the index (tenant, id): the journal is never read through. */
function agesOf(control: string, tenants: readonly string[]): string {
  const oldest = tenants.map(
    (tenant) =>
      `(SELECT tenant, created_at FROM ${qualified(control, 'journal')} WHERE tenant = ${tenantLiteral(tenant)} ORDER BY id LIMIT 1)`,
  );
  return `SELECT tenant, ${AGE} FROM (${oldest.join(' UNION ALL ')}) o`;
}

const agesOfAll = (control: string): string =>
  `SELECT o.tenant AS tenant, ${AGE} FROM ${oldestOfEach(control)}`;
