/**
 * The fleet's record in the source's control schema: which wave is under way, who belongs to which wave, and every
 * decision with the numbers that it stood on. As with a tenant's record, only the run that claimed it changes it.
 */
import { LostClaimError } from '../domain/errors.ts';
import type { Mode } from '../domain/phase.ts';
import type { Wave } from '../domain/plan.ts';
import type { WaveCounts } from '../domain/wave.ts';
import type { Database, Session } from './database.ts';
import { rosterTable } from './fleet-rows.ts';
import { list, literal, qualified, tenantLiteral } from './sql.ts';
import type { Pair } from './tracked.ts';

export interface FleetRow {
  readonly runId: string;
  /** Name of the wave that is under way. */
  readonly wave: string;
  readonly mode: Mode;
  readonly reason: string | null;
  /** Epoch milliseconds of the source. */
  readonly since: number;
}

const INSERT_ROWS = 500;

const fleetTable = (control: string): string => qualified(control, 'fleet');

/** Epoch milliseconds of a text that MySQL gave. */
export const ms = (value: string | null | undefined): number | null =>
  value === null || value === undefined ? null : Math.floor(Number(value));

export async function readFleet(
  source: Database | Session,
  control: string,
  lock = '',
): Promise<FleetRow | null> {
  const [row] = await source.rows(
    `SELECT run_id, wave, mode, reason, UNIX_TIMESTAMP(since) * 1000 AS since FROM ${fleetTable(control)} WHERE id = 1 ${lock}`,
  );
  if (row === undefined) return null;
  return {
    runId: row['run_id']!,
    wave: row['wave']!,
    mode: row['mode'] as Mode,
    reason: row['reason'] ?? null,
    since: ms(row['since'])!,
  };
}

/** The plan's waves become the roster; who is in it already stays where it stands. */
export async function enroll(pair: Pair, waves: readonly Wave[]): Promise<void> {
  const rows = waves.flatMap(({ name, tenants }) =>
    tenants.map((tenant) => `(${tenantLiteral(tenant)}, ${literal(name)})`),
  );
  for (let at = 0; at < rows.length; at += INSERT_ROWS) {
    await pair.source.run(
      `INSERT IGNORE INTO ${rosterTable(pair.control)} (tenant, wave) VALUES ${list(rows.slice(at, at + INSERT_ROWS))}`,
    );
  }
}

export interface FleetClaim {
  readonly runId: string;
  readonly firstWave: string;
  /** Of a run that continues itself: the one before. */
  readonly after: string | null;
  readonly actor: string;
  readonly why: string;
}

/** A new fleet begins with the first wave; one whose run is gone goes on where its record stands, held. */
export async function claimFleet(pair: Pair, claim: FleetClaim): Promise<FleetRow> {
  const { source, control } = pair;
  return source.transaction(async (session) => {
    const known = await readFleet(session, control, 'FOR UPDATE');
    if (known?.runId === claim.runId) return known;
    if (known === null) {
      await session.run(
        `INSERT INTO ${fleetTable(control)} (id, run_id, wave, mode, since) VALUES (1, ?, ?, 'running', NOW(6))`,
        [claim.runId, claim.firstWave],
      );
      await appendDecision(session, control, {
        wave: claim.firstWave,
        event: 'begin',
        ...claim,
        evidence: null,
      });
    } else if (known.runId === claim.after) {
      await session.run(`UPDATE ${fleetTable(control)} SET run_id = ? WHERE id = 1`, [claim.runId]);
    } else {
      const reason = `taken up in wave ${known.wave}; fleet resume goes on`;
      await session.run(
        `UPDATE ${fleetTable(control)} SET run_id = ?, mode = 'paused', reason = ? WHERE id = 1`,
        [claim.runId, reason],
      );
      await appendDecision(session, control, { wave: known.wave, event: 'adopt', ...claim, evidence: null });
    }
    return (await readFleet(session, control))!;
  });
}

/** Locks the record. @throws LostClaimError when another run has the fleet */
export async function owned(session: Session, control: string, runId: string): Promise<FleetRow> {
  const known = await readFleet(session, control, 'FOR UPDATE');
  if (known === null || known.runId !== runId)
    throw new LostClaimError('another run has the fleet; switchback fleet status shows which');
  return known;
}

export const setMode = (session: Session, control: string, mode: Mode, reason: string | null) =>
  session.run(
    `UPDATE ${fleetTable(control)} SET since = IF(mode = ?, since, NOW(6)), mode = ?, reason = ? WHERE id = 1`,
    [mode, mode, reason?.slice(0, 2_000) ?? null],
  );

export const beginWave = (session: Session, control: string, wave: string) =>
  session.run(
    `UPDATE ${fleetTable(control)} SET wave = ?, mode = 'running', reason = NULL, since = NOW(6) WHERE id = 1`,
    [wave],
  );

interface NewDecision {
  readonly wave: string;
  readonly event: string;
  readonly actor: string;
  readonly why: string;
  readonly evidence: string | null;
}

/** Append-only, as the audit is. */
export async function appendDecision(
  session: Session,
  control: string,
  { wave, event, actor, why, evidence }: NewDecision,
) {
  await session.run(
    `INSERT INTO ${qualified(control, 'fleet_decision')} (wave, event, actor, reason, evidence) VALUES (?, ?, ?, ?, ?)`,
    [wave, event.slice(0, 255), actor.slice(0, 255), why.slice(0, 1_000), evidence],
  );
}

export interface FleetDecision {
  readonly at: string;
  readonly wave: string;
  readonly event: string;
  readonly actor: string;
  readonly reason: string;
  /** Counts of every wave at that moment. */
  readonly evidence: readonly WaveCounts[] | null;
}

/** The latest first. */
export async function readDecisions(
  source: Database,
  control: string,
  limit: number,
): Promise<FleetDecision[]> {
  const rows = await source.rows(
    `SELECT at, wave, event, actor, reason, evidence FROM ${qualified(control, 'fleet_decision')} ORDER BY id DESC LIMIT ${limit}`,
  );
  return rows.map((row) => ({
    at: row['at']!,
    wave: row['wave']!,
    event: row['event']!,
    actor: row['actor']!,
    reason: row['reason']!,
    evidence: row['evidence'] == null ? null : (JSON.parse(row['evidence']) as WaveCounts[]),
  }));
}

export interface Enrolled {
  readonly tenant: string;
  readonly wave: string;
  /** Why it is held; null: it is not. */
  readonly held: string | null;
}

export async function readRoster(source: Database, control: string): Promise<Enrolled[]> {
  const rows = await source.rows(`SELECT tenant, wave, held FROM ${rosterTable(control)} ORDER BY position`);
  return rows.map((row) => ({ tenant: row['tenant']!, wave: row['wave']!, held: row['held'] ?? null }));
}
