/** A pause of an activity that may live for a day. */
import { setTimeout as sleep } from 'node:timers/promises';

import { cancellationSignal } from '@temporalio/activity';

import type { Milliseconds } from '../src/domain/duration.ts';

/**
 * The SDK's own `sleep` hangs one more reaction on the cancellation each time, and they stay for as long as the activity
 * lives; its timer stays when nobody waits for it any longer.
 *
 * @param until ends the pause early
 * @throws CancelledFailure
 */
export async function pause(ms: Milliseconds, until?: AbortSignal): Promise<void> {
  const cancelled = cancellationSignal();
  const ending = new AbortController();
  const end = (): void => ending.abort();
  for (const signal of [cancelled, until]) signal?.addEventListener('abort', end, { once: true });
  try {
    if (!cancelled.aborted && until?.aborted !== true)
      await sleep(ms, undefined, { signal: ending.signal }).catch(() => {});
  } finally {
    for (const signal of [cancelled, until]) signal?.removeEventListener('abort', end);
  }
  cancelled.throwIfAborted();
}
