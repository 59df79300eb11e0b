/** Reads the numbers that gates judge. A number that can't be read is null: its gate is closed. */
import type { Evidence } from '../domain/evidence.ts';
import type { Phase } from '../domain/phase.ts';
import { SHARED, UNRESOLVED } from '../domain/stage.ts';
import { tablesOf } from './backfill.ts';
import { readRetention } from './cluster-facts.ts';
import { readProgress } from './copy-cursor.ts';
import type { Database, TextRow } from './database.ts';
import { readMirrorCounts } from './mirror-counts.ts';
import { workerAt } from './presence.ts';
import { readShadow } from './shadow-evidence.ts';
import { epochMs as epoch, qualified, tenantLiteral } from './sql.ts';
import { readNodes, readStage } from './stages.ts';
import type { Pair, Tracked } from './tracked.ts';

const ms = (value: string | null | undefined): number | null =>
  value === null || value === undefined ? null : Math.floor(Number(value));

export interface EvidenceQuery {
  readonly tenant: string;
  /** When the phase was entered, epoch milliseconds of the source. */
  readonly since: number;
  readonly round: number;
  /** Measured by whoever holds their connections. */
  readonly replicas: Evidence['replicas'];
}

export async function readEvidence(pair: Pair, tracked: Tracked, query: EvidenceQuery): Promise<Evidence> {
  const { source, control } = pair;
  const tenant = tenantLiteral(query.tenant);
  const names = [query.tenant, ...(query.tenant === SHARED ? [] : [UNRESOLVED])];
  const [
    journal,
    mirror,
    heardAt,
    retention,
    passes,
    drift,
    shadow,
    certificate,
    stage,
    nodes,
    lost,
    shared,
    approvers,
  ] = await Promise.all([
    journalState(source, control, names),
    readMirrorCounts(source, control, names),
    workerAt(source, control),
    readRetention(source, control),
    passState(source, control, tenant, query.since),
    one(
      source,
      `SELECT COUNT(*) AS n FROM ${qualified(control, 'drift')} WHERE tenant = ${tenant} AND repaired_at IS NULL`,
    ),
    readShadow(source, control, query.tenant),
    one(
      source,
      `SELECT ${epoch('MAX(at)')} AS at FROM ${qualified(control, 'certificate')} WHERE tenant = ${tenant}`,
    ),
    readStage(source, control, query.tenant),
    readNodes(source, control),
    captureLost(source, control, query.tenant),
    one(
      source,
      `SELECT phase FROM ${qualified(control, 'migration')} WHERE tenant = ${tenantLiteral(SHARED)}`,
    ),
    source.rows(
      `SELECT MIN(actor) AS actor FROM ${qualified(control, 'audit')} WHERE tenant = ${tenant} AND event = 'advance' AND ${epoch('at')} >= ${query.since} GROUP BY LOWER(TRIM(actor)) ORDER BY actor`,
    ),
  ]);
  const live = nodes.filter((node) => node.live);
  // Last, so that nothing of the record is from after it.
  const clock = await one(source, `SELECT ${epoch('NOW(6)')} AS now`);
  return {
    at: ms(clock?.['now'])!,
    ...journal,
    mirror,
    workerAt: heardAt,
    retention,
    replicas: query.replicas,
    ...(await targetState(pair, tracked, query)),
    ...passes,
    openDrift: Number(drift!['n']),
    approvers: approvers.map((row) => row['actor']!),
    shadow,
    nodes: {
      live: live.length,
      following: live.filter((node) => node.version >= (stage?.version ?? 0)).length,
    },
    certificateAt: ms(certificate?.['at']),
    captureLost: lost,
    capture: tracked.capture,
    sharedPhase: (shared?.['phase'] as Phase | undefined) ?? null,
  };
}

/** Why the tenant is dirty: its capture was lost, and it was not copied again since. */
export async function captureLost(source: Database, control: string, tenant: string): Promise<string | null> {
  const audit = qualified(control, 'audit');
  const [row] = await source.rows(
    `SELECT event, reason FROM ${audit} WHERE tenant = ${tenantLiteral(tenant)} AND event IN ('dirty', 'clean') ORDER BY id DESC LIMIT 1`,
  );
  return row?.['event'] === 'dirty' ? row['reason']! : null;
}

async function one(source: Database, sql: string): Promise<TextRow | undefined> {
  const [row] = await source.rows(sql);
  return row;
}

/** Age of the oldest row by the index, without reading the journal. */
export async function journalState(
  source: Database,
  control: string,
  tenants: readonly string[],
): Promise<Pick<Evidence, 'journalAge' | 'journalRows'>> {
  let age = 0;
  let count = 0;
  for (const tenant of tenants) {
    const [row] = await source.rows(
      `SELECT (SELECT TIMESTAMPDIFF(MICROSECOND, created_at, NOW(6)) DIV 1000 FROM ${qualified(control, 'journal')} WHERE tenant = ${tenantLiteral(tenant)} ORDER BY id LIMIT 1) AS age,
              (SELECT COUNT(*) FROM ${qualified(control, 'journal')} WHERE tenant = ${tenantLiteral(tenant)}) AS n`,
    );
    age = Math.max(age, Number(row?.['age'] ?? 0));
    count += Number(row?.['n'] ?? 0);
  }
  return { journalAge: age, journalRows: count };
}

/**
 * Clean since: the start of the first clean pass after which every finished pass was clean. A pass that
 * drifted or repaired anything starts the clock again. After a change of tables one clean pass must begin and
 * end before the clock counts on.
 */
async function passState(
  source: Database,
  control: string,
  tenant: string,
  since: number,
): Promise<Pick<Evidence, 'cleanPasses' | 'cleanSince' | 'lastPassAt' | 'reconciledAt'>> {
  const table = qualified(control, 'pass');
  const compared = `started_at >= COALESCE((SELECT MAX(shaped_at) FROM ${qualified(control, 'tracked_table')}), '2000-01-01')`;
  const [row] = await source.rows(
    `SELECT (SELECT COUNT(*) FROM ${table} WHERE tenant = ${tenant} AND clean = 1 AND ${compared} AND ${epoch('started_at')} >= ${since}) AS clean_passes,
            (SELECT ${epoch('MAX(ended_at)')} FROM ${table} WHERE tenant = ${tenant} AND clean = 1 AND ${compared}) AS last_at,
            (SELECT ${epoch('MIN(started_at)')} FROM ${table} WHERE tenant = ${tenant} AND clean = 1
               AND id > (SELECT COALESCE(MAX(id), 0) FROM ${table} WHERE tenant = ${tenant} AND clean = 0)) AS clean_since,
            (SELECT ${epoch('MAX(ended_at)')} FROM ${table} WHERE tenant = ${tenant}) AS ended_at,
            (SELECT ${epoch('at')} FROM ${qualified(control, 'progress')} WHERE tenant = ${tenant} AND activity = 'reconcile') AS progress_at`,
  );
  return {
    cleanPasses: Number(row!['clean_passes']),
    cleanSince: ms(row!['clean_since']),
    lastPassAt: ms(row!['last_at']),
    reconciledAt: latest(ms(row!['ended_at']), ms(row!['progress_at'])),
  };
}

const latest = (...times: readonly (number | null)[]): number | null => {
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.max(...known);
};

/** What only the target knows; a target that is down closes the gates that need it. */
async function targetState(
  pair: Pair,
  tracked: Tracked,
  query: EvidenceQuery,
): Promise<Pick<Evidence, 'mirroredAt' | 'tables' | 'rows'>> {
  const tables = tablesOf(tracked, query.tenant);
  try {
    const progress = await readProgress(pair, query.tenant, query.round);
    const [turn] = await pair.target.rows(
      `SELECT ${epoch('mirrored_at')} AS at FROM ${qualified(pair.control, 'mirror_turn')} WHERE tenant = ${tenantLiteral(query.tenant)}`,
    );
    return {
      mirroredAt: ms(turn?.['at']),
      tables: { all: tables.length, copied: progress.filter((table) => table.finished).length },
      rows: {
        copied: progress.reduce((sum, table) => sum + table.copiedRows, 0),
        estimated: progress.reduce((sum, table) => sum + Math.max(table.estimatedRows, table.copiedRows), 0),
      },
    };
  } catch {
    // The target is unreachable: say what is known, and keep the gates over the rest closed.
    return { mirroredAt: null, tables: { all: tables.length, copied: 0 }, rows: { copied: 0, estimated: 0 } };
  }
}
