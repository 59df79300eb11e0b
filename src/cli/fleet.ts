/** Where every tenant stands, in a handful of statements however many there are. Needs the source; the target adds its part. */
import type { Plan } from '../domain/plan.ts';
import type { Milliseconds } from '../domain/duration.ts';
import type { Mode, Phase } from '../domain/phase.ts';
import { SHARED } from '../domain/stage.ts';
import { exportLate, silentFor } from '../db/presence.ts';
import { readProgressRows, type Activity, type Progress } from '../db/progress.ts';
import type { TextRow } from '../db/database.ts';
import { readMigrations, type Migration } from '../db/migrations.ts';
import { list, qualified, tenantLiteral } from '../db/sql.ts';
import { alteredTables } from '../db/shapes.ts';
import { refusedTimes } from '../db/time-windows.ts';
import { readNodes, readStages, type NodeLease, type StageRow } from '../db/stages.ts';
import type { Pair } from '../db/tracked.ts';
import { captureFacts, type CaptureFacts } from './capture-text.ts';

export interface Backfill {
  readonly copied: number;
  /** Of the tables that were begun; null while some were not. */
  readonly estimated: number | null;
  readonly tables: { readonly finished: number; readonly all: number };
  /** 0 to 100; null below one percent and while the estimate is not whole. */
  readonly percent: number | null;
  readonly rowsPerSecond: number | null;
  readonly etaMs: Milliseconds | null;
}

export interface Work extends Omit<Progress, 'tenant'> {
  /** Its worker writes every second; this one has not for long. */
  readonly stale: boolean;
}

const STALE: Milliseconds = 10_000;

export interface TenantState {
  readonly tenant: string;
  readonly wave: string;
  readonly phase: string;
  readonly mode: Mode;
  readonly reason: string | null;
  readonly since: string;
  readonly startedAt: string;
  readonly stage: string;
  readonly epoch: number;
  readonly version: number;
  readonly dirty: boolean;
  readonly journal: { readonly rows: number; readonly ageMs: Milliseconds };
  /** null: the target could not be read. */
  readonly backfill: Backfill | null;
  readonly cleanSince: string | null;
  readonly openDrift: number;
  /** Rows a second that `set-pace` allows; null: the plan's limit. */
  readonly pace: number | null;
  /** The same of reconcile; null: no limit. */
  readonly reconcilePace: number | null;
  /** Long work that is under way, or was when its worker was last heard of. */
  readonly work: readonly Work[];
  readonly nodes: { readonly live: number; readonly following: number };
  readonly runId: string;
}

export interface Fleet extends CaptureFacts {
  readonly at: string;
  readonly tenants: readonly TenantState[];
  /** Tenants of the plan that nobody started. */
  readonly notStarted: readonly string[];
  /** Of them: their run was started, and no worker took it up yet. */
  readonly awaitingWorker: readonly string[];
  readonly targetReachable: boolean;
  /** No worker was heard of for so long; null: one is alive. */
  readonly noWorkerForMs: Milliseconds | null;
  /** The last whole export of histories is so old; null: it is young, or no worker exports. */
  readonly exportLateMs: Milliseconds | null;
  /** Tables that were altered on one side, as sentences: their rows wait in the journal. */
  readonly altered: readonly string[];
  /** Tables whose windows are by key although the plan names a time column, as sentences. */
  readonly byKey: readonly string[];
}

/** The order in which a console shows them: whoever needs somebody first. */
const URGENCY: Readonly<Record<Mode, number>> = { stopped: 0, paused: 1, waiting: 2, running: 3 };

interface Facts {
  readonly now: Milliseconds;
  readonly stages: ReadonlyMap<string, StageRow>;
  readonly journal: ReadonlyMap<string, TextRow>;
  readonly clean: ReadonlyMap<string, TextRow>;
  readonly drift: ReadonlyMap<string, TextRow>;
  readonly cursors: ReadonlyMap<string, TextRow> | null;
  readonly nodes: readonly NodeLease[];
  readonly work: readonly Progress[];
}

export async function readFleet(pair: Pair, plan: Plan, known: readonly string[]): Promise<Fleet> {
  const [migrations, facts, altered, byKey, noWorkerForMs, exportLateMs] = await Promise.all([
    readMigrations(pair.source, pair.control),
    readFacts(pair),
    alteredTables(pair),
    refusedTimes(pair),
    silentFor(pair.source, pair.control),
    plan.history.folder === null ? null : exportLate(pair.source, pair.control),
  ]);
  const tenants = migrations
    .map((migration) => stateOf(migration, facts, plan))
    .sort((a, b) => URGENCY[a.mode] - URGENCY[b.mode]);
  const started = new Set(migrations.map(({ tenant }) => tenant));
  const notStarted = known.filter((tenant) => !started.has(tenant));
  return {
    at: iso(facts.now),
    ...captureFacts(plan.capture),
    tenants,
    notStarted,
    awaitingWorker: await toldToStart(pair, notStarted),
    targetReachable: facts.cursors !== null,
    noWorkerForMs,
    exportLateMs,
    altered,
    byKey,
  };
}

/** A run that no worker took up yet has left nothing here but the entry of whoever started it. */
async function toldToStart({ source, control }: Pair, tenants: readonly string[]): Promise<string[]> {
  if (tenants.length === 0) return [];
  const rows = await source.rows(
    `SELECT DISTINCT tenant FROM ${qualified(control, 'audit')} WHERE tenant IN (${list(tenants.map(tenantLiteral))}) AND event IN ('start', 'start --adopt')`,
  );
  const told = new Set(rows.map((row) => row['tenant']!));
  return tenants.filter((tenant) => told.has(tenant));
}

async function readFacts(pair: Pair): Promise<Facts> {
  const { source, control } = pair;
  const table = (name: string): string => qualified(control, name);
  const [clock, stages, nodes, journal, clean, drift, work, cursors] = await Promise.all([
    source.rows('SELECT UNIX_TIMESTAMP(NOW(6)) * 1000 AS now'),
    readStages(source, control, -1),
    readNodes(source, control),
    source.rows(
      `SELECT g.tenant, g.n, TIMESTAMPDIFF(MICROSECOND, j.created_at, NOW(6)) DIV 1000 AS age
       FROM (SELECT tenant, COUNT(*) AS n, MIN(id) AS first_id FROM ${table('journal')} GROUP BY tenant) g JOIN ${table('journal')} j ON j.id = g.first_id`,
    ),
    source.rows(
      `SELECT p.tenant, UNIX_TIMESTAMP(MIN(p.started_at)) * 1000 AS at FROM ${table('pass')} p
       LEFT JOIN (SELECT tenant, MAX(id) AS id FROM ${table('pass')} WHERE clean = 0 GROUP BY tenant) bad ON bad.tenant = p.tenant
       WHERE p.clean = 1 AND p.id > COALESCE(bad.id, 0) GROUP BY p.tenant`,
    ),
    source.rows(
      `SELECT tenant, COUNT(*) AS n FROM ${table('drift')} WHERE repaired_at IS NULL GROUP BY tenant`,
    ),
    readProgressRows(source, control),
    readCursorSums(pair),
  ]);
  return {
    now: Number(clock[0]!['now']),
    stages: new Map(stages.map((row) => [row.tenant, row])),
    nodes: nodes.filter((node) => node.live),
    journal: byTenant(journal),
    clean: byTenant(clean),
    drift: byTenant(drift),
    work,
    cursors,
  };
}

const byTenant = (rows: readonly TextRow[]): Map<string, TextRow> =>
  new Map(rows.map((row) => [row['tenant']!, row]));
const keyOf = (tenant: string, round: number): string => `${round}\0${tenant}`;

/** @returns null when the target can't be read: the rest is said all the same. */
async function readCursorSums(pair: Pair): Promise<Map<string, TextRow> | null> {
  try {
    const rows = await pair.target.rows(
      `SELECT tenant, round, SUM(copied) AS copied, SUM(GREATEST(estimated, copied)) AS estimated, SUM(finished) AS finished, COUNT(*) AS begun, UNIX_TIMESTAMP(MAX(at)) * 1000 AS at
       FROM (SELECT tenant, round, SUM(copied_rows) AS copied, SUM(estimated_rows) AS estimated, MIN(finished) AS finished, MAX(updated_at) AS at
             FROM ${qualified(pair.control, 'backfill_cursor')} GROUP BY tenant, round, table_id) x GROUP BY tenant, round`,
    );
    return new Map(rows.map((row) => [keyOf(row['tenant']!, Number(row['round'])), row]));
  } catch {
    return null; // said by `targetReachable`
  }
}

function stateOf(migration: Migration, facts: Facts, plan: Plan): TenantState {
  const { tenant, wave, phase, mode, reason, since, startedAt, runId } = migration;
  const stage = facts.stages.get(tenant);
  const version = stage?.version ?? 0;
  const journal = facts.journal.get(tenant);
  const work = workOf(migration, facts.work);
  const cleanSince = facts.clean.get(tenant)?.['at'];
  return {
    tenant,
    wave,
    phase,
    mode,
    reason,
    pace: migration.rowsPerSecond === 0 ? null : migration.rowsPerSecond,
    reconcilePace: migration.reconcileRowsPerSecond === 0 ? null : migration.reconcileRowsPerSecond,
    since: iso(since),
    startedAt: iso(startedAt),
    stage: stage?.stage ?? 'source-only',
    epoch: stage?.epoch ?? 0,
    version,
    dirty: stage?.dirty ?? false,
    journal: { rows: Number(journal?.['n'] ?? 0), ageMs: Number(journal?.['age'] ?? 0) },
    work,
    backfill: facts.cursors === null ? null : backfillOf(migration, facts.cursors, plan, work),
    cleanSince: cleanSince === undefined || cleanSince === null ? null : iso(Number(cleanSince)),
    openDrift: Number(facts.drift.get(tenant)?.['n'] ?? 0),
    nodes: {
      live: facts.nodes.length,
      following: facts.nodes.filter((node) => node.version >= version).length,
    },
    runId,
  };
}

const BEFORE_RECONCILE: ReadonlySet<Phase> = new Set(['preflight', 'dual-write', 'backfill', 'aborted']);

/** What belongs to the phase and is not held; a row that a cancelled slice left behind says nothing. */
function workOf({ tenant, phase, mode }: Migration, rows: readonly Progress[]): Work[] {
  const isHeld = mode === 'paused' || mode === 'stopped';
  const goesOn: Readonly<Record<Activity, boolean>> = {
    backfill: phase === 'backfill' && !isHeld,
    reconcile: !BEFORE_RECONCILE.has(phase) && !(isHeld && phase === 'reconcile'),
  };
  return rows
    .filter((row) => row.tenant === tenant && goesOn[row.activity])
    .map(({ activity, rowsPerSecond, slow, slowForMs, ageMs }) => {
      const stale = ageMs > STALE;
      return { activity, rowsPerSecond, slow, slowForMs, ageMs, stale };
    });
}

/** The estimate is whole only when every table was begun; a rate over less than a percent says nothing. */
function backfillOf(
  { tenant, round, phase, since }: Migration,
  cursors: ReadonlyMap<string, TextRow>,
  plan: Plan,
  work: readonly Work[],
): Backfill {
  const row = cursors.get(keyOf(tenant, round));
  const all = plan.tables.filter(({ tenancy }) => (tenancy.kind === 'shared') === (tenant === SHARED)).length;
  const copied = Number(row?.['copied'] ?? 0);
  const estimated = Number(row?.['begun'] ?? 0) >= all ? Number(row?.['estimated'] ?? 0) : null;
  const share = estimated === null || estimated === 0 ? null : copied / estimated;
  const seconds = (Number(row?.['at'] ?? 0) - since) / 1_000;
  const usual = phase === 'backfill' && copied > 0 && seconds > 0 ? Math.round(copied / seconds) : null;
  const lately = work.find(({ activity, stale }) => activity === 'backfill' && !stale)?.rowsPerSecond;
  const rate = lately ?? usual;
  const told = share !== null && share >= 0.01;
  const finished = Number(row?.['finished'] ?? 0);
  return {
    copied,
    estimated,
    tables: { finished, all },
    // The estimate is the server's, and seldom right to the row.
    percent: finished >= all ? 100 : told ? Math.floor(share * 100) : null,
    rowsPerSecond: rate,
    etaMs: told && rate !== null && rate > 0 ? Math.round(((estimated! - copied) / rate) * 1_000) : null,
  };
}

export const iso = (ms: number): string => new Date(ms).toISOString();
