/** Whose share of the application's reads is how large: what a wave's limit by traffic is judged by. */
import type { WavePolicy } from '../domain/plan.ts';
import type { Traffic } from '../domain/wave.ts';
import type { Database } from './database.ts';
import { IS_MOVING, NOT_STARTED, rosterTable } from './fleet-rows.ts';
import { READS_OF_ROW } from './read-load.ts';
import { literal, qualified } from './sql.ts';

/** Every weekday once. */
const DAYS = 7;

/**
 * Reads of the last week, as the application's nodes count them, of tenants that migrate and of all others.
 *
 * @param limit tenants of the wave that are looked at, in the order in which they start
 * @returns null: the wave has no such limit
 */
export async function readTraffic(
  source: Database,
  control: string,
  { name, trafficAtOnce }: WavePolicy,
  limit: number,
): Promise<Traffic | null> {
  if (trafficAtOnce === undefined) return null;
  const reads = `(SELECT tenant, SUM(${READS_OF_ROW}) AS n FROM ${qualified(control, 'read_load')} WHERE day > UTC_DATE() - INTERVAL ${DAYS} DAY GROUP BY tenant)`;
  const from = `FROM ${rosterTable(control)} r LEFT JOIN ${qualified(control, 'migration')} m ON m.tenant = r.tenant LEFT JOIN ${reads} t ON t.tenant = r.tenant`;
  const [sums] = await source.rows(
    `SELECT (SELECT SUM(n) FROM ${reads} a) AS everybody, (SELECT SUM(t.n) ${from} WHERE ${IS_MOVING}) AS moving`,
  );
  const next = await source.rows(
    `SELECT COALESCE(t.n, 0) AS n ${from} WHERE r.wave = ${literal(name)} AND ${NOT_STARTED} ORDER BY r.position LIMIT ${limit}`,
  );
  const all = Number(sums?.['everybody'] ?? 0);
  const percent = (some: string | null | undefined): number => (100 * Number(some ?? 0)) / all;
  return all === 0
    ? { isKnown: false, moving: 0, next: [] }
    : { isKnown: true, moving: percent(sums?.['moving']), next: next.map(({ n }) => percent(n)) };
}
