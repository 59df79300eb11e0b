/**
 * One session of a server: how statements leave, and how values come back as bytes or as text. It is set up, lent
 * and given back by `database.ts`.
 */
import { channel } from 'node:diagnostics_channel';
import type { Readable, Writable } from 'node:stream';

import type { FieldPacket, PoolConnection, QueryOptions, ResultSetHeader } from 'mysql2/promise';

import type { Milliseconds } from '../domain/duration.ts';
import { DatabaseError, TransientDatabaseError } from '../domain/errors.ts';
import { columnIn, stripError } from './faults.ts';
import { sever } from './server-pool.ts';
import { Rows, socketOf, streamRows, type Beside, type Gather } from './stream.ts';
import { together } from './together.ts';

export type RawRow = readonly (Buffer | null)[];
export type TextRow = Readonly<Record<string, string | null>>;
export type Flavour = 'mysql' | 'mariadb';
export type Param = string | number | null | Buffer;

export interface Server {
  readonly flavour: Flavour;
  /** As the server says it: `9.7.4`, `10.11.19-MariaDB`. */
  readonly version: string;
}

export interface DatabaseOptions {
  readonly side: 'source' | 'target';
  /** `mysql://user:password@host:port/schema`; kept out of every message. */
  readonly url: string;
  readonly connections?: number;
  /** The server ends a session that is silent for longer, so a frozen applier loses its locks. */
  readonly idleTimeout?: Milliseconds;
  /** Client-side bound of one statement; a socket that says nothing is destroyed. */
  readonly deadline?: Milliseconds;
  /** Bound of waiting for a row lock. */
  readonly lockWait?: Milliseconds;
  /** May several statements travel in one packet? Not where any of them is not ours: it could smuggle another in. */
  readonly combines?: boolean;
}

export type Settings = Required<Omit<DatabaseOptions, 'url'>>;

/**
 * Every statement as it is sent, `{ side, sql, values }`, for whoever subscribes; free while nobody does.
 * Tests look at every plan through it.
 */
export const STATEMENTS = channel('switchback:statement');

export interface Statement {
  readonly side: Settings['side'];
  readonly sql: string;
  readonly values: readonly Param[];
}

/** Warnings about a word of the statement, such as utf8mb3, not about a value. */
const DEPRECATED = new Set(['1287', '1681', '3719', '3720', '3778']);

/** Two rows where one is asked for. */
const FAILS = '(SELECT 1 UNION ALL SELECT 2)';
/** Asks of the statement right before it in the packet; the warnings themselves are gone then. */
const FAIL_IF_WARNED = `DO IF(@@warning_count = 0, 0, ${FAILS})`;
const MORE_THAN_ONE_ROW = 1242;

/** Did a `writeAhead` warn? Written again by `write`, it is said of what. */
export const hasWarned = (error: unknown): boolean =>
  error instanceof DatabaseError && error.errno === MORE_THAN_ONE_ROW;

type Cast = (field: { buffer(): Buffer | null; string(encoding?: string): string | null }) => unknown;

const AS_BYTES: Cast = (field) => field.buffer();
const AS_TEXT: Cast = (field) => field.string('utf8');

interface Sent {
  readonly sql: string;
  readonly values?: readonly Param[];
  /** Of each value that is answered; absent: as the driver has it. */
  readonly cast?: Cast;
  readonly rowsAsArray?: boolean;
  readonly infile?: () => Readable;
}

export class Session {
  readonly #connection: PoolConnection;
  readonly #settings: Settings;
  readonly #server: () => Server | null;
  /** Statements that go before the next one, in its packet. */
  #ahead: readonly string[] = [];
  #destroyed = false;
  #waited: Milliseconds = 0;

  constructor(connection: PoolConnection, settings: Settings, server: () => Server | null) {
    this.#connection = connection;
    this.#settings = settings;
    this.#server = server;
  }

  /** Does the server know `VALUES ROW(…)`? */
  get takesRows(): boolean {
    return takesRows(this.#server());
  }

  /** For the server's answers since it was acquired; a `load` waits for whoever makes its bytes as well. */
  get waited(): Milliseconds {
    return this.#waited;
  }

  /** Does one packet hold several statements, so that none is carried out behind one that failed? */
  get combines(): boolean {
    return this.#settings.combines;
  }

  /** May a statement say, in the packet of what it guards, that it must not be carried out? MariaDB's DO never fails. */
  get guards(): boolean {
    return this.combines && this.#server()?.flavour === 'mysql';
  }

  /** Rows of byte values in column order. */
  async raw(sql: string): Promise<RawRow[]> {
    return (await this.#send({ sql, cast: AS_BYTES, rowsAsArray: true })) as RawRow[];
  }

  /** Rows by column name, every value as text. */
  async rows<Row extends TextRow = TextRow>(sql: string, params: readonly Param[] = []): Promise<Row[]> {
    return (await this.#send({ sql, values: params, cast: AS_TEXT })) as Row[];
  }

  /** As `rows`, of several statements: one packet where the session combines them. */
  async rowsOfEach(statements: readonly string[]): Promise<TextRow[][]> {
    if (!this.#settings.combines || statements.length < 2)
      return together(...statements.map((sql) => this.rows(sql)));
    this.#ahead = [...this.#ahead, ...statements.slice(0, -1)];
    const answers = await this.#sendAll({ sql: statements.at(-1)!, cast: AS_TEXT });
    return answers.slice(-statements.length) as TextRow[][];
  }

  async run(sql: string, params: readonly Param[] = []): Promise<ResultSetHeader> {
    return (await this.#send({ sql, values: params })) as ResultSetHeader;
  }

  /** Begins a transaction: with the next statement where the session combines them, which saves a round trip. */
  async begin(statements: readonly string[]): Promise<void> {
    if (this.#settings.combines) this.#ahead = statements;
    else for (const statement of statements) await this.run(statement);
  }

  /**
   * @param excused asked about the warnings that could be about values, if there are any
   * @throws DatabaseError when the server warned: on the target a warning is a changed value
   */
  async write(
    sql: string,
    excused: (warnings: readonly TextRow[]) => boolean = () => false,
  ): Promise<ResultSetHeader> {
    const result = await this.run(sql);
    await this.#judge(result, excused);
    return result;
  }

  /**
   * As `write`, sent with what is sent next where the session combines them: that is not carried out if this fails, or
   * warns of whatever it may be (`hasWarned`).
   */
  async writeAhead(sql: string): Promise<void> {
    if (this.guards) this.#ahead = [...this.#ahead, sql, FAIL_IF_WARNED];
    else await this.write(sql);
  }

  /** What is sent next is carried out only where the query finds nothing. Where the session `guards`. */
  guardAhead(query: string): void {
    this.#ahead = [...this.#ahead, `DO IF(EXISTS (${query}), ${FAILS}, 0)`];
  }

  /**
   * Rows of byte values in column order, as they arrive; the server waits while nobody asks for more. A
   * consumer that stops early gives the session up, since the rest is still on its way.
   */
  stream(sql: string): AsyncGenerator<readonly RawRow[]> {
    return this.gather(sql, new Rows());
  }

  /**
   * As `stream`, of several statements one after the other, in one packet with others before and behind them where
   * the session combines them.
   *
   * @param answered gets the few rows that each of those gave, when the streams have come to their end
   */
  async *streamBetween(
    before: readonly string[],
    streams: readonly string[],
    behind: readonly string[],
    answered: (answers: readonly (readonly RawRow[])[]) => void,
  ): AsyncGenerator<readonly RawRow[]> {
    if (!this.#settings.combines) {
      const answers = [];
      for (const each of before) answers.push(await this.raw(each));
      for (const each of streams) yield* this.stream(each);
      for (const each of behind) answers.push(await this.raw(each));
      return answered(answers);
    }
    const all = [...before, ...streams, ...behind];
    const beside = { before: before.length, streams: streams.length, rows: new Map<number, RawRow[]>() };
    yield* this.#gather(all, new Rows(), beside);
    const places = [...before.keys(), ...[...behind.keys()].map((at) => before.length + streams.length + at)];
    answered(places.map((at) => beside.rows.get(at) ?? []));
  }

  /** As `stream`, in batches of another kind. */
  gather<Batch>(sql: string, gather: Gather<Batch>): AsyncGenerator<Batch> {
    return this.#gather([sql], gather);
  }

  async *#gather<Batch>(
    statements: readonly string[],
    gather: Gather<Batch>,
    beside?: Beside,
  ): AsyncGenerator<Batch> {
    const all = [...this.#ahead, ...statements];
    this.#ahead = [];
    for (const statement of all) this.#tell(statement, []);
    const { side, deadline } = this.#settings;
    const giveUp = () => this.destroy();
    const waited = (ms: Milliseconds) => void (this.#waited += ms);
    const sql = all.join(';\n');
    yield* streamRows(this.#connection, sql, { side, deadline, giveUp, waited }, gather, beside);
  }

  /**
   * `LOAD DATA LOCAL` from a stream of bytes. LOCAL turns every error into a warning and goes on, so a
   * warning is an error here: a duplicate is 1062, as an INSERT says it.
   *
   * @returns rows that were loaded
   * @throws DatabaseError when the server warned
   */
  async load(sql: string, bytes: (socket: Writable) => Readable): Promise<number> {
    await this.#sendAhead();
    const socket = socketOf(this.#connection);
    const result = (await this.#send({ sql, infile: () => bytes(socket) })) as ResultSetHeader;
    await this.#judge(result, () => false);
    // A row that took another's place is counted twice.
    return result.affectedRows - Number(/Deleted: (\d+)/.exec(result.info)?.[1] ?? 0);
  }

  /** The message quotes values, so only its number and its column leave. */
  async #judge(
    { warningStatus }: ResultSetHeader,
    excused: (warnings: readonly TextRow[]) => boolean,
  ): Promise<void> {
    if (warningStatus === 0) return;
    const { side } = this.#settings;
    const all = await this.rows('SHOW WARNINGS');
    const warnings = all.filter((warning) => !DEPRECATED.has(warning['Code'] ?? ''));
    if (all.length === warningStatus && (warnings.length === 0 || excused(warnings))) return;
    if (warnings.some((warning) => warning['Code'] === '1062'))
      throw new DatabaseError(`${side}: ER_DUP_ENTRY (errno 1062)`, 1062);
    const [first] = warnings;
    const column = columnIn(first?.['Message'] ?? '');
    const where = column === null ? 'a value' : `the value of column ${column}`;
    throw new DatabaseError(
      `${side}: ${where} would change on its way, or was refused (errno ${first?.['Code'] ?? 'unknown'})`,
      1265,
    );
  }

  async #send(sent: Sent): Promise<unknown> {
    return (await this.#sendAll(sent)).at(-1);
  }

  /** @returns the answers of what was ahead, and that of the statement as the last */
  async #sendAll({ sql, values = [], cast, rowsAsArray = false, infile }: Sent): Promise<unknown[]> {
    const ahead = this.#ahead;
    this.#ahead = [];
    for (const statement of ahead) this.#tell(statement, []);
    this.#tell(sql, values);
    const [result] = await this.#pass({
      sql: [...ahead, sql].join(';\n'),
      values: values as unknown as string[],
      rowsAsArray,
      ...(cast === undefined ? {} : { typeCast: cast as never }),
      ...(infile === undefined ? {} : { infileStreamFactory: infile }),
    });
    return ahead.length === 0 ? [result] : (result as unknown[]);
  }

  async #sendAhead(): Promise<void> {
    const last = this.#ahead.at(-1);
    if (last === undefined) return;
    this.#ahead = this.#ahead.slice(0, -1);
    await this.run(last);
  }

  /** A statement of the application's, as the driver takes it, answered as the driver answers. */
  async pass(statement: QueryOptions): Promise<[unknown, FieldPacket[]]> {
    if (this.#settings.combines)
      throw new Error('a session whose packets hold several statements is not lent');
    this.#tell(statement.sql, (statement.values ?? []) as Param[]);
    return this.#pass(statement);
  }

  async #pass(statement: QueryOptions): Promise<[unknown, FieldPacket[]]> {
    const { side, deadline } = this.#settings;
    const asked = performance.now();
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        // A destroyed connection never settles its query (mysql2 3.24), so the deadline rejects by itself.
        timer = setTimeout(() => {
          this.destroy();
          reject(new TransientDatabaseError(`${side}: no answer within ${deadline} ms`));
        }, deadline);
        this.#connection.query(statement).then(resolve, reject);
      });
    } catch (error) {
      throw stripError(side, error);
    } finally {
      clearTimeout(timer);
      this.#waited += performance.now() - asked;
    }
  }

  #tell(sql: string, values: readonly Param[]): void {
    if (STATEMENTS.hasSubscribers)
      STATEMENTS.publish({ side: this.#settings.side, sql, values } satisfies Statement);
  }

  /** What was not sent yet is not. A session that can't roll back is given up: its end rolls back. */
  async rollback(): Promise<void> {
    this.#ahead = [];
    await this.run('ROLLBACK').catch(() => this.destroy());
  }

  destroy(): void {
    this.#destroyed = true;
    sever(this.#connection);
  }

  release(): void {
    if (!this.#destroyed) this.#connection.release();
  }
}

export async function inTransaction<T>(
  session: Session,
  begin: readonly string[],
  use: (session: Session) => Promise<T>,
): Promise<T> {
  await session.begin(begin);
  try {
    const result = await use(session);
    await session.run('COMMIT');
    return result;
  } catch (error) {
    if (!(error instanceof TransientDatabaseError)) await session.rollback();
    throw error;
  }
}

/** MySQL from 8.0.19 on; MariaDB spells it otherwise. */
export function takesRows(server: Server | null): boolean {
  if (server?.flavour !== 'mysql') return false;
  const [major = 0, minor = 0, patch = 0] = server.version.split(/[.-]/).map(Number);
  return major > 8 || (major === 8 && (minor > 0 || patch >= 19));
}
