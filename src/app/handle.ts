/**
 * What the application's functions get instead of a connection: statements, and nothing that could end a
 * transaction, change the session or outlive it.
 *
 * Values are as mysql2 gives them with dates, DECIMAL and BIGINT as text, on either side and in the
 * sessions of `src/db` alike, so that answers of two sides can be compared.
 */
import type { Connection, ResultSetHeader } from 'mysql2/promise';

import type { Param, Session } from '../db/database.ts';
import { HandleClosedError } from './errors.ts';

export interface ReadHandle {
  query<Row extends object = Record<string, unknown>>(sql: string, params?: readonly Param[]): Promise<Row[]>;
}

export interface WriteHandle extends ReadHandle {
  execute(sql: string, params?: readonly Param[]): Promise<Written>;
}

export interface Written {
  readonly affectedRows: number;
  /** As text: it may be larger than a number can say. */
  readonly insertId: string;
}

/** Must depend on the rows alone: it may run on both sides, and its answers are compared. */
export type ReadFunction<T> = (handle: ReadHandle) => Promise<T>;
export type WriteFunction<T> = (handle: WriteHandle) => Promise<T>;

export class ConnectionHandle implements WriteHandle {
  readonly #connection: Connection;
  #closed = false;
  #fault: unknown = null;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The first error of a statement, even where the function went on without it; null: none. */
  get fault(): unknown {
    return this.#fault;
  }

  close(): void {
    this.#closed = true;
  }

  async query<Row extends object>(sql: string, params: readonly Param[] = []): Promise<Row[]> {
    return (await this.#send(sql, params)) as Row[];
  }

  async execute(sql: string, params: readonly Param[] = []): Promise<Written> {
    const { affectedRows, insertId } = (await this.#send(sql, params)) as ResultSetHeader;
    return { affectedRows, insertId: String(insertId) };
  }

  async #send(sql: string, params: readonly Param[]): Promise<unknown> {
    if (this.#closed) throw new HandleClosedError('this read or transaction has ended; await what it starts');
    try {
      const [result] = await this.#connection.query(sql, [...params]);
      return result;
    } catch (error) {
      this.#fault ??= error;
      throw error;
    }
  }
}

/** The same reads in a session of `src/db`, for the comparison at one instant. */
export const sessionHandle = (session: Session): ReadHandle => ({
  // `run` leaves the values to the driver, as the application's connections do.
  query: async <Row extends object>(sql: string, params: readonly Param[] = []) =>
    (await session.run(sql, params)) as unknown as Row[],
});
