/** The pause between two looks of the mirror's loop. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { Pause } from '../../src/db/pause.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('ends in its time, and before that when it is woken, and leaves no timer behind', async () => {
  const pause = new Pause();
  for (let round = 0; round < 20; round += 1) {
    const waiting = pause.wait(1_000);
    pause.wake();
    await waiting;
  }
  expect(vi.getTimerCount()).toBe(0);

  let hasEnded = false;
  const waiting = pause.wait(1_000).then(() => (hasEnded = true));
  await vi.advanceTimersByTimeAsync(999);
  expect(hasEnded).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await waiting;
});

it('does not begin when somebody woke it before, once', async () => {
  const pause = new Pause();
  pause.wake();
  pause.wake();
  await pause.wait(1_000);

  let hasEnded = false;
  void pause.wait(1_000).then(() => (hasEnded = true));
  await vi.advanceTimersByTimeAsync(999);
  expect(hasEnded).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(hasEnded).toBe(true);
});
