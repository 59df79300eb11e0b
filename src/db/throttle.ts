/** Why copying waits: signals of both servers, closed when one can't be read. */
import { TransientDatabaseError } from '../domain/errors.ts';
import type { Limits } from '../domain/plan.ts';
import type { Pair } from './tracked.ts';

/** @returns why copying waits, or null. A signal that can't be read throws: closed, not open. */
export async function throttled(pair: Pair, limits: Limits): Promise<string | null> {
  for (const db of [pair.source, pair.target]) {
    const [row] = await db.rows("SHOW GLOBAL STATUS LIKE 'Threads_running'");
    const running = Number(row?.['Value'] ?? Number.NaN);
    if (Number.isNaN(running)) throw new TransientDatabaseError(`${db.side}: Threads_running can't be read`);
    if (running > limits.threadsRunning)
      return `${db.side} has ${running} threads running, more than ${limits.threadsRunning}`;
  }
  return null;
}
