/**
 * How far replicas are behind: the age of the first heartbeat that one of them lacks. The age of the last one
 * that it has would also count the time in which nobody wrote any.
 */
import type { Milliseconds } from '../domain/duration.ts';
import type { Database, Session } from './database.ts';

/** Row of `heartbeat`; the workers' own presence is another. */
const BEAT = 1;
/** Of a replica that takes nothing for hours the first beat it lacks says enough. */
const KEPT = 1_000;

export const beat = (session: Session, table: string): Promise<unknown> =>
  session.run(
    `INSERT INTO ${table} VALUES (${BEAT}, NOW(6)) ON DUPLICATE KEY UPDATE beaten_at = VALUES(beaten_at)`,
  );

/** Instants on the writer's clock, in microseconds, the oldest first: no clock has to agree with another. */
const beats = new WeakMap<Database, readonly number[]>();

const micros = (expression: string): string => `CAST(UNIX_TIMESTAMP(${expression}) * 1000000 AS UNSIGNED)`;

async function lastBeat(db: Pick<Session, 'rows'>, table: string): Promise<number | null> {
  const [row] = await db.rows(`SELECT ${micros('beaten_at')} AS at FROM ${table} WHERE id = ${BEAT}`);
  return row === undefined ? null : Number(row['at']);
}

/**
 * Beats, then asks every replica.
 *
 * @param session of the writer
 * @returns at least so far behind, of the replica that is furthest; 0: each has every beat but the one of now
 */
export async function readLag(
  session: Session,
  writer: Database,
  replicas: readonly Database[],
  table: string,
): Promise<Milliseconds> {
  const before = await lastBeat(session, table);
  await beat(session, table);
  const written = [before, await lastBeat(session, table)].filter((at) => at !== null);
  const known = [...new Set([...(beats.get(writer) ?? []), ...written])].sort((a, b) => a - b);
  const has = await Promise.all(
    replicas.map(async (replica) => {
      const at = await lastBeat(replica, table);
      if (at === null) throw new Error(`no heartbeat has reached the replica at ${replica.address} yet`);
      return at;
    }),
  );
  const least = Math.min(...has);
  const lacking = known.filter((at) => at > least);
  beats.set(writer, lacking.length > KEPT ? [lacking[0]!, ...lacking.slice(-KEPT)] : lacking);
  const [first] = lacking;
  if (first === undefined) return 0;
  const [now] = await session.rows(`SELECT ${micros('NOW(6)')} AS now`);
  return Math.max(0, Math.round((Number(now!['now']) - first) / 1_000));
}
