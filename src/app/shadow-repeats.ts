/**
 * Questions that both sides have just answered alike. Whoever asks one again and gets the same answer is compared with
 * what the other side said then: to ask it once more would cost a read and tell nothing.
 */
import { createHash } from 'node:crypto';

import type { ReadFunction } from './handle.ts';
import { SECOND } from '../domain/duration.ts';

/** What is remembered is this old at least before it is forgotten, and at most twice as old. */
const WINDOW = SECOND;
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

/** Of bytes among the values: more are not worth their text. */
const BYTES_MAX = 4_096;

/** What a read asked, in its own words. */
export class Heard {
  readonly #asked: string[] = [];
  #isClear = true;

  /** Of one run of the function, on a connection that was lent to nobody else. */
  by<T>(fn: ReadFunction<T>): ReadFunction<T> {
    return (conn) => {
      const query = conn.query.bind(conn) as (...args: unknown[]) => unknown;
      Object.defineProperty(conn, 'query', {
        value: (...args: unknown[]): unknown => {
          this.#hear(args);
          return query(...args);
        },
      });
      return fn(conn);
    };
  }

  /** Statements with their values; null where their text would not tell them from others. */
  get question(): string | null {
    return this.#isClear && this.#asked.length > 0 ? this.#asked.join('\0') : null;
  }

  #hear([statement, values]: unknown[]): void {
    const { sql, values: own } =
      typeof statement === 'string' ? { sql: statement } : (statement as { sql: string; values?: unknown });
    const given = values ?? own ?? [];
    this.#isClear &&= isClear(given);
    this.#asked.push(sql, this.#isClear ? JSON.stringify(given) : '');
  }
}

/** Is it all in its JSON? Not what the driver asks for its SQL, nor a BIGINT. */
function isClear(value: unknown): boolean {
  if (typeof value !== 'object') return ['string', 'number', 'boolean'].includes(typeof value);
  if (value === null || value instanceof Date) return true;
  if (value instanceof Uint8Array) return value.length <= BYTES_MAX;
  if (Array.isArray(value)) return value.every(isClear);
  return Object.getPrototypeOf(value) === Object.prototype && Object.values(value).every(isClear);
}

/** @param parts what one question has and no other */
export const questionOf = (...parts: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('base64');
