/** What a report tells of the past: audit, passes, drift by class, shadow reads, certificates. Never keys, never values. */
import type { Database, TextRow } from './database.ts';
import { qualified, tenantLiteral } from './sql.ts';
import type { AuditEntry } from './stages.ts';
import type { Pair } from './tracked.ts';

export interface AuditRecord extends Omit<AuditEntry, 'tenant' | 'requestId'> {
  readonly at: string;
}

/** The latest `limit` of them, the oldest first. */
export async function readAuditLog(
  { source, control }: Pair,
  tenant: string,
  limit: number,
): Promise<{ total: number; entries: AuditRecord[] }> {
  const from = `FROM ${qualified(control, 'audit')} WHERE tenant = ${tenantLiteral(tenant)}`;
  const [count] = await source.rows(`SELECT COUNT(*) AS n ${from}`);
  const rows = await source.rows(
    `SELECT at, event, before_value, after_value, epoch, actor, reason ${from} ORDER BY id DESC LIMIT ${limit}`,
  );
  return { total: Number(count!['n']), entries: rows.map(auditOf).reverse() };
}

/** Changes of stage and phase, of which a timeline is made: however long the rest of the audit is, all of them. */
export async function readMoves({ source, control }: Pair, tenant: string): Promise<AuditRecord[]> {
  const rows = await source.rows(
    `SELECT at, event, before_value, after_value, epoch, actor, reason FROM ${qualified(control, 'audit')}
     WHERE tenant = ${tenantLiteral(tenant)} AND event IN ('phase', 'stage') ORDER BY id`,
  );
  return rows.map(auditOf);
}

/** What people did past the workflow, whose own change of a stage stands beside one of the phase, of the same request. */
export async function readByHand({ source, control }: Pair, tenant: string): Promise<AuditRecord[]> {
  const audit = qualified(control, 'audit');
  const rows = await source.rows(
    `SELECT at, event, before_value, after_value, epoch, actor, reason FROM ${audit} a
     WHERE tenant = ${tenantLiteral(tenant)} AND actor <> 'switchback' AND (event = 'repair' OR event = 'stage' AND NOT EXISTS (
       SELECT 1 FROM ${audit} p WHERE p.tenant = a.tenant AND p.event = 'phase' AND p.request_id = a.request_id)) ORDER BY id`,
  );
  return rows.map(auditOf);
}

export interface StageMove {
  readonly tenant: string;
  readonly at: string;
  readonly before: string;
  readonly after: string;
}

/** Of everybody, in their order. */
export async function readStageMoves(source: Database, control: string): Promise<StageMove[]> {
  const rows = await source.rows(
    `SELECT tenant, at, before_value, after_value FROM ${qualified(control, 'audit')} WHERE event = 'stage' ORDER BY id`,
  );
  return rows.map((row) => ({
    tenant: row['tenant']!,
    at: isoOf(row['at'])!,
    before: row['before_value'] ?? '',
    after: row['after_value'] ?? '',
  }));
}

const auditOf = (row: TextRow): AuditRecord => ({
  at: isoOf(row['at'])!,
  event: row['event']!,
  before: row['before_value'] ?? null,
  after: row['after_value'] ?? null,
  epoch: row['epoch'] == null ? null : Number(row['epoch']),
  actor: row['actor']!,
  reason: row['reason']!,
});

export interface DriftSum {
  readonly table: string;
  readonly class: string;
  /** Rows on record, one by one; of one pass, table and class at most a thousand. */
  readonly found: number;
  /** How often passes came upon one of them, while it was open. */
  readonly seen: number;
  readonly open: number;
  /** By whom: `policy`, `operator`, `backfill`. */
  readonly repaired: Readonly<Record<string, number>>;
  /** Repaired, and read equal by a later pass. */
  readonly verified: number;
  readonly recurred: number;
}

export async function readDriftSums({ source, control }: Pair, tenant: string): Promise<DriftSum[]> {
  const [counted, rows] = await Promise.all([
    source.rows(
      `SELECT d.table_id, d.class, SUM(d.found) AS seen
       FROM ${qualified(control, 'pass_drift')} d JOIN ${qualified(control, 'pass')} p ON p.id = d.pass_id
       WHERE p.tenant = ${tenantLiteral(tenant)} GROUP BY d.table_id, d.class`,
    ),
    source.rows(
      `SELECT d.table_id, d.class, MAX(t.name) AS name, COUNT(*) AS found, SUM(d.repaired_at IS NULL) AS open, SUM(d.verified_at IS NOT NULL) AS verified, SUM(d.recurred) AS recurred,
              SUM(COALESCE(d.repaired_by, '') = 'policy') AS policy, SUM(COALESCE(d.repaired_by, '') = 'operator') AS operator, SUM(COALESCE(d.repaired_by, '') = 'backfill') AS backfill
       FROM ${qualified(control, 'drift')} d LEFT JOIN ${qualified(control, 'tracked_table')} t ON t.id = d.table_id
       WHERE d.tenant = ${tenantLiteral(tenant)} GROUP BY d.table_id, d.class ORDER BY MIN(d.id)`,
    ),
  ]);
  const seen = new Map(
    counted.map((row) => [`${row['table_id']} ${row['class']}`, Number(row['seen'])] as const),
  );
  return rows.map((row) => {
    const number = (column: string): number => Number(row[column] ?? 0);
    return {
      table: row['name'] ?? `#${row['table_id']}`,
      class: row['class']!,
      found: number('found'),
      seen: seen.get(`${row['table_id']} ${row['class']}`) ?? 0,
      open: number('open'),
      repaired: {
        policy: number('policy'),
        operator: number('operator'),
        backfill: number('backfill'),
      },
      verified: number('verified'),
      recurred: number('recurred'),
    };
  });
}

export interface DriftMoment {
  readonly at: string;
  readonly class: string;
  readonly rows: number;
}

/** Minute by minute, the latest `limit` of them. */
export async function readDriftMoments(
  { source, control }: Pair,
  tenant: string,
  limit: number,
): Promise<DriftMoment[]> {
  const rows = await source.rows(
    `SELECT MIN(found_at) AS at, class, COUNT(*) AS n FROM ${qualified(control, 'drift')} WHERE tenant = ${tenantLiteral(tenant)}
     GROUP BY class, UNIX_TIMESTAMP(found_at) DIV 60 ORDER BY at DESC LIMIT ${limit}`,
  );
  return rows
    .map((row) => ({ at: isoOf(row['at'])!, class: row['class']!, rows: Number(row['n']) }))
    .reverse();
}

export interface PassSum {
  readonly passes: number;
  readonly clean: number;
  readonly windows: number;
  readonly rows: number;
  readonly suspects: number;
  readonly inFlight: number;
  readonly repaired: number;
  readonly drifted: number;
  readonly firstAt: string | null;
  readonly lastAt: string | null;
}

export async function readPassSum({ source, control }: Pair, tenant: string): Promise<PassSum> {
  const [row] = await source.rows(
    `SELECT COUNT(*) AS passes, SUM(clean) AS clean, SUM(windows) AS windows, SUM(row_count) AS row_count, SUM(suspects) AS suspects, SUM(in_flight) AS in_flight,
            SUM(repaired) AS repaired, SUM(drifted) AS drifted, MIN(started_at) AS first_at, MAX(ended_at) AS last_at
     FROM ${qualified(control, 'pass')} WHERE tenant = ${tenantLiteral(tenant)} AND ended_at IS NOT NULL`,
  );
  const number = (column: string): number => Number(row?.[column] ?? 0);
  return {
    passes: number('passes'),
    clean: number('clean'),
    windows: number('windows'),
    rows: number('row_count'),
    suspects: number('suspects'),
    inFlight: number('in_flight'),
    repaired: number('repaired'),
    drifted: number('drifted'),
    firstAt: isoOf(row?.['first_at']),
    lastAt: isoOf(row?.['last_at']),
  };
}

export interface ShadowSum {
  readonly read: string;
  readonly samples: number;
  readonly differing: number;
  readonly firstAt: string;
  readonly lastAt: string;
}

/** Counted anew whenever `shadow` is entered, and by every `retry`. */
export async function readShadowSums({ source, control }: Pair, tenant: string): Promise<ShadowSum[]> {
  const rows = await source.rows(
    `SELECT read_name, SUM(samples) AS samples, SUM(differing) AS differing, MIN(first_at) AS first_at, MAX(last_at) AS last_at
     FROM ${qualified(control, 'shadow')} WHERE tenant = ${tenantLiteral(tenant)} GROUP BY read_name ORDER BY SUM(differing) DESC, SUM(samples) DESC`,
  );
  return rows.map((row) => ({
    read: row['read_name']!,
    samples: Number(row['samples']),
    differing: Number(row['differing']),
    firstAt: isoOf(row['first_at'])!,
    lastAt: isoOf(row['last_at'])!,
  }));
}

export interface CertificateRecord {
  readonly at: string;
  readonly content: Readonly<Record<string, string | number>>;
}

/** The latest first. */
export async function readCertificates(
  { source, control }: Pair,
  tenant: string,
): Promise<CertificateRecord[]> {
  const rows = await source.rows(
    `SELECT at, content FROM ${qualified(control, 'certificate')} WHERE tenant = ${tenantLiteral(tenant)} ORDER BY id DESC`,
  );
  return rows.map((row) => ({
    at: isoOf(row['at'])!,
    content: JSON.parse(row['content']!) as CertificateRecord['content'],
  }));
}

/** Sessions are in UTC. */
export const isoOf = (text: string | null | undefined): string | null =>
  text == null ? null : new Date(Date.parse(`${text.replace(' ', 'T')}Z`)).toISOString();
