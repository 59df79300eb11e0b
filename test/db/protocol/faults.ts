/**
 * A Database whose sessions can be interrupted at a step of the protocol, and whose tenant lock can be
 * taken out. Everything else is the product's own code.
 */
import { Database, type DatabaseOptions, type Session } from '../../../src/db/database.ts';

/** Steps between the lock and the journal delete, in the order of `converge`. */
// prettier-ignore
const STEPS = {
  'lock':           ['target', /tenant_lock`.*FOR (UPDATE|SHARE)/],
  'journal-read':   ['source', /^SELECT (f\.)?id, (f\.)?tenant, [^]*`journal`/],
  'image-read':     ['source', /^SELECT ([^]*STRAIGHT_JOIN|\d+, 0, CAST)/],
  'holders-read':   ['target', /^SELECT DISTINCT/],
  'delete':         ['target', /^DELETE .* FROM/],
  'insert':         ['target', /^((INSERT|REPLACE) INTO .* VALUES \(|LOAD DATA)/],
  'turn':           ['target', /mirror_turn`.*ON DUPLICATE/],
  'commit-target':  ['target', /^COMMIT$/],
  'journal-delete': ['source', /^DELETE .*`journal` (FROM|WHERE)/],
} as const satisfies Record<string, readonly ['source' | 'target', RegExp]>;

export type Step = keyof typeof STEPS;
export const STEP_NAMES = Object.keys(STEPS) as Step[];

export const isStep = (step: Step, side: 'source' | 'target', sql: string): boolean =>
  STEPS[step][0] === side && STEPS[step][1].test(sql);

export interface Interference {
  /** Drops the locking clause of every statement on `tenant_lock`. */
  readonly withoutLock: boolean;
  /** Called before a statement is sent, and again right after it was sent, before its answer. */
  readonly at: (moment: 'before' | 'sent', side: 'source' | 'target', sql: string) => void;
  /** Awaited before a statement is sent. */
  readonly before?: (side: 'source' | 'target', sql: string) => Promise<void>;
  /** What is sent instead. */
  readonly rewrite?: (sql: string) => string;
  /** Awaited when a streamed read has come to its end, before its reader hears of it. */
  readonly afterStream?: () => Promise<void>;
}

type Send = (sql: string, ...rest: unknown[]) => unknown;
type Batches = AsyncGenerator<unknown>;

async function* followed(batches: Batches, afterStream: () => Promise<void>): Batches {
  const read: unknown[] = [];
  for await (const batch of batches) read.push(batch);
  await afterStream();
  yield* read;
}

const STREAMS = new Set<PropertyKey>(['stream', 'gather']);
const STATEMENTS = new Set<PropertyKey>(['raw', 'rows', 'run', 'write', 'writeAhead', 'load', ...STREAMS]);

export class FaultyDatabase extends Database {
  readonly #interference: Interference;

  constructor(options: DatabaseOptions, interference: Interference) {
    super(options);
    this.#interference = interference;
  }

  override session<T>(use: (session: Session) => Promise<T>): Promise<T> {
    return super.session((session) => use(this.#wrap(session)));
  }

  #wrap(session: Session): Session {
    const { side } = this;
    const { withoutLock, at, before, rewrite = (sql) => sql, afterStream } = this.#interference;
    return new Proxy(session, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        const method = value.bind(target) as Send;
        const sent = (sql: string): string =>
          rewrite(
            withoutLock && sql.includes('tenant_lock`')
              ? sql.replace(/ FOR (UPDATE|SHARE)( SKIP LOCKED)?$/, '')
              : sql,
          );
        if (name === 'rowsOfEach')
          return async (statements: readonly string[]) => {
            for (const sql of statements) {
              at('before', side, sql);
              await before?.(side, sql);
            }
            const answers = value.call(target, statements.map(sent)) as Promise<unknown>;
            for (const sql of statements) at('sent', side, sql);
            return answers;
          };
        if (name === 'streamBetween')
          return (...packet: [...(readonly string[])[], unknown]) => {
            const [answered, ...parts] = [packet.at(-1), ...(packet.slice(0, -1) as string[][])];
            for (const each of parts.flat()) at('before', side, each);
            const answer = value.call(target, ...parts.map((part) => part.map(sent)), answered) as Batches;
            for (const each of parts.flat()) at('sent', side, each);
            return afterStream === undefined ? answer : followed(answer, afterStream);
          };
        if (!STATEMENTS.has(name)) return method;
        return (sql: string, ...rest: unknown[]) => {
          at('before', side, sql);
          if (before !== undefined && !STREAMS.has(name))
            return before(side, sql).then(() => method(sent(sql), ...rest));
          const answer = method(sent(sql), ...rest);
          if (name !== 'writeAhead') at('sent', side, sql);
          return STREAMS.has(name) && afterStream !== undefined
            ? followed(answer as Batches, afterStream)
            : answer;
        };
      },
    });
  }
}
