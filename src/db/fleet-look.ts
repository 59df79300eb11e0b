/** One look at the fleet: every wave is counted, the decision is taken (`domain/wave.ts`) and stands in the record. */
import type { WavePolicy } from '../domain/plan.ts';
import { decide, type Decision, type FleetNumbers, type WaveCounts } from '../domain/wave.ts';
import type { Database, Session, TextRow } from './database.ts';
import { appendDecision, beginWave, ms, owned, readFleet, setMode, type FleetRow } from './fleet.ts';
import { IS_AWAITED, IS_MOVING, NOT_STARTED, rosterTable } from './fleet-rows.ts';
import { readTraffic } from './fleet-traffic.ts';
import { list, literal, qualified, tenantLiteral } from './sql.ts';
import type { Pair } from './tracked.ts';

/** Children that one look starts; the rest follow with the next. */
const STARTS_MAX = 20;

/** What a look at the fleet came to: the decision is carried out in the record when this returns. */
export interface FleetLook {
  readonly row: FleetRow;
  readonly decision: Decision;
  readonly counts: readonly WaveCounts[];
  /** Tenants to start now; they are on record as started, and come again should their run never be heard of. */
  readonly due: readonly string[];
}

export async function lookAtFleet(
  pair: Pair,
  runId: string,
  waves: readonly WavePolicy[],
): Promise<FleetLook> {
  const { source, control } = pair;
  const counts = await countWaves(source, control, waves);
  const underWay = (await readFleet(source, control))?.wave;
  const current = waves.find(({ name }) => name === underWay);
  const traffic = current === undefined ? null : await readTraffic(source, control, current, STARTS_MAX);
  return source.transaction(async (session) => {
    const row = await owned(session, control, runId);
    const [clock] = await session.rows('SELECT UNIX_TIMESTAMP(NOW(6)) * 1000 AS now');
    const wave = waves.findIndex(({ name }) => name === row.wave);
    const numbers: FleetNumbers = { at: ms(clock!['now'])!, wave, waves, counts, traffic };
    const decision: Decision =
      wave < 0
        ? { kind: 'stop', wave: row.wave, reason: `the plan has no wave ${row.wave} any more` }
        : row.mode === 'paused' || row.mode === 'stopped'
          ? { kind: 'wait', reason: row.reason ?? row.mode }
          : decide(numbers);
    const due = await carryOut(session, control, row, decision, numbers);
    return { row: (await readFleet(session, control))!, decision, counts, due };
  });
}

async function carryOut(
  session: Session,
  control: string,
  row: FleetRow,
  decision: Decision,
  numbers: FleetNumbers,
): Promise<string[]> {
  const actor = 'switchback';
  const evidence = JSON.stringify(numbers.counts);
  switch (decision.kind) {
    case 'start': {
      const due = await takeDue(session, control, decision.wave, Math.min(decision.count, STARTS_MAX));
      if (row.mode !== 'running') await setMode(session, control, 'running', null);
      return due;
    }
    case 'widen': {
      await beginWave(session, control, decision.to);
      const why = `wave ${decision.from} is in ramp and clean for its soak`;
      await appendDecision(session, control, { wave: decision.to, event: 'widen', actor, why, evidence });
      return [];
    }
    case 'stop':
      if (row.mode !== 'stopped') {
        await setMode(session, control, 'stopped', decision.reason);
        await appendDecision(session, control, {
          wave: row.wave,
          event: 'stop',
          actor,
          why: decision.reason,
          evidence,
        });
      }
      return [];
    case 'finish':
    case 'wait': {
      const reason =
        decision.kind === 'wait' ? decision.reason : 'every wave is in ramp and clean for its soak';
      if (row.mode === 'running' || (row.mode === 'waiting' && row.reason !== reason))
        await setMode(session, control, 'waiting', reason);
      return [];
    }
  }
}

async function takeDue(session: Session, control: string, wave: string, limit: number): Promise<string[]> {
  const rows = await session.rows(
    `SELECT r.tenant FROM ${rosterTable(control)} r LEFT JOIN ${qualified(control, 'migration')} m ON m.tenant = r.tenant
     WHERE r.wave = ${literal(wave)} AND ${NOT_STARTED} ORDER BY r.position LIMIT ${limit}`,
  );
  const due = rows.map((row) => row['tenant']!);
  if (due.length > 0)
    await session.run(
      `UPDATE ${rosterTable(control)} SET started_at = NOW(6) WHERE tenant IN (${list(due.map(tenantLiteral))})`,
    );
  return due;
}

/** Clean for the soak: in `ramp` for so long, with a clean pass and none that was not, and no drift open. */
const SOAKED = (control: string, soak: number): string =>
  `m.phase = 'ramp' AND m.mode <> 'stopped' AND m.since <= NOW(6) - INTERVAL ${soak * 1_000} MICROSECOND
   AND EXISTS (SELECT 1 FROM ${qualified(control, 'pass')} p WHERE p.tenant = m.tenant AND p.clean = 1 AND p.started_at >= m.since)
   AND NOT EXISTS (SELECT 1 FROM ${qualified(control, 'pass')} p WHERE p.tenant = m.tenant AND p.clean = 0 AND p.ended_at > GREATEST(m.since, NOW(6) - INTERVAL ${soak * 1_000} MICROSECOND))
   AND NOT EXISTS (SELECT 1 FROM ${qualified(control, 'drift')} d WHERE d.tenant = m.tenant AND d.repaired_at IS NULL)`;

export async function countWaves(
  source: Database,
  control: string,
  waves: readonly WavePolicy[],
): Promise<WaveCounts[]> {
  const counted = waves.map(
    ({ name, soak }, place) => `SELECT ${place} AS place, COUNT(*) AS size,
      SUM(${NOT_STARTED}) AS not_started,
      SUM(${IS_MOVING}) AS moving,
      SUM(${IS_AWAITED} AND COALESCE(m.phase, '') = 'ramp') AS ramp,
      SUM(${IS_AWAITED} AND COALESCE(${SOAKED(control, soak)}, 0)) AS soaked,
      SUM(r.held IS NULL AND COALESCE(m.mode, '') = 'stopped') AS stopped,
      SUM(r.held IS NOT NULL) AS held,
      SUM(r.held IS NULL AND COALESCE(m.phase, '') = 'aborted') AS aborted,
      UNIX_TIMESTAMP(MAX(r.started_at)) * 1000 AS started_at
     FROM ${rosterTable(control)} r LEFT JOIN ${qualified(control, 'migration')} m ON m.tenant = r.tenant WHERE r.wave = ${literal(name)}`,
  );
  if (counted.length === 0) return [];
  const rows = await source.rows(`${counted.join(' UNION ALL ')} ORDER BY place`);
  return rows.map((row, place) => toCounts(waves[place]!.name, row));
}

function toCounts(name: string, row: TextRow): WaveCounts {
  const number = (column: string): number => Number(row[column] ?? 0);
  return {
    name,
    size: number('size'),
    notStarted: number('not_started'),
    moving: number('moving'),
    ramp: number('ramp'),
    soaked: number('soaked'),
    stopped: number('stopped'),
    held: number('held'),
    aborted: number('aborted'),
    startedAt: ms(row['started_at']),
  };
}
