/**
 * The connections that answer requests on one side, apart from those of mirror and flags: whatever the target does to
 * those, a request never waits behind them.
 */
import type { Pool, PoolConnection } from 'mysql2/promise';

import { ServerPool, sever, type Connections } from '../db/server-pool.ts';
import { ident } from '../db/sql.ts';
import { isPerTenant, schemaOf } from '../domain/tenant-schema.ts';
import type { Milliseconds } from '../domain/duration.ts';
import type { Side } from '../domain/stage.ts';
import { bounded, type Bounds } from './bounded.ts';
import { BusyError, DeadlineError } from './errors.ts';
import { LentConnection, type ReadFunction } from './handle.ts';

export interface PoolOptions {
  readonly side: Side;
  readonly url: string;
  /** Default schema of its sessions; `app_{tenant}`: of the session's tenant. */
  readonly schema: string;
  readonly connections: number;
  /** One more that waits for a connection is refused. */
  readonly waiting: number;
  /** The server refuses writes in these sessions. */
  readonly readOnly: boolean;
  readonly connectMs: Milliseconds;
  /** The application's own, to borrow from; null: one is opened. */
  readonly brought: Pool | null;
  /** Called for each request that is refused. */
  readonly refused?: () => void;
}

interface Attempt {
  isLate: boolean;
  connection: PoolConnection | null;
}

const newAttempt = (): Attempt => ({ isLate: false, connection: null });

const READ_ONLY = 'SET SESSION TRANSACTION READ ONLY';
const READ_WRITE = 'SET SESSION TRANSACTION READ WRITE';

export class ApplicationPool {
  readonly #options: PoolOptions;
  readonly #pool: Pick<ServerPool, 'getConnection' | 'end'>;
  /** null: it was brought. */
  readonly #own: ServerPool | null;
  /** Of a session on its first use. */
  readonly #setup: readonly string[];
  readonly #prepared = new WeakSet<object>();
  #waiting = 0;

  constructor(options: PoolOptions) {
    const { url, schema, connections, connectMs, readOnly, brought } = options;
    this.#options = options;
    // One zone on both sides, or a TIMESTAMP reads differently.
    this.#setup = ["SET SESSION time_zone = '+00:00'", ...(readOnly ? [READ_ONLY] : [])];
    this.#own =
      brought === null
        ? new ServerPool({ url, schema: isPerTenant(schema) ? null : schema, connections, connectMs })
        : null;
    this.#pool = this.#own ?? {
      getConnection: () => brought!.getConnection(),
      end: () => Promise.resolve(),
    };
  }

  /** null: the connections are the application's. */
  get census(): (Connections & { readonly pending: number }) | null {
    return this.#own === null ? null : { ...this.#own.census, pending: this.#waiting };
  }

  /**
   * Whoever gets it gives it back by `release` of the pool, or severs it.
   *
   * @throws BusyError when too many wait already
   * @throws SchemaMismatchError for a tenant whose id can't name a schema, where each has its own
   */
  async acquire(tenant: string, attempt: Attempt = newAttempt()): Promise<PoolConnection> {
    const { side, schema } = this.#options;
    const own = isPerTenant(schema) ? schemaOf(schema, tenant) : null;
    this.#comeIn();
    let connection: PoolConnection;
    try {
      connection = await this.#pool.getConnection();
    } finally {
      this.#waiting -= 1;
    }
    if (attempt.isLate) {
      connection.release();
      throw new DeadlineError(`${side}: no connection in time`);
    }
    // From now on: a server may fall silent during the set-up too, and the connection would be lost to the pool.
    attempt.connection = connection;
    try {
      if (!this.#prepared.has(connection.connection)) await this.#setUp(connection);
      // Each time: whoever had the session before may have been another tenant, or typed USE.
      if (own !== null) await connection.query(`USE ${ident(own)}`);
      return connection;
    } catch (error) {
      sever(connection);
      throw error;
    }
  }

  release(connection: PoolConnection): void {
    if (this.#options.brought === null || !this.#options.readOnly) return connection.release();
    // The application goes on with it, and may want to write. Nobody waits for this.
    connection.query(READ_WRITE).then(
      () => connection.release(),
      () => sever(connection),
    );
  }

  #comeIn(): void {
    const { side, waiting, refused } = this.#options;
    if (this.#waiting >= waiting) {
      refused?.();
      throw new BusyError(`${side}: ${waiting} requests wait for a connection already`);
    }
    this.#waiting += 1;
  }

  async #setUp(connection: PoolConnection): Promise<void> {
    const { brought, readOnly } = this.#options;
    if (brought !== null) {
      // Zone and form of values are the application's choice.
      if (readOnly) await connection.query(READ_ONLY);
      return;
    }
    for (const statement of this.#setup) await connection.query(statement);
    this.#prepared.add(connection.connection);
  }

  /**
   * One read. On the target a failed statement fails it even where the function swallowed the error: the
   * source gets to answer instead.
   *
   * @throws SideFault when a statement or the connection of the target failed; everything else as it came
   * @throws DeadlineError, or the signal's reason, when nobody waits any longer; the connection is destroyed
   */
  read<T>(tenant: string, fn: ReadFunction<T>, bounds: Bounds = {}): Promise<T> {
    const { side } = this.#options;
    const attempt = newAttempt();
    const giveUp = (why: unknown): unknown => {
      attempt.isLate = true;
      if (attempt.connection !== null) sever(attempt.connection);
      return why;
    };
    return bounded(this.#attempt(tenant, fn, attempt), bounds, giveUp, `${side}: no answer`);
  }

  async #attempt<T>(tenant: string, fn: ReadFunction<T>, attempt: Attempt): Promise<T> {
    let connection: PoolConnection;
    try {
      connection = await this.acquire(tenant, attempt);
    } catch (error) {
      throw this.#fault(error);
    }
    const { side } = this.#options;
    const handle = new LentConnection((statement) => connection.query(statement), side === 'source');
    try {
      const value = await fn(handle.facade);
      if (handle.fault !== null && side === 'target') throw handle.fault;
      return value;
    } catch (error) {
      throw handle.fault === null ? error : this.#fault(error, handle.fault);
    } finally {
      attempt.connection = null;
      handle.close();
      if (isFatal(handle.fault)) sever(connection);
      else if (!attempt.isLate) this.release(connection);
    }
  }

  #fault(error: unknown, statement: unknown = error): unknown {
    return this.#options.side === 'target' ? new SideFault(statement) : error;
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

/** Did the driver give the connection up with this error? */
export const isFatal = (error: unknown): boolean => (error as { fatal?: boolean } | null)?.fatal === true;

/** A statement or the connection of the target failed; `cause` is the driver's error. */
export class SideFault extends Error {
  override readonly name = 'SideFault';
  constructor(cause: unknown) {
    super('target: a read failed', { cause });
  }
}
