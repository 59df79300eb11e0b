/**
 * Is any worker of the migration alive, and do histories get exported? Workers say so; `status` asks without Temporal (`why`
 * for the first only). Of several workers that export, each to a folder of its own, the best one counts.
 */
import { HOUR, SECOND, type Milliseconds } from '../domain/duration.ts';
import type { Database } from './database.ts';
import { epochMs, qualified } from './sql.ts';

export const PRESENCE_EVERY: Milliseconds = 5 * SECOND;
/** Three of them were missed. */
const SILENT: Milliseconds = 3 * PRESENCE_EVERY;
/** Six rounds of the export were missed. */
const EXPORT_LATE: Milliseconds = HOUR;
/** Rows of `heartbeat`; the throttle's own beat is 1. */
const WORKERS = 2;
const EXPORT = 3;

export async function beatWorker(source: Database, control: string): Promise<void> {
  await source.run(
    `INSERT INTO ${qualified(control, 'heartbeat')} VALUES (${WORKERS}, NOW(6)) ON DUPLICATE KEY UPDATE beaten_at = VALUES(beaten_at)`,
  );
}

/** @returns for how long no worker was heard of; null while one is, or when none ever was */
export async function silentFor(source: Database, control: string): Promise<Milliseconds | null> {
  const age = await ageOf(source, control, WORKERS);
  return age > SILENT ? age : null;
}

async function ageOf(source: Database, control: string, id: number): Promise<Milliseconds> {
  const [row] = await source.rows(
    `SELECT TIMESTAMPDIFF(MICROSECOND, beaten_at, NOW(6)) DIV 1000 AS age FROM ${qualified(control, 'heartbeat')} WHERE id = ${id}`,
  );
  return Number(row?.['age'] ?? 0);
}

/** An export begins its watch: lateness counts from here, or from an earlier one that was whole. */
export async function watchExport(source: Database, control: string): Promise<void> {
  await source.run(`INSERT IGNORE INTO ${qualified(control, 'heartbeat')} VALUES (${EXPORT}, NOW(6))`);
}

/** @param secondsAgo when the round began that is whole now */
export async function beatExport(source: Database, control: string, secondsAgo: number): Promise<void> {
  const at = `NOW(6) - INTERVAL ${secondsAgo.toFixed(6)} SECOND`;
  await source.run(
    `INSERT INTO ${qualified(control, 'heartbeat')} VALUES (${EXPORT}, ${at}) ON DUPLICATE KEY UPDATE beaten_at = GREATEST(beaten_at, VALUES(beaten_at))`,
  );
}

/** @returns how old the last whole export is; null while it is young, or when no worker exports */
export async function exportLate(source: Database, control: string): Promise<Milliseconds | null> {
  const age = await ageOf(source, control, EXPORT);
  return age > EXPORT_LATE ? age : null;
}

/** When one was last heard of, epoch milliseconds of the source; null: none ever was. */
export async function workerAt(source: Database, control: string): Promise<number | null> {
  const [row] = await source.rows(
    `SELECT ${epochMs('beaten_at')} AS at FROM ${qualified(control, 'heartbeat')} WHERE id = ${WORKERS}`,
  );
  return row === undefined ? null : Math.floor(Number(row['at']));
}
