/**
 * One read on one side, for a comparison: what it came to, how long it took, and what it asked.
 */
import type { QueryOptions } from 'mysql2/promise';

import { canonical } from './canonical.ts';
import { failed } from './comparator.ts';
import { DeadlineError } from './errors.ts';
import { LentConnection, lendSession, NeedsAuthority, type Answer, type ReadFunction } from './handle.ts';
import { SideFault } from './pool.ts';
import type { Session } from '../db/database.ts';
import { stripError } from '../db/faults.ts';
import { ident } from '../db/sql.ts';
import type { Milliseconds } from '../domain/duration.ts';
import { DatabaseError, TransientDatabaseError } from '../domain/errors.ts';
import type { Side } from '../domain/stage.ts';

/** The function, and a clock that runs while it does: waiting for a connection is no side's slowness. */
export interface Clocked<T> {
  readonly fn: ReadFunction<T>;
  /** null: it did not begin, or has not ended. */
  readonly tookMs: () => Milliseconds | null;
  readonly hasBegun: () => boolean;
}

export function clocked<T>(fn: ReadFunction<T>): Clocked<T> {
  let hasBegun = false;
  let tookMs: Milliseconds | null = null;
  return {
    tookMs: () => tookMs,
    hasBegun: () => hasBegun,
    async fn(conn) {
      hasBegun = true;
      tookMs = null;
      const began = performance.now();
      try {
        return await fn(conn);
      } finally {
        tookMs = performance.now() - began;
      }
    },
  };
}

/** The function, overheard: `hear` gets each statement with its values in place. */
export const overheard =
  <T>(fn: ReadFunction<T>, hear: (statement: string) => void): ReadFunction<T> =>
  (conn) => {
    const send = (statement: QueryOptions): Promise<Answer> => {
      hear(conn.format(statement.sql, statement.values as unknown[]));
      return conn.query(statement) as Promise<Answer>;
    };
    // What may be sent is judged by the connection below.
    const outer = new LentConnection(send, true);
    return whileLent(outer, fn);
  };

export async function whileLent<T>(lent: LentConnection, fn: ReadFunction<T>): Promise<T> {
  try {
    return await fn(lent.facade);
  } finally {
    lent.close();
  }
}

/**
 * What a read came to. A statement that one side refuses, or an error of the application's own, is an answer
 * too: the other side must give the same.
 *
 * @throws what says that a side is ill, which is no answer
 */
export async function outcomeOf(read: () => Promise<unknown>): Promise<string> {
  try {
    return canonical(await read());
  } catch (error) {
    const cause = stripError('shadow', error instanceof SideFault ? error.cause : error);
    if (cause instanceof TransientDatabaseError || cause instanceof DeadlineError) throw error;
    if (cause instanceof NeedsAuthority) throw error;
    return cause instanceof DatabaseError ? failed('refused', cause.errno) : failed('threw', cause.name);
  }
}

/** In a session that is held open for the comparison. */
export async function outcomeIn(
  session: Session,
  side: Side,
  schema: string,
  fn: ReadFunction<unknown>,
): Promise<string> {
  await session.run(`USE ${ident(schema)}`);
  const lent = lendSession(session, side === 'source');
  return outcomeOf(() => whileLent(lent, fn));
}
