/**
 * One lock row per tenant on the target: whoever writes a tenant's rows holds it (promise P3).
 *
 * Mirror, repair and verdict exclude everybody; backfill windows share it, since they are disjoint.
 */
import { DatabaseError, TransientDatabaseError } from '../domain/errors.ts';
import type { Session, TextRow } from './database.ts';
import { list, qualified, tenantLiteral } from './sql.ts';
import type { Pair } from './tracked.ts';

/** Statements that go behind, in the same packet. */
export interface Beside {
  readonly statements: readonly string[];
  readonly answered: (answers: readonly (readonly TextRow[])[]) => void;
}

const NOTHING: Beside = { statements: [], answered: () => {} };

/**
 * Waits for the rows, in name order so that two appliers never wait for each other.
 *
 * @param skips waits for nobody: tenants that somebody else has are left out
 */
export async function lockTenants(
  target: Session,
  control: string,
  tenants: readonly string[],
  skips = false,
  beside: Beside = NOTHING,
): Promise<string[]> {
  const sorted = [...new Set(tenants)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const [rows = [], ...answers] = await target.rowsOfEach([
    `SELECT tenant, direction FROM ${qualified(control, 'tenant_lock')} WHERE tenant IN (${list(sorted.map(tenantLiteral))}) ORDER BY tenant FOR UPDATE${skips ? ' SKIP LOCKED' : ''}`,
    ...beside.statements,
  ]);
  if (!skips && rows.length < sorted.length)
    throw new TransientDatabaseError('target: a tenant has no lock row yet');
  checkDirection(rows);
  beside.answered(answers);
  return skips ? rows.map((row) => row['tenant']!) : sorted;
}

/** Disjoint windows of one tenant share its lock; mirror, verdict and repair exclude them. */
export async function shareTenant(target: Session, control: string, tenant: string): Promise<void> {
  const rows = await target.rows(
    `SELECT tenant, direction FROM ${qualified(control, 'tenant_lock')} WHERE tenant = ${tenantLiteral(tenant)} FOR SHARE`,
  );
  if (rows.length === 0) throw new TransientDatabaseError('target: the tenant has no lock row yet');
  checkDirection(rows);
}

function checkDirection(rows: readonly TextRow[]): void {
  const turned = rows.find((row) => row['direction'] !== 'forward');
  if (turned !== undefined)
    throw new DatabaseError(`target: the mirror of ${turned['tenant']} does not run forward`);
}

/** Lock rows of tenants that are met for the first time. */
export async function admitLocks(pair: Pair, tenants: readonly string[]): Promise<void> {
  for (const tenant of tenants) {
    await pair.target.run(
      `INSERT IGNORE INTO ${qualified(pair.control, 'tenant_lock')} VALUES (${tenantLiteral(tenant)}, 'forward', 0)`,
    );
  }
}
