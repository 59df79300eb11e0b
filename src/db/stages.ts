/**
 * The stage row of a tenant: the truth that every application obeys.
 *
 * A change is a compare-and-set on `epoch`, written together with its audit row. `version` counts the
 * changes of the whole fleet, in commit order (its row is locked first), so that a node which has seen
 * version n has seen everything before it; nodes acknowledge by it.
 */
import { StaleEpochError } from '../domain/errors.ts';
import { isStage, type Stage } from '../domain/stage.ts';
import type { Database, Session, TextRow } from './database.ts';
import { list, qualified, tenantLiteral } from './sql.ts';

export interface StageRow {
  readonly tenant: string;
  readonly stage: Stage;
  readonly epoch: number;
  readonly version: number;
  /** Capture was lost, or the mirror is behind: read from the source whatever the stage says. */
  readonly dirty: boolean;
}

export interface StageChange {
  readonly tenant: string;
  readonly to: Stage;
  /** The epoch on which the caller decided; null: whatever stands, for an operator's direct rollback. */
  readonly expectEpoch: number | null;
  /** Only from one of these; the change is refused otherwise. */
  readonly from: readonly Stage[];
  readonly actor: string;
  readonly reason: string;
  readonly requestId: string | null;
}

const COLUMNS = 'tenant, stage, epoch, version, dirty';

export function toStageRow(row: TextRow): StageRow {
  const stage = row['stage'] ?? '';
  if (!isStage(stage)) throw new Error(`unknown stage ${stage}; is this node older than the control schema?`);
  return {
    tenant: row['tenant']!,
    stage,
    epoch: Number(row['epoch']),
    version: Number(row['version']),
    dirty: row['dirty'] === '1',
  };
}

export async function readStage(
  source: Database | Session,
  control: string,
  tenant: string,
): Promise<StageRow | null> {
  const [row] = await source.rows(
    `SELECT ${COLUMNS} FROM ${qualified(control, 'stage')} WHERE tenant = ${tenantLiteral(tenant)}`,
  );
  return row === undefined ? null : toStageRow(row);
}

/** @param afterVersion rows that changed later than this; 0: all. */
export async function readStages(source: Database, control: string, afterVersion = 0): Promise<StageRow[]> {
  const rows = await source.rows(
    `SELECT ${COLUMNS} FROM ${qualified(control, 'stage')} WHERE version > ${afterVersion} ORDER BY version`,
  );
  return rows.map(toStageRow);
}

/** Stages of some tenants; one that was never seen is missing. */
export async function stagesOf(
  source: Database,
  control: string,
  tenants: readonly string[],
): Promise<Map<string, Stage>> {
  if (tenants.length === 0) return new Map();
  const rows = await source.rows(
    `SELECT ${COLUMNS} FROM ${qualified(control, 'stage')} WHERE tenant IN (${list(tenants.map(tenantLiteral))})`,
  );
  return new Map(rows.map(toStageRow).map(({ tenant, stage }) => [tenant, stage]));
}

/** Every tenant that is on the target. */
export async function startedTenants(source: Database | Session, control: string): Promise<string[]> {
  const rows = await source.rows(
    `SELECT tenant FROM ${qualified(control, 'stage')} FORCE INDEX (by_stage) WHERE stage <> 'source-only'`,
  );
  return rows.map((row) => row['tenant']!);
}

/** Until the transaction ends no stage changes: every change locks the fleet's version row first. */
export async function holdStages(session: Session, control: string): Promise<void> {
  await session.rows(`SELECT id FROM ${qualified(control, 'version')} WHERE id = 1 LOCK IN SHARE MODE`);
}

/** Which of the tenants are on the target at all: rows of the others count as absent. */
export async function mirroredTenants(
  source: Database | Session,
  control: string,
  tenants: ReadonlySet<string>,
): Promise<Set<string>> {
  return tenants.size === 0 ? new Set() : tenantsOf(await source.rows(mirroredSql(control, [...tenants])));
}

/** @param tenants at least one */
export const mirroredSql = (control: string, tenants: readonly string[]): string =>
  `SELECT tenant FROM ${qualified(control, 'stage')} WHERE stage <> 'source-only' AND tenant IN (${list(tenants.map(tenantLiteral))})`;

export const tenantsOf = (rows: readonly TextRow[]): Set<string> =>
  new Set(rows.map((row) => row['tenant']!));

/** A tenant seen for the first time gets its row as `source-only`; the others are left alone. */
export async function admitStage(source: Database, control: string, tenant: string): Promise<void> {
  await source.run(
    `INSERT IGNORE INTO ${qualified(control, 'stage')} (tenant, stage, epoch, version) VALUES (${tenantLiteral(tenant)}, 'source-only', 0, 0)`,
  );
}

/** Holds the fleet's version row until the transaction ends: changes commit in the order of their versions. */
export async function nextVersion(session: Session, control: string): Promise<number> {
  await session.run(
    `UPDATE ${qualified(control, 'version')} SET change_version = LAST_INSERT_ID(change_version + 1) WHERE id = 1`,
  );
  const [row] = await session.rows('SELECT LAST_INSERT_ID() AS version');
  return Number(row!['version']);
}

/**
 * One flip, inside the caller's transaction. The row that is already at `to` is left alone and returned.
 *
 * @throws StaleEpochError when the row moved on, naming what stands
 */
export async function changeStage(session: Session, control: string, change: StageChange): Promise<StageRow> {
  const version = await nextVersion(session, control);
  const [found] = await session.rows(
    `SELECT ${COLUMNS} FROM ${qualified(control, 'stage')} WHERE tenant = ${tenantLiteral(change.tenant)} FOR UPDATE`,
  );
  const current = found === undefined ? null : toStageRow(found);
  if (current === null)
    throw new StaleEpochError(`${change.tenant} has no stage row; start its migration first`);
  if (current.stage === change.to) return current;
  if (change.expectEpoch !== null && current.epoch !== change.expectEpoch) {
    throw new StaleEpochError(
      `${change.tenant} is at epoch ${current.epoch} (${current.stage}), not ${change.expectEpoch}; look again and decide again`,
    );
  }
  if (!change.from.includes(current.stage)) {
    throw new StaleEpochError(`${change.tenant} is in ${current.stage}, not in ${change.from.join(' or ')}`);
  }
  const epoch = current.epoch + 1;
  await session.run(
    `UPDATE ${qualified(control, 'stage')} SET stage = ?, epoch = ${epoch}, version = ${version}, changed_at = NOW(6) WHERE tenant = ${tenantLiteral(change.tenant)}`,
    [change.to],
  );
  await appendAudit(session, control, {
    tenant: change.tenant,
    event: 'stage',
    before: current.stage,
    after: change.to,
    epoch,
    actor: change.actor,
    reason: change.reason,
    requestId: change.requestId,
  });
  return { ...current, stage: change.to, epoch, version };
}

export const flipStage = (source: Database, control: string, change: StageChange): Promise<StageRow> =>
  source.transaction((session) => changeStage(session, control, change));

/** Marks tenants dirty (capture lost) or clean again; counts as a change, so that nodes hear of it. */
export async function markDirty(
  source: Database,
  control: string,
  tenants: readonly string[],
  dirty: boolean,
  why: { readonly actor: string; readonly reason: string },
): Promise<void> {
  await source.transaction(async (session) => {
    const version = await nextVersion(session, control);
    for (const tenant of tenants) {
      const result = await session.run(
        `UPDATE ${qualified(control, 'stage')} SET dirty = ${dirty ? 1 : 0}, version = ${version} WHERE tenant = ${tenantLiteral(tenant)} AND dirty <> ${dirty ? 1 : 0}`,
      );
      if (result.affectedRows === 0) continue;
      const event = dirty ? 'dirty' : 'clean';
      await appendAudit(session, control, {
        tenant,
        event,
        before: null,
        after: null,
        epoch: null,
        requestId: null,
        ...why,
      });
    }
  });
}

export interface AuditEntry {
  readonly tenant: string;
  readonly event: string;
  readonly before: string | null;
  readonly after: string | null;
  readonly epoch: number | null;
  readonly actor: string;
  readonly reason: string;
  readonly requestId: string | null;
}

/** Append-only: nothing in Switchback updates or deletes an audit row. */
export async function appendAudit(
  session: Database | Session,
  control: string,
  entry: AuditEntry,
): Promise<void> {
  await session.run(
    `INSERT INTO ${qualified(control, 'audit')} (tenant, event, before_value, after_value, epoch, actor, reason, request_id)
     VALUES (${tenantLiteral(entry.tenant)}, ?, ?, ?, ?, ?, ?, ?)`,
    [
      entry.event,
      entry.before,
      entry.after,
      entry.epoch,
      entry.actor.slice(0, 255),
      entry.reason.slice(0, 1_000),
      entry.requestId,
    ],
  );
}

export interface NodeLease {
  readonly node: string;
  readonly service: string;
  readonly version: number;
  readonly live: boolean;
  readonly seenAt: string;
}

export async function renewLease(
  source: Database,
  control: string,
  lease: {
    readonly node: string;
    readonly service: string;
    readonly version: number;
    readonly leaseMs: number;
  },
): Promise<void> {
  await source.run(
    `INSERT INTO ${qualified(control, 'node')} (node, service, version, seen_at, lease_until)
     VALUES (?, ?, ${lease.version}, NOW(6), NOW(6) + INTERVAL ${lease.leaseMs * 1_000} MICROSECOND)
     ON DUPLICATE KEY UPDATE version = VALUES(version), seen_at = VALUES(seen_at), lease_until = VALUES(lease_until)`,
    [lease.node, lease.service],
  );
}

export async function endLease(source: Database, control: string, node: string): Promise<void> {
  await source.run(`DELETE FROM ${qualified(control, 'node')} WHERE node = ?`, [node]);
}

export async function readNodes(source: Database, control: string): Promise<NodeLease[]> {
  const rows = await source.rows(
    `SELECT node, service, version, seen_at, lease_until > NOW(6) AS live FROM ${qualified(control, 'node')} ORDER BY node`,
  );
  return rows.map((row) => ({
    node: row['node']!,
    service: row['service']!,
    version: Number(row['version']),
    live: row['live'] === '1',
    seenAt: row['seen_at']!,
  }));
}
