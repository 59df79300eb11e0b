/**
 * One server, its pool, and the session settings that every promise stands on.
 *
 * Values leave as the bytes of the text protocol (`raw`) or as strings (`rows`), never as JavaScript
 * numbers or dates: mysql2 rounds DOUBLE, DECIMAL and BIGINT and reads zero dates as NULL. A session is
 * set up on first use and its settings are read back, so a proxy that drops them is noticed.
 */
import type { PoolConnection, ResultSetHeader } from 'mysql2/promise';

import { SECOND } from '../domain/duration.ts';
import { DatabaseError, TransientDatabaseError } from '../domain/errors.ts';
import { stripError } from './faults.ts';
import { ServerPool } from './server-pool.ts';
import { inTransaction, Session, takesRows } from './session.ts';
import type { DatabaseOptions, Param, RawRow, Server, Settings, TextRow } from './session.ts';
import { prepare } from './session-settings.ts';

export { hasWarned, inTransaction, Session, STATEMENTS } from './session.ts';
export type {
  DatabaseOptions,
  Flavour,
  Param,
  RawRow,
  Server,
  Settings,
  Statement,
  TextRow,
} from './session.ts';

const DEFAULTS = {
  connections: 10,
  idleTimeout: 10 * SECOND,
  deadline: 30 * SECOND,
  lockWait: 20 * SECOND,
  combines: true,
};

/** A fleet that drills many tenants at once cuts often. */
const LOOKS_MAX = 20;
/** Of the time after which the target ends a silent session; the rest is for a process that is late to hear of it. */
const IDLE_SHARE = 0.7;

export const SNAPSHOT = [
  'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ',
  'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY',
];

export class Database {
  readonly side: 'source' | 'target';
  /** `host:port`, for messages. */
  readonly address: string;
  readonly #pool: ServerPool;
  readonly #settings: Settings;
  readonly #prepared = new WeakSet<object>();
  #server: Server | null = null;
  #cutsBegun = 0;
  #cutsEnded = 0;

  constructor(options: DatabaseOptions) {
    const { url, ...rest } = options;
    this.#settings = { ...DEFAULTS, ...rest };
    this.side = options.side;
    this.address = addressOf(url);
    this.#pool = new ServerPool({
      url,
      schema: null,
      connections: this.#settings.connections,
      connectMs: Math.min(this.#settings.deadline, 5 * SECOND),
      combines: this.#settings.combines,
      loads: options.side === 'target',
      ...(options.side === 'target' ? { idleMs: IDLE_SHARE * this.#settings.idleTimeout } : {}),
    });
  }

  async server(): Promise<Server> {
    if (this.#server === null) await this.session(() => Promise.resolve());
    return this.#server!;
  }

  /** Does the server know `VALUES ROW(…)`? False until a session was used. */
  get takesRows(): boolean {
    return takesRows(this.#server);
  }

  async session<T>(use: (session: Session) => Promise<T>): Promise<T> {
    const session = await this.#acquire();
    let healthy = false;
    try {
      const result = await use(session);
      healthy = true;
      return result;
    } catch (error) {
      healthy = !(error instanceof TransientDatabaseError);
      throw error;
    } finally {
      if (healthy) session.release();
      else session.destroy();
    }
  }

  /**
   * Begins with the first statement; commits when `use` returns, rolls back when it throws. A lost COMMIT surfaces
   * as a transient fault: everything that runs here may be repeated.
   */
  transaction<T>(use: (session: Session) => Promise<T>): Promise<T> {
    return this.session((session) => inTransaction(session, ['START TRANSACTION'], use));
  }

  /**
   * Reads as of one instant, that of the first statement. Explicitly REPEATABLE READ: under READ COMMITTED the
   * snapshot is ignored without an error (warning 138). Its end is not waited for: nothing depends on it.
   */
  snapshot<T>(use: (session: Session) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const read = async (session: Session): Promise<void> => resolve(await use(session));
      this.session((session) => inTransaction(session, SNAPSHOT, read)).catch(reject);
    });
  }

  /** As `snapshot`, for who sends one packet: `SNAPSHOT` before the rest of it, COMMIT behind. */
  snapshotAtOnce<T>(use: (session: Session) => Promise<T>): Promise<T> {
    return this.session(async (session) => {
      try {
        return await use(session);
      } catch (error) {
        if (!(error instanceof TransientDatabaseError)) await session.rollback();
        throw error;
      }
    });
  }

  /** As `Session.stream`, on a session of its own. */
  async *stream(sql: string): AsyncGenerator<readonly RawRow[]> {
    const session = await this.#acquire();
    try {
      yield* session.stream(sql);
    } finally {
      session.release();
    }
  }

  raw(sql: string): Promise<RawRow[]> {
    return this.session((session) => session.raw(sql));
  }

  rows<Row extends TextRow = TextRow>(sql: string, params: readonly Param[] = []): Promise<Row[]> {
    return this.session((session) => session.rows<Row>(sql, params));
  }

  run(sql: string, params: readonly Param[] = []): Promise<ResultSetHeader> {
    return this.session((session) => session.run(sql, params));
  }

  /**
   * Has the server end every other open connection of this process, as a failover would: at least one, or whoever wants
   * to see what that does would see nothing.
   *
   * @returns how many it ended
   */
  async cut(): Promise<number> {
    this.#cutsBegun += 1;
    try {
      return await this.#cutOthers();
    } finally {
      this.#cutsEnded += 1;
    }
  }

  /**
   * What is found while this process cuts its own connections may be about that: then it is looked for once more.
   *
   * @param look returns what is wrong
   */
  async undisturbed<T>(look: () => Promise<readonly T[]>): Promise<readonly T[]> {
    for (let times = 1; ; times += 1) {
      const before = this.#cutsEnded;
      const found = await look();
      if (found.length === 0 || this.#cutsBegun === before || times === LOOKS_MAX) return found;
    }
  }

  #cutOthers(): Promise<number> {
    return this.session(async (session) => {
      const [own] = await session.rows('SELECT CONNECTION_ID() AS id');
      // Those that were idle have ended by themselves.
      if (this.#pool.ids.length < 2) await this.rows('SELECT 1');
      let ended = 0;
      const others = this.#pool.ids.filter((each) => String(each) !== own!['id']);
      for (const id of others) {
        // One that ended by itself is gone already.
        await session.run(`KILL ${id}`).then(
          () => (ended += 1),
          (error: unknown) => {
            if (!(error instanceof DatabaseError)) throw error;
          },
        );
      }
      await this.#pool.gone(others);
      return ended;
    });
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #acquire(): Promise<Session> {
    let connection: PoolConnection;
    try {
      connection = await this.#pool.getConnection();
    } catch (error) {
      throw stripError(this.side, error);
    }
    const session = new Session(connection, this.#settings, () => this.#server);
    if (this.#prepared.has(connection.connection)) return session;
    try {
      this.#server ??= await readServer(session);
      await prepare(session, this.#server, this.#settings);
      this.#prepared.add(connection.connection);
      return session;
    } catch (error) {
      session.destroy();
      throw error;
    }
  }
}

async function readServer(session: Session): Promise<Server> {
  const [row] = await session.rows('SELECT VERSION() AS version');
  const version = row?.['version'] ?? '';
  return { version, flavour: version.includes('MariaDB') ? 'mariadb' : 'mysql' };
}

function addressOf(url: string): string {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port === '' ? '3306' : port}`;
}
