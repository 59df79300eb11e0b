/**
 * What stands between a request and the target: so many at once, so many waiting, and nobody at all while
 * it keeps failing.
 */
import {
  bulkhead,
  BrokenCircuitError,
  BulkheadRejectedError,
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  handleWhen,
} from 'cockatiel';

import { stripError } from '../db/faults.ts';
import { SECOND } from '../domain/duration.ts';
import { TransientDatabaseError } from '../domain/errors.ts';
import { DeadlineError } from './errors.ts';
import { SideFault } from './pool.ts';
import type { FallbackReason } from './stats.ts';

const FAILURES = 3;

export class Guard {
  readonly #breaker;
  readonly #bulkhead;

  constructor(slots: number, queue: number) {
    this.#breaker = circuitBreaker(handleWhen(saysThatTheServerIsIll), {
      halfOpenAfter: SECOND,
      breaker: new ConsecutiveBreaker(FAILURES),
    });
    this.#bulkhead = bulkhead(slots, queue);
  }

  get isFailing(): boolean {
    return this.#breaker.state !== CircuitState.Closed;
  }

  /** @throws BrokenCircuitError, BulkheadRejectedError at once, without calling `use` */
  execute<T>(use: () => Promise<T>): Promise<T> {
    if (this.#isProbing) return Promise.reject(new BrokenCircuitError());
    return this.#bulkhead.execute(() => this.#breaker.execute(use));
  }

  /** The same for who is bounded already, and must take no request's place. */
  aside<T>(use: () => Promise<T>): Promise<T> {
    return this.#isProbing ? Promise.reject(new BrokenCircuitError()) : this.#breaker.execute(use);
  }

  /** While the one probe is out, cockatiel would let everybody else wait for it. */
  get #isProbing(): boolean {
    return this.#breaker.state === CircuitState.HalfOpen;
  }
}

/** A statement that is refused (unknown column) says nothing about the server's health. */
function saysThatTheServerIsIll(error: Error): boolean {
  const cause = error instanceof SideFault ? stripError('target', error.cause) : error;
  return cause instanceof DeadlineError || cause instanceof TransientDatabaseError;
}

/** @returns null when the error is the application's own, and no other side would answer differently. */
export function reasonOf(error: unknown): FallbackReason | null {
  if (error instanceof SideFault) return 'error';
  if (error instanceof DeadlineError) return 'deadline';
  if (error instanceof BrokenCircuitError) return 'breaker';
  return error instanceof BulkheadRejectedError ? 'busy' : null;
}
