/** Who is in the way of a trigger? Its table's metadata lock is held by any transaction that read or wrote it. */
import { DatabaseError } from '../domain/errors.ts';
import type { Database } from './database.ts';
import { qualified } from './sql.ts';

export interface LockedTable {
  readonly schema: string;
  readonly table: string;
}

/** The holder by name where the server shows metadata locks to this user, else the oldest transaction of the server. */
export async function blockerOf(source: Database, locked: LockedTable): Promise<string> {
  return (await holder(source, locked)) ?? oldestTransaction(source);
}

/** MySQL has the locks in performance_schema; MariaDB, and a user without SELECT there, see none. */
async function holder(source: Database, { schema, table }: LockedTable): Promise<string | null> {
  try {
    const [row] = await source.rows(
      `SELECT t.PROCESSLIST_ID AS id, COALESCE(TIMESTAMPDIFF(SECOND, x.trx_started, NOW()), t.PROCESSLIST_TIME) AS age,
              CONCAT(t.PROCESSLIST_USER, '@', t.PROCESSLIST_HOST) AS who
       FROM performance_schema.metadata_locks m
       JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID
       LEFT JOIN information_schema.INNODB_TRX x ON x.trx_mysql_thread_id = t.PROCESSLIST_ID
       WHERE m.OBJECT_TYPE = 'TABLE' AND m.OBJECT_SCHEMA = ? AND m.OBJECT_NAME = ? AND m.LOCK_STATUS = 'GRANTED'
         AND m.LOCK_DURATION <> 'STATEMENT' AND t.PROCESSLIST_ID <> CONNECTION_ID()
       ORDER BY age DESC LIMIT 1`,
      [schema, table],
    );
    if (row === undefined) return null;
    return `connection ${row['id']} (${row['who'] ?? 'unknown'}) holds ${qualified(schema, table)}, for ${row['age']} s; it ends with COMMIT, or KILL ${row['id']}`;
  } catch (error) {
    if (error instanceof DatabaseError) return null;
    throw error;
  }
}

async function oldestTransaction(source: Database): Promise<string> {
  const [row] = await source.rows(
    `SELECT trx_mysql_thread_id AS id, TIMESTAMPDIFF(SECOND, trx_started, NOW()) AS age FROM information_schema.INNODB_TRX
     WHERE trx_mysql_thread_id <> CONNECTION_ID() ORDER BY trx_started LIMIT 1`,
  );
  return row === undefined
    ? 'no open transaction is visible'
    : `the oldest open transaction is connection ${row['id']}, open for ${row['age']} s`;
}
