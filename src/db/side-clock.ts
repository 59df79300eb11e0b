/** Which side a window is waited for, from now on: by its two sessions, after their locks were had. */
import type { Milliseconds } from '../domain/duration.ts';
import type { Session } from './database.ts';
import type { Side } from './shapes.ts';

export class SideClock {
  readonly #source: Session;
  readonly #target: Session;
  readonly #before: Readonly<Record<Side, Milliseconds>>;
  #streamed: Milliseconds = 0;

  constructor(source: Session, target: Session) {
    this.#source = source;
    this.#target = target;
    this.#before = { source: source.waited, target: target.waited };
  }

  /** What the source was asked for so far went into one `load`, which waited for rows as long as we did. */
  streamed(): void {
    this.#streamed = this.#source.waited - this.#before.source;
  }

  /** Of sessions that have ended, with the commit. */
  took(): Record<Side, Milliseconds> {
    return {
      source: this.#source.waited - this.#before.source,
      target: Math.max(0, this.#target.waited - this.#before.target - this.#streamed),
    };
  }
}
