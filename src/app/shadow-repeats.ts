/**
 * Reads that both sides have just answered alike, statement by statement. Whoever asks the same again and is given the
 * same rows is compared with what the other side said then: to ask it once more would cost a read and tell nothing.
 *
 * The rows count, not only what the function made of them: a function that leaves some out would hide it for as long as
 * the same is asked that they have come to differ.
 */
import { createHash } from 'node:crypto';

import type { QueryOptions } from 'mysql2/promise';

import { LentConnection, type Answer, type ReadFunction } from './handle.ts';
import { whileLent } from './shadow-look.ts';
import { SECOND, type Milliseconds } from '../domain/duration.ts';

/** What is remembered is this old at least before it is forgotten, and at most twice as old. */
const WINDOW: Milliseconds = 2.5 * SECOND;
/** Of one window; further ones are asked again. */
const REMEMBERED_MAX = 10_000;

export class Repeats {
  #fresh = new Set<string>();
  #old = new Set<string>();
  #since = performance.now();

  has(question: string): boolean {
    this.#age();
    return this.#fresh.has(question) || this.#old.has(question);
  }

  add(question: string): void {
    this.#age();
    if (this.#fresh.size < REMEMBERED_MAX) this.#fresh.add(question);
  }

  #age(): void {
    const now = performance.now();
    if (now - this.#since < WINDOW) return;
    this.#old = now - this.#since < 2 * WINDOW ? this.#fresh : new Set();
    this.#fresh = new Set();
    this.#since = now;
  }
}

/** Characters of a statement's text and values, and of its rows: the text of more costs more than a read. */
const LENGTH_MAX = 16 * 1024;

/** What one run of a function asked, and which rows it was given. */
export class Transcript {
  /** Of the last run; null: can't be told from others by its text, or has no answer. */
  #lines: (string | null)[] = [];

  /** The function, overheard; a fallback runs it again, which begins anew. */
  by<T>(fn: ReadFunction<T>): ReadFunction<T> {
    return (conn) => {
      const lines: (string | null)[] = [];
      this.#lines = lines;
      const lent = new LentConnection(async (statement) => {
        const at = lines.push(null) - 1;
        const asked = textOfStatement(statement);
        const answer = (await conn.query(statement)) as Answer;
        // Now: the function may change the rows that it was given.
        const rows = asked === null ? null : textOfRows(answer[0]);
        if (rows !== null) lines[at] = asked + rows;
        return answer;
      }, true); // what may be sent is judged by the connection below
      return whileLent(lent, fn);
    };
  }

  /**
   * @param read what tells this read from others, with what came of it
   * @returns null: nothing was asked, or it can't be told whether somebody else asked the same
   */
  digest(...read: readonly string[]): string | null {
    if (this.#lines.length === 0 || this.#lines.includes(null)) return null;
    return createHash('sha256')
      .update(JSON.stringify([...read, ...this.#lines]))
      .digest('base64');
  }
}

function textOfStatement({ sql, values, ...options }: QueryOptions): string | null {
  // A cast of the application's own, for one, is code between the rows and what is seen of them.
  if (Object.values(options).some((option) => option !== undefined)) return null;
  return textOf([sql, values ?? []]);
}

/** Not of what is no rows: what SET or CALL did is not in its answer. */
const textOfRows = (rows: unknown): string | null => (Array.isArray(rows) ? textOf(rows) : null);

const textOf = (value: unknown): string | null =>
  room(value, LENGTH_MAX) < 0 ? null : JSON.stringify(value);

/** @returns characters left; negative: none, or there is something that JSON does not tell from something else */
function room(value: unknown, left: number): number {
  if (typeof value === 'string') return left - value.length;
  if (value === null || typeof value === 'boolean' || Number.isFinite(value)) return left - 8;
  if (typeof value !== 'object' || !isPlain(value)) return -1;
  for (const key in value) {
    left = room((value as Readonly<Record<string, unknown>>)[key], left - key.length - 8);
    if (left < 0) return left;
  }
  return left;
}

/** Not what says for itself what its JSON or its SQL is: dates, bytes, what the driver asks for text. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === Array.prototype || prototype === null;
}
