/** Is any worker of the migration alive? Each says so every few seconds; `status` and `why` ask without Temporal. */
import { SECOND, type Milliseconds } from '../domain/duration.ts';
import type { Database } from './database.ts';
import { epochMs, qualified } from './sql.ts';

export const PRESENCE_EVERY: Milliseconds = 5 * SECOND;
/** Three of them were missed. */
const SILENT: Milliseconds = 3 * PRESENCE_EVERY;
/** Row of `heartbeat`; the throttle's own beat is 1. */
const WORKERS = 2;

export async function beatWorker(source: Database, control: string): Promise<void> {
  await source.run(
    `INSERT INTO ${qualified(control, 'heartbeat')} VALUES (${WORKERS}, NOW(6)) ON DUPLICATE KEY UPDATE beaten_at = VALUES(beaten_at)`,
  );
}

/** @returns for how long no worker was heard of; null while one is, or when none ever was */
export async function silentFor(source: Database, control: string): Promise<Milliseconds | null> {
  const [row] = await source.rows(
    `SELECT TIMESTAMPDIFF(MICROSECOND, beaten_at, NOW(6)) DIV 1000 AS age FROM ${qualified(control, 'heartbeat')} WHERE id = ${WORKERS}`,
  );
  const age = Number(row?.['age'] ?? 0);
  return age > SILENT ? age : null;
}

/** When one was last heard of, epoch milliseconds of the source; null: none ever was. */
export async function workerAt(source: Database, control: string): Promise<number | null> {
  const [row] = await source.rows(
    `SELECT ${epochMs('beaten_at')} AS at FROM ${qualified(control, 'heartbeat')} WHERE id = ${WORKERS}`,
  );
  return row === undefined ? null : Math.floor(Number(row['at']));
}
