/** How long somebody waits, and how it ends before that. */
import type { Milliseconds } from '../domain/duration.ts';
import { DeadlineError } from './errors.ts';

export interface Bounds {
  readonly deadlineMs?: Milliseconds | undefined;
  /** Its `reason` is what the caller gets. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The work's outcome, or an error as soon as nobody waits any longer. A destroyed connection never settles its
 * query (mysql2 3.24), so whatever is given up has to be rejected here.
 *
 * @param giveUp called before the error; returns the error
 */
export function bounded<T>(
  work: Promise<T>,
  { deadlineMs, signal }: Bounds,
  giveUp: (why: unknown) => unknown,
  what: string,
): Promise<T> {
  if (deadlineMs === undefined && signal === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    const stop = (why: unknown): void => {
      release();
      reject(giveUp(why) as Error);
    };
    const abort = (): void => stop(signal!.reason);
    const timer =
      deadlineMs === undefined
        ? undefined
        : setTimeout(() => stop(new DeadlineError(`${what} within ${deadlineMs} ms`)), deadlineMs);
    const release = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
    signal?.addEventListener('abort', abort, { once: true });
    void work.then(resolve, reject).finally(release);
    if (signal?.aborted === true) abort();
  });
}

/** @returns false: it failed, or has not ended by then; it goes on */
export function inTime(work: Promise<unknown>, boundMs: Milliseconds): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), boundMs);
    const end = (isDone: boolean): void => {
      clearTimeout(timer);
      resolve(isDone);
    };
    work.then(
      () => end(true),
      () => end(false),
    );
  });
}
