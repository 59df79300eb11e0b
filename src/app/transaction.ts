/** One write transaction, and what is known of its end. */
import type { PoolConnection } from 'mysql2/promise';

import { bounded, type Bounds } from './bounded.ts';
import { CommitUnknownError } from './errors.ts';
import { LentConnection, type WriteFunction } from './handle.ts';
import { isFatal, type ApplicationPool } from './pool.ts';
import { sever } from '../db/server-pool.ts';

export interface Ended<T> {
  readonly value: T | null;
  /** Was COMMIT sent? */
  readonly mayBeCommitted: boolean;
  /** null: committed. */
  readonly error: unknown;
}

interface Attempt {
  connection: PoolConnection | null;
  isCommitting: boolean;
  isGivenUp: boolean;
}

/**
 * Commits when `fn` returns and rolls back when it throws; errors are the driver's, or the application's own.
 *
 * @param committing called when COMMIT was sent; must not throw
 */
export async function runTransaction<T>(
  pool: ApplicationPool,
  tenant: string,
  fn: WriteFunction<T>,
  bounds: Bounds = {},
  committing: () => void = () => {},
): Promise<Ended<T>> {
  const attempt: Attempt = { connection: null, isCommitting: false, isGivenUp: false };
  const giveUp = (why: unknown): unknown => {
    attempt.isGivenUp = true;
    // The server rolls back what was not committed.
    if (attempt.connection !== null) sever(attempt.connection);
    return attempt.isCommitting ? lostCommit(why) : why;
  };
  try {
    const value = await bounded(
      transact(pool, tenant, fn, { attempt, committing }),
      bounds,
      giveUp,
      'no commit',
    );
    return { value, mayBeCommitted: true, error: null };
  } catch (error) {
    return { value: null, mayBeCommitted: attempt.isCommitting, error };
  }
}

async function transact<T>(
  pool: ApplicationPool,
  tenant: string,
  fn: WriteFunction<T>,
  { attempt, committing }: { readonly attempt: Attempt; readonly committing: () => void },
): Promise<T> {
  const connection = await pool.acquire(tenant);
  if (attempt.isGivenUp) {
    pool.release(connection);
    throw new Error('given up before it began');
  }
  attempt.connection = connection;
  const lent = new LentConnection((statement) => connection.query(statement), true);
  try {
    await connection.query('START TRANSACTION');
    const value = await fn(lent.facade);
    lent.close();
    if (isFatal(lent.fault)) throw lent.fault;
    await commit(connection, attempt, committing);
    pool.release(connection);
    return value;
  } catch (error) {
    lent.close();
    if (attempt.isGivenUp) throw error;
    const isUsable = !isLost(error) && !isFatal(lent.fault) && (await rollsBack(connection));
    if (isUsable) pool.release(connection);
    else sever(connection);
    throw error;
  }
}

async function commit(connection: PoolConnection, attempt: Attempt, committing: () => void): Promise<void> {
  // Nobody waits any more: the caller was told that it is rolled back.
  if (attempt.isGivenUp) throw new Error('given up before its commit');
  attempt.isCommitting = true;
  try {
    const answer = connection.query('COMMIT');
    committing();
    await answer;
  } catch (error) {
    if (isFatal(error)) throw lostCommit(error);
    // An answer of the server is an answer: it refused, and rolled back.
    Error.captureStackTrace(error as Error);
    attempt.isCommitting = false;
    throw error;
  }
}

const lostCommit = (cause: unknown): CommitUnknownError =>
  new CommitUnknownError('the answer to COMMIT was lost: look at the data before you write again', { cause });

const isLost = (error: unknown): boolean => isFatal(error) || error instanceof CommitUnknownError;

const rollsBack = (connection: PoolConnection): Promise<boolean> =>
  connection.query('ROLLBACK').then(
    () => true,
    () => false,
  );
