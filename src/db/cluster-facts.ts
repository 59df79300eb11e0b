/** What a worker read of the Temporal cluster, for gates that are judged without it. */
import type { Milliseconds } from '../domain/duration.ts';
import type { Evidence } from '../domain/evidence.ts';
import type { Database } from './database.ts';
import { epochMs, qualified } from './sql.ts';

export async function saveRetention(
  source: Database,
  control: string,
  retention: Milliseconds,
): Promise<void> {
  const ms = Math.round(retention);
  await source.run(
    `INSERT INTO ${qualified(control, 'cluster')} (id, retention_ms, read_at) VALUES (1, ${ms}, NOW(6)) ON DUPLICATE KEY UPDATE retention_ms = ${ms}, read_at = NOW(6)`,
  );
}

export async function readRetention(source: Database, control: string): Promise<Evidence['retention']> {
  const [row] = await source.rows(
    `SELECT retention_ms, ${epochMs('read_at')} AS read_at FROM ${qualified(control, 'cluster')} WHERE id = 1`,
  );
  return row === undefined
    ? null
    : { ms: Number(row['retention_ms']), readAt: Math.floor(Number(row['read_at'])) };
}
