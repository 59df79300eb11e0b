/** The requests that a router is answering, so that its end can wait for them. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Milliseconds } from '../domain/duration.ts';
import { RouterClosedError } from './errors.ts';

export class UnderWay {
  #count = 0;
  #isClosed = false;
  #emptied: (() => void) | null = null;

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Whoever comes in leaves, in a `finally`.
   *
   * @throws RouterClosedError once it was closed
   */
  enter(): void {
    if (this.#isClosed) throw new RouterClosedError('the router was closed');
    this.#count += 1;
  }

  leave(): void {
    this.#count -= 1;
    if (this.#count === 0) this.#emptied?.();
  }

  /** Nobody comes in any more; resolves when all have left, or after the bound. */
  async close(boundMs: Milliseconds): Promise<void> {
    this.#isClosed = true;
    if (this.#count === 0) return;
    const waiting = new AbortController();
    const emptied = new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    await Promise.race([
      emptied,
      sleep(boundMs, undefined, { signal: waiting.signal }).catch(() => {}), // emptied before
    ]);
    waiting.abort();
  }
}
