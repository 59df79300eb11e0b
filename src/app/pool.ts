/**
 * The application's own connections to one side, apart from those of mirror and flags: whatever the
 * target does to those, a request never waits behind them.
 */
import { createPool, type Pool, type PoolConnection } from 'mysql2/promise';

import { ident } from '../db/sql.ts';
import { isPerTenant, schemaOf } from '../domain/tenant-schema.ts';
import type { Milliseconds } from '../domain/duration.ts';
import type { Side } from '../domain/stage.ts';
import { bounded, type Bounds } from './bounded.ts';
import { DeadlineError } from './errors.ts';
import { LentConnection, type ReadFunction } from './handle.ts';

export interface PoolOptions {
  readonly side: Side;
  readonly url: string;
  /** Default schema of its sessions; `app_{tenant}`: of the session's tenant. */
  readonly schema: string;
  readonly connections: number;
  /** The server refuses writes in these sessions. */
  readonly readOnly: boolean;
  readonly connectMs: Milliseconds;
}

interface Attempt {
  isLate: boolean;
  connection: PoolConnection | null;
}

const newAttempt = (): Attempt => ({ isLate: false, connection: null });

export class ApplicationPool {
  readonly #side: Side;
  readonly #pool: Pool;
  readonly #schema: string;
  readonly #setup: readonly string[];
  readonly #prepared = new WeakSet<object>();

  constructor(options: PoolOptions) {
    const uri = new URL(options.url);
    uri.pathname = isPerTenant(options.schema) ? '' : `/${encodeURIComponent(options.schema)}`;
    this.#side = options.side;
    this.#schema = options.schema;
    // One zone on both sides, or a TIMESTAMP reads differently.
    this.#setup = [
      "SET SESSION time_zone = '+00:00'",
      ...(options.readOnly ? ['SET SESSION TRANSACTION READ ONLY'] : []),
    ];
    this.#pool = createPool({
      uri: uri.toString(),
      connectionLimit: options.connections,
      connectTimeout: options.connectMs,
      charset: 'utf8mb4',
      timezone: 'Z',
      dateStrings: true,
      supportBigNumbers: true,
      bigNumberStrings: true,
      multipleStatements: false,
      flags: ['-LOCAL_FILES'],
      enableKeepAlive: true,
    });
  }

  /** @throws SchemaMismatchError for a tenant whose id can't name a schema, where each has its own */
  async acquire(tenant: string, attempt: Attempt = newAttempt()): Promise<PoolConnection> {
    const schema = isPerTenant(this.#schema) ? schemaOf(this.#schema, tenant) : null;
    const connection = await this.#pool.getConnection();
    if (attempt.isLate) {
      connection.release();
      throw new DeadlineError(`${this.#side}: no connection in time`);
    }
    // From now on: a server may fall silent during the set-up too, and the connection would be lost to the pool.
    attempt.connection = connection;
    try {
      if (!this.#prepared.has(connection.connection)) {
        for (const statement of this.#setup) await connection.query(statement);
        this.#prepared.add(connection.connection);
      }
      // Each time: whoever had the session before may have been another tenant, or typed USE.
      if (schema !== null) await connection.query(`USE ${ident(schema)}`);
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  /**
   * One read. On the target a failed statement fails it even where the function swallowed the error: the
   * source gets to answer instead.
   *
   * @throws SideFault when a statement or the connection of the target failed; everything else as it came
   * @throws DeadlineError, or the signal's reason, when nobody waits any longer; the connection is destroyed
   */
  read<T>(tenant: string, fn: ReadFunction<T>, bounds: Bounds = {}): Promise<T> {
    const attempt = newAttempt();
    const giveUp = (why: unknown): unknown => {
      attempt.isLate = true;
      attempt.connection?.destroy();
      return why;
    };
    return bounded(this.#attempt(tenant, fn, attempt), bounds, giveUp, `${this.#side}: no answer`);
  }

  async #attempt<T>(tenant: string, fn: ReadFunction<T>, attempt: Attempt): Promise<T> {
    const connection = await this.acquire(tenant, attempt).catch((error: unknown) => {
      throw this.#fault(error);
    });
    const handle = new LentConnection((statement) => connection.query(statement), this.#side === 'source');
    try {
      const value = await fn(handle.facade);
      if (handle.fault !== null && this.#side === 'target') throw handle.fault;
      return value;
    } catch (error) {
      throw handle.fault === null ? error : this.#fault(error, handle.fault);
    } finally {
      attempt.connection = null;
      handle.close();
      if (isFatal(handle.fault)) connection.destroy();
      else if (!attempt.isLate) connection.release();
    }
  }

  #fault(error: unknown, statement: unknown = error): unknown {
    return this.#side === 'target' ? new SideFault(statement) : error;
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
