/**
 * One look for all who ask within a moment. Tenants that share their tables ask the same of both servers, fifty at once
 * when a wave begins, and a look reads every tenant's id.
 */
import type { Milliseconds } from '../../domain/duration.ts';
import type { Problem } from '../../domain/errors.ts';

const HOLDS: Milliseconds = 30_000;

interface Looked {
  readonly beganAt: Milliseconds;
  readonly problems: Promise<readonly Problem[]>;
}

export class Lately {
  readonly #look: () => Promise<readonly Problem[]>;
  #last: Looked | null = null;

  constructor(look: () => Promise<readonly Problem[]>) {
    this.#look = look;
  }

  /** Problems are found anew each time: whoever mends one and tries again must not hear of it once more. */
  problems(): Promise<readonly Problem[]> {
    if (this.#last !== null && performance.now() - this.#last.beganAt < HOLDS) return this.#last.problems;
    const looked: Looked = { beganAt: performance.now(), problems: this.#look() };
    this.#last = looked;
    const forget = (): void => {
      if (this.#last === looked) this.#last = null;
    };
    looked.problems.then((problems) => {
      if (problems.length > 0) forget();
    }, forget);
    return looked.problems;
  }
}
