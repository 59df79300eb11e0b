/**
 * Lines for the application's log, so many of a kind in a while: a target that is gone for an hour under full load
 * says so a few times a minute, and how often it was.
 */
import { SECOND, type Milliseconds } from '../domain/duration.ts';
import type { Side } from '../domain/stage.ts';

/** `console` is one; of pino: `{ warn: (message, fields) => logger.warn(fields, message) }`. */
export interface RouterLog {
  warn(message: string, fields: Notice): void;
}

export interface Notice {
  readonly tenant?: string;
  /** Name of the read. */
  readonly read?: string;
  /** The side that failed, or that was left out. */
  readonly side?: Side;
  readonly reason: string;
  /** What an error said, without what a server quotes. */
  readonly error?: string;
  /** Lines of the same message and reason that were left out before this one. */
  readonly leftOut?: number;
}

const PERIOD: Milliseconds = 10 * SECOND;
const LINES = 3;
/** Reasons hold codes of errors, which are few; more than that share one. */
const KINDS_MAX = 200;

interface Kind {
  endsAt: Milliseconds;
  lines: number;
  leftOut: number;
}

export class Notices {
  readonly #log: RouterLog | null;
  readonly #kinds = new Map<string, Kind>();

  constructor(log: RouterLog | null) {
    this.#log = log;
  }

  /** Never throws. */
  warn(message: string, notice: Notice): void {
    if (this.#log === null) return;
    const kind = this.#kind(`${message} ${notice.reason}`);
    if (performance.now() >= kind.endsAt) {
      kind.endsAt = performance.now() + PERIOD;
      kind.lines = 0;
    }
    if (kind.lines >= LINES) {
      kind.leftOut += 1;
      return;
    }
    kind.lines += 1;
    const { leftOut } = kind;
    kind.leftOut = 0;
    try {
      this.#log.warn(message, leftOut === 0 ? notice : { ...notice, leftOut });
    } catch {
      // A log that fails must not fail a request.
    }
  }

  #kind(words: string): Kind {
    const key = this.#kinds.has(words) || this.#kinds.size < KINDS_MAX ? words : '';
    const known = this.#kinds.get(key);
    if (known !== undefined) return known;
    const kind = { endsAt: 0, lines: 0, leftOut: 0 };
    this.#kinds.set(key, kind);
    return kind;
  }
}
