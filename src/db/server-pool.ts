/**
 * mysql2's pool as everything here has it: values as text, in one zone, under whatever flags Node runs; and an end that
 * comes, however silent the server is.
 */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { createPool, type Pool, type PoolConnection } from 'mysql2/promise';

import { SECOND, type Milliseconds } from '../domain/duration.ts';
import { socketOf } from './stream.ts';

export interface ServerPoolOptions {
  readonly url: string;
  /** Default schema of its sessions; null: none. */
  readonly schema: string | null;
  readonly connections: number;
  readonly connectMs: Milliseconds;
  /** May a packet hold several statements? */
  readonly combines?: boolean;
  /** May the server ask for a file? It gets the stream of its own statement, never a file. */
  readonly loads?: boolean;
  /** One that was idle for longer is not lent again: the server ends it at any moment. Absent: it may be idle for hours. */
  readonly idleMs?: Milliseconds;
}

/** A connection that was told to end is cut when it still stands after so long. */
const END_MS = 2 * SECOND;
const GONE_POLL_MS: Milliseconds = 5;

/** Under `--disallow-code-generation-from-strings` mysql2's row parsers must not be generated. */
const GENERATES_CODE = ((): boolean => {
  try {
    // oxlint-disable-next-line no-new-func, typescript/no-implied-eval -- asks whether it is allowed
    return new Function('return true')() as boolean;
  } catch {
    return false;
  }
})();

/** Of open connections. */
export interface Connections {
  readonly idle: number;
  readonly used: number;
}

/** What mysql2 keeps to itself. */
interface Free {
  readonly _freeConnections: { readonly length: number };
}

export class ServerPool {
  readonly #pool: Pool;
  /** The server's number of each open connection. */
  readonly #open = new Map<Socket, number>();
  /** One for the life of a connection: mysql2 would make one, an event emitter with hooks, for each time that it is lent. */
  readonly #lent = new WeakMap<object, PoolConnection>();
  readonly #idleMs: Milliseconds;
  readonly #idleSince = new WeakMap<object, Milliseconds>();

  constructor(options: ServerPoolOptions) {
    const { url, schema, connections, connectMs, combines = false, loads = false } = options;
    this.#idleMs = options.idleMs ?? Infinity;
    this.#pool = createPool({
      uri: withSchema(url, schema),
      connectionLimit: connections,
      maxIdle: connections,
      connectTimeout: connectMs,
      charset: 'utf8mb4',
      timezone: 'Z',
      dateStrings: true,
      supportBigNumbers: true,
      bigNumberStrings: true,
      multipleStatements: combines,
      disableEval: !GENERATES_CODE,
      flags: [loads ? 'LOCAL_FILES' : '-LOCAL_FILES'],
      enableKeepAlive: true,
      // A stack for each statement, in case it fails: a quarter of a read's processor time.
      trace: false,
    });
    this.#pool.on('connection', (connection) => {
      const { stream, threadId } = connection as unknown as { stream: Socket; threadId: number };
      this.#open.set(stream, threadId);
      stream.once('close', () => this.#open.delete(stream));
    });
    if (this.#idleMs === Infinity) return;
    this.#pool.pool.on('release', (connection) => this.#idleSince.set(connection, performance.now()));
  }

  /** Of the open connections, as the server counts them. */
  get ids(): readonly number[] {
    return [...this.#open.values()];
  }

  get census(): Connections {
    const idle = (this.#pool.pool as unknown as Free)._freeConnections.length;
    return { idle, used: this.#open.size - idle };
  }

  /** Waits until these are closed here too, so that none is lent that the server has ended; for a bound. */
  async gone(ids: readonly number[]): Promise<void> {
    const deadline = performance.now() + END_MS;
    const isOpen = (): boolean => this.ids.some((id) => ids.includes(id));
    while (isOpen() && performance.now() < deadline) await sleep(GONE_POLL_MS);
  }

  getConnection(): Promise<PoolConnection> {
    return new Promise((resolve, reject) => {
      this.#pool.pool.getConnection((error, connection) => {
        if (error !== null) return reject(error);
        if (performance.now() - (this.#idleSince.get(connection) ?? Infinity) > this.#idleMs) {
          connection.destroy();
          return resolve(this.getConnection());
        }
        const known = this.#lent.get(connection) ?? connection.promise();
        this.#lent.set(connection, known);
        resolve(known);
      });
    });
  }

  /** What is still asked ends first, for a bound; then it fails as a connection does that was lost. */
  async end(): Promise<void> {
    const cut = new Promise<void>((resolve) => {
      setTimeout(() => {
        for (const socket of this.#open.keys()) socket.destroy();
        resolve();
      }, END_MS).unref();
    });
    // It never settles while a statement has no answer.
    const ended = this.#pool.end();
    ended.catch(() => {});
    await Promise.race([ended, cut]);
  }
}

/** mysql2 only says goodbye: a server that says nothing, or is still sending, would hold the socket for ever. */
export function sever(connection: PoolConnection): void {
  connection.destroy();
  socketOf(connection).destroy();
}

function withSchema(url: string, schema: string | null): string {
  const parsed = new URL(url);
  parsed.pathname = schema === null ? '/' : `/${encodeURIComponent(schema)}`;
  return parsed.toString();
}
