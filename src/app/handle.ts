/**
 * What the application's functions get: mysql2's own connection as far as statements go, and nothing that
 * could end a transaction, change the session or outlive it.
 *
 * Dates, DECIMAL and BIGINT come as text, on either side and in the sessions of `src/db` alike, so that
 * answers of two sides can be compared.
 */
import { escape, escapeId, format } from 'mysql2';
import type { Connection, FieldPacket, QueryOptions } from 'mysql2/promise';

import type { Session } from '../db/database.ts';
import { ConnectionEndedError, StatementRefusedError } from './errors.ts';
import { isLocking, refuseTransactionControl } from './statements.ts';

/** Must depend on the rows alone: it may run twice, on both sides, and its answers are compared. */
export type ReadFunction<T> = (conn: Connection) => Promise<T>;
export type WriteFunction<T> = (conn: Connection) => Promise<T>;

export type Answer = [unknown, FieldPacket[]];
type Send = (statement: QueryOptions) => Promise<Answer>;

/** A locking read came to a side that is not the authority; the router asks the authority instead. */
export class NeedsAuthority extends Error {
  override readonly name = 'NeedsAuthority';
}

export class LentConnection implements Pick<
  Connection,
  'query' | 'execute' | 'escape' | 'escapeId' | 'format'
> {
  readonly escape = escape;
  readonly escapeId = escapeId;
  readonly format = format;
  readonly #send: Send;
  readonly #isAuthority: boolean;
  #closed = false;
  #fault: unknown = null;

  constructor(send: Send, isAuthority: boolean) {
    this.#send = send;
    this.#isAuthority = isAuthority;
  }

  /** The first error of a statement, even where the function went on without it; null: none. */
  get fault(): unknown {
    return this.#fault;
  }

  /** What the application sees; the members that are missing here throw. */
  get facade(): Connection {
    return this as unknown as Connection;
  }

  get isOpen(): boolean {
    return !this.#closed;
  }

  close(): void {
    this.#closed = true;
  }

  async query<T>(sql: string | QueryOptions, values?: unknown): Promise<[T, FieldPacket[]]> {
    if (this.#closed)
      throw new ConnectionEndedError('this read or transaction has ended; await what it starts');
    const statement = typeof sql === 'string' ? { sql } : sql;
    refuseTransactionControl(statement.sql);
    try {
      if (!this.#isAuthority && isLocking(statement.sql))
        throw new NeedsAuthority('a locking read goes to the authority');
      const given = values === undefined ? statement : ({ ...statement, values } as QueryOptions);
      return (await this.#send(given)) as [T, FieldPacket[]];
    } catch (error) {
      // The driver keeps no stacks, and the one of its packet handler tells nobody whose statement it was.
      if (error instanceof Error) Error.captureStackTrace(error);
      this.#fault ??= error;
      throw error;
    }
  }

  /** By the text protocol, so that a value looks the same however it was asked for. */
  execute<T>(sql: string | QueryOptions, values?: unknown): Promise<[T, FieldPacket[]]> {
    return this.query(sql, values);
  }
}

// prettier-ignore
const REFUSED = ['beginTransaction', 'commit', 'rollback', 'changeUser', 'reset', 'connect', 'ping', 'prepare', 'unprepare', 'release', 'destroy', 'end', 'pause', 'resume'];

for (const name of REFUSED)
  Object.defineProperty(LentConnection.prototype, name, {
    value: () => {
      throw new StatementRefusedError(
        `${name}() is not for this connection: it belongs to the router, which begins and ends transactions`,
      );
    },
  });

/** Has the read or the write not ended that it was lent to? */
export const isLent = (conn: Connection): boolean => (conn as unknown as LentConnection).isOpen;

/** The same in a session of `src/db`, for the comparison at one instant. */
export const lendSession = (session: Session, isAuthority: boolean): LentConnection =>
  new LentConnection((statement) => session.pass(statement), isAuthority);
