/**
 * The record of a tenant's migration: phase, mode and evidence live here, the workflow only drives them.
 *
 * Every change is made by the run that claimed the tenant. A run that lost its claim (it was reset, or
 * another one adopted the tenant) changes nothing more: LostClaimError stops it.
 */
import { LostClaimError } from '../domain/errors.ts';
import type { Paced } from '../domain/command.ts';
import type { Waiver } from '../domain/gate.ts';
import { isPhase, PHASES, type Mode, type Phase } from '../domain/phase.ts';
import { STAGES, type Stage } from '../domain/stage.ts';
import { abandonPass, supersedeDrift } from './ledger.ts';
import type { Database, Session, TextRow } from './database.ts';
import { qualified, tenantLiteral } from './sql.ts';
import { appendAudit, changeStage, readStage, type StageRow } from './stages.ts';
import type { Pair } from './tracked.ts';
import { endWaivers, recordWaiver } from './waivers.ts';

export interface Migration {
  readonly tenant: string;
  readonly phase: Phase;
  readonly mode: Mode;
  readonly reason: string | null;
  /** When the phase was entered, epoch milliseconds of the source. */
  readonly since: number;
  readonly startedAt: number;
  readonly runId: string;
  readonly wave: string;
  readonly rowsPerSecond: number;
  readonly reconcileRowsPerSecond: number;
  readonly waivers: readonly Waiver[];
  readonly approved: boolean;
  readonly round: number;
}

const COLUMNS = `tenant, phase, mode, reason, UNIX_TIMESTAMP(since) * 1000 AS since, UNIX_TIMESTAMP(started_at) * 1000 AS started_at,
  run_id, wave, rows_per_second, reconcile_rows_per_second, waivers, approved, backfill_round`;

const migrationTable = (control: string): string => qualified(control, 'migration');

function toMigration(row: TextRow): Migration {
  const phase = row['phase'] ?? '';
  if (!isPhase(phase))
    throw new Error(`unknown phase ${phase}; is this worker older than the control schema?`);
  return {
    tenant: row['tenant']!,
    phase,
    mode: row['mode'] as Mode,
    reason: row['reason'] ?? null,
    since: Math.floor(Number(row['since'])),
    startedAt: Math.floor(Number(row['started_at'])),
    runId: row['run_id']!,
    wave: row['wave']!,
    rowsPerSecond: Number(row['rows_per_second']),
    reconcileRowsPerSecond: Number(row['reconcile_rows_per_second']),
    waivers: JSON.parse(row['waivers'] ?? '[]') as Waiver[],
    approved: row['approved'] === '1',
    round: Number(row['backfill_round']),
  };
}

export async function readMigration(
  source: Database | Session,
  control: string,
  tenant: string,
  lock = '',
): Promise<Migration | null> {
  const [row] = await source.rows(
    `SELECT ${COLUMNS} FROM ${migrationTable(control)} WHERE tenant = ${tenantLiteral(tenant)} ${lock}`,
  );
  return row === undefined ? null : toMigration(row);
}

export async function readMigrations(source: Database, control: string): Promise<Migration[]> {
  const rows = await source.rows(
    `SELECT ${COLUMNS} FROM ${migrationTable(control)} ORDER BY started_at, tenant`,
  );
  return rows.map(toMigration);
}

export interface Claim {
  readonly tenant: string;
  readonly runId: string;
  readonly wave: string;
  /** Take the tenant over from whichever run had it, in the phase where it stands, held. */
  readonly adopt: boolean;
}

/** @throws LostClaimError when another run has the tenant and `adopt` was not asked for */
export async function claimTenant(pair: Pair, claim: Claim): Promise<Migration> {
  return pair.source.transaction(async (session) => {
    const known = await readMigration(session, pair.control, claim.tenant, 'FOR UPDATE');
    const tenant = tenantLiteral(claim.tenant);
    if (known === null) {
      await session.run(
        `INSERT INTO ${migrationTable(pair.control)} (tenant, phase, mode, since, run_id, wave, started_at) VALUES (${tenant}, 'preflight', 'running', NOW(6), ?, ?, NOW(6))`,
        [claim.runId, claim.wave],
      );
    } else if (known.phase === 'aborted') {
      await endWaivers(session, pair.control, claim.tenant);
      await session.run(
        `UPDATE ${migrationTable(pair.control)} SET phase = 'preflight', mode = 'running', reason = NULL, since = NOW(6), started_at = NOW(6), run_id = ?, wave = ?, approved = 0, waivers = NULL WHERE tenant = ${tenant}`,
        [claim.runId, claim.wave],
      );
    } else if (claim.adopt) {
      await session.run(
        `UPDATE ${migrationTable(pair.control)} SET run_id = ?, wave = ? WHERE tenant = ${tenant}`,
        [claim.runId, claim.wave],
      );
      await appendAudit(session, pair.control, {
        tenant: claim.tenant,
        event: 'adopt',
        before: known.runId,
        after: claim.runId,
        epoch: null,
        actor: 'switchback',
        reason: `taken up in ${known.phase}`,
        requestId: null,
      });
    } else if (known.runId !== claim.runId) {
      throw new LostClaimError(
        `${claim.tenant} is in ${known.phase} under another run; switchback start ${claim.tenant} --adopt takes it up`,
      );
    }
    return (await readMigration(session, pair.control, claim.tenant))!;
  });
}

async function owned(session: Session, pair: Pair, tenant: string, runId: string): Promise<Migration> {
  const known = await readMigration(session, pair.control, tenant, 'FOR UPDATE');
  if (known === null || known.runId !== runId) {
    throw new LostClaimError(
      `this run no longer has ${tenant}; switchback start ${tenant} --adopt takes it up in the phase where it stands`,
    );
  }
  return known;
}

export interface PhaseChange {
  readonly tenant: string;
  readonly runId: string;
  readonly from: Phase;
  readonly to: Phase;
  readonly mode: Mode;
  readonly reason: string | null;
  readonly actor: string;
  /** Why the phase changed, for the audit. */
  readonly why: string;
  readonly requestId: string | null;
}

/** Phase and stage change in one transaction; repeating it changes nothing. */
export async function enterPhase(
  pair: Pair,
  change: PhaseChange,
): Promise<{ migration: Migration; stage: StageRow }> {
  const entered = await pair.source.transaction(async (session) => {
    const known = await owned(session, pair, change.tenant, change.runId);
    if (known.phase !== change.to) await movePhase(session, pair, change, known);
    const stage = await changeStage(session, pair.control, {
      tenant: change.tenant,
      to: PHASES[change.to].stage,
      expectEpoch: null,
      from: Object.keys(STAGES) as Stage[],
      actor: change.actor,
      reason: change.why,
      requestId: change.requestId,
    });
    return { migration: (await readMigration(session, pair.control, change.tenant))!, stage };
  });
  if (change.to === 'backfill') {
    await abandonPass(pair, change.tenant);
    await supersedeDrift(pair, change.tenant);
  }
  return entered;
}

async function movePhase(session: Session, pair: Pair, change: PhaseChange, known: Migration): Promise<void> {
  if (known.phase !== change.from) {
    throw new LostClaimError(
      `${change.tenant} is in ${known.phase}, not in ${change.from}; switchback start ${change.tenant} --adopt takes it up there`,
    );
  }
  const round = change.to === 'backfill' ? known.round + 1 : known.round;
  const approved = change.to === 'ramp' || (known.approved && change.to === 'ready') ? 1 : 0;
  await session.run(
    `UPDATE ${migrationTable(pair.control)} SET phase = ?, mode = ?, reason = ?, since = NOW(6), backfill_round = ${round}, approved = ${approved} WHERE tenant = ${tenantLiteral(change.tenant)}`,
    [change.to, change.mode, change.reason],
  );
  if (change.to === 'shadow') await forgetShadow(session, pair.control, change.tenant);
  await appendAudit(session, pair.control, {
    tenant: change.tenant,
    event: 'phase',
    before: known.phase,
    after: change.to,
    epoch: null,
    actor: change.actor,
    reason: change.why,
    requestId: change.requestId,
  });
}

/** The drill's flips: refused as soon as the tenant left the drill, so that a late one can't undo a rollback. */
export async function flipInDrill(
  pair: Pair,
  flip: {
    readonly tenant: string;
    readonly runId: string;
    readonly from: Stage;
    readonly to: Stage;
    readonly reason: string;
  },
): Promise<StageRow> {
  return pair.source.transaction(async (session) => {
    const known = await owned(session, pair, flip.tenant, flip.runId);
    if (known.phase !== 'drill') throw new LostClaimError(`${flip.tenant} left the drill for ${known.phase}`);
    const { tenant, from, to, reason } = flip;
    return changeStage(session, pair.control, {
      tenant,
      to,
      from: [from],
      expectEpoch: null,
      actor: 'switchback',
      reason,
      requestId: null,
    });
  });
}

/** Differences that were true once and mended since must not hold a tenant for ever: they are counted anew. */
async function forgetShadow(session: Session, control: string, tenant: string): Promise<void> {
  for (const table of ['shadow', 'shadow_difference'])
    await session.run(`DELETE FROM ${qualified(control, table)} WHERE tenant = ${tenantLiteral(tenant)}`);
}

export interface ModeChange {
  readonly tenant: string;
  readonly runId: string;
  readonly mode: Mode;
  readonly reason: string | null;
  readonly approved: boolean;
  readonly waivers: readonly Waiver[];
  /** null: leave it. */
  readonly rowsPerSecond: number | null;
  /** What `rowsPerSecond` limits; missing: the backfill. */
  readonly paceOf?: Paced;
  readonly actor: string;
  readonly event: string;
  readonly why: string;
  readonly requestId: string | null;
}

const PACE_COLUMNS: Readonly<Record<Paced, string>> = {
  backfill: 'rows_per_second',
  reconcile: 'reconcile_rows_per_second',
};

export async function saveMode(pair: Pair, change: ModeChange): Promise<void> {
  await pair.source.transaction(async (session) => {
    const known = await owned(session, pair, change.tenant, change.runId);
    const given = change.waivers.at(-1);
    if (change.event.startsWith('waive ') && given !== undefined) {
      const { tenant, requestId } = change;
      const about = { tenant, phase: known.phase, requestId: requestId ?? '' };
      await recordWaiver(session, pair.control, { ...given, ...about });
    }
    const paceOf = change.paceOf ?? 'backfill';
    if (change.event === 'retry') await forgetShadow(session, pair.control, change.tenant);
    await session.run(
      `UPDATE ${migrationTable(pair.control)} SET mode = ?, reason = ?, approved = ?, waivers = ?, ${PACE_COLUMNS[paceOf]} = ? WHERE tenant = ${tenantLiteral(change.tenant)}`,
      [
        change.mode,
        change.reason?.slice(0, 2_000) ?? null,
        change.approved ? 1 : 0,
        JSON.stringify(change.waivers),
        change.rowsPerSecond ?? (paceOf === 'backfill' ? known.rowsPerSecond : known.reconcileRowsPerSecond),
      ],
    );
    await appendAudit(session, pair.control, {
      tenant: change.tenant,
      event: change.event,
      before: known.mode,
      after: change.mode,
      epoch: null,
      actor: change.actor,
      reason: change.why,
      requestId: change.requestId,
    });
  });
}

/** What the gates of a phase wait for, for `status` without a worker; no audit row, it changes all the time. */
export async function saveWaiting(
  pair: Pair,
  tenant: string,
  { runId, phase }: { readonly runId: string; readonly phase: Phase },
  mode: 'running' | 'waiting',
  reason: string | null,
): Promise<void> {
  await pair.source.run(
    `UPDATE ${migrationTable(pair.control)} SET mode = ?, reason = ? WHERE tenant = ${tenantLiteral(tenant)} AND run_id = ? AND phase = ? AND mode IN ('running', 'waiting')`,
    [mode, reason?.slice(0, 2_000) ?? null, runId, phase],
  );
}

/** Reads go back to the source at once, whoever asks: no phase, no workflow and no Redis is needed. */
export async function tripBack(
  pair: Pair,
  tenant: string,
  actor: string,
  why: string,
  requestId: string | null = null,
): Promise<StageRow | null> {
  const current = await readStage(pair.source, pair.control, tenant);
  if (current?.stage !== 'read-target') return null;
  return pair.source.transaction((session) =>
    changeStage(session, pair.control, {
      tenant,
      to: 'shadow-read',
      expectEpoch: null,
      from: ['read-target'],
      actor,
      reason: why,
      requestId,
    }),
  );
}
