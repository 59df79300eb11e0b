/** One write transaction, and what is known of its end. */
import { ConnectionHandle, type WriteFunction } from './handle.ts';
import { isFatal, type ApplicationPool } from './pool.ts';

export interface Ended<T> {
  readonly value: T | null;
  /** Was COMMIT sent? */
  readonly mayBeCommitted: boolean;
  /** null: committed. */
  readonly error: unknown;
}

/** Commits when `fn` returns and rolls back when it throws; errors are the driver's, or the application's own. */
export async function runTransaction<T>(
  pool: ApplicationPool,
  tenant: string,
  fn: WriteFunction<T>,
): Promise<Ended<T>> {
  let mayBeCommitted = false;
  const connection = await pool.acquire(tenant);
  const handle = new ConnectionHandle(connection);
  try {
    await connection.query('START TRANSACTION');
    const value = await fn(handle);
    handle.close();
    mayBeCommitted = true;
    await connection.query('COMMIT');
    connection.release();
    return { value, mayBeCommitted, error: null };
  } catch (error) {
    handle.close();
    const isUsable = !isFatal(error) && !isFatal(handle.fault) && (await rollsBack(connection));
    if (isUsable) connection.release();
    else connection.destroy();
    return { value: null, mayBeCommitted, error };
  }
}

const rollsBack = (connection: { query(sql: string): Promise<unknown> }): Promise<boolean> =>
  connection.query('ROLLBACK').then(
    () => true,
    () => false,
  );
