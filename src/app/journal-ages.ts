/** How far the mirror is behind, for all tenants in one statement. */
import type { Database } from '../db/database.ts';
import { qualified, tenantLiteral } from '../db/sql.ts';
import type { Milliseconds } from '../domain/duration.ts';

/**
 * @param tenants at least two: a single one would need another form on older servers
 * @returns age of each tenant's oldest journal row; a tenant without one is missing.
 */
export async function readJournalAges(
  source: Database,
  control: string,
  tenants: readonly string[],
): Promise<Map<string, Milliseconds>> {
  // The first row of each by the index (tenant, id): the journal is never read through.
  const oldest = tenants.map(
    (tenant) =>
      `(SELECT tenant, created_at FROM ${qualified(control, 'journal')} WHERE tenant = ${tenantLiteral(tenant)} ORDER BY id LIMIT 1)`,
  );
  const rows = await source.rows(
    `SELECT tenant, TIMESTAMPDIFF(MICROSECOND, created_at, NOW(6)) DIV 1000 AS age FROM (${oldest.join(' UNION ALL ')}) o`,
  );
  return new Map(rows.map((row) => [row['tenant']!, Number(row['age'])]));
}
