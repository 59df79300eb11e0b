/** For which commits a mirror waits that has its lock, by a clock that the test moves. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { commitsOf } from '../../src/app/mirror-hints.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

const committing = new Set<Promise<void>>();

/** A COMMIT that is sent now. @returns its answer */
function send(): () => void {
  let answered = (): void => {};
  const commit = new Promise<void>((resolve) => (answered = resolve));
  committing.add(commit);
  return () => {
    committing.delete(commit);
    answered();
  };
}

function begin(): { readonly isOver: () => Promise<boolean> } {
  let isOver = false;
  void commitsOf({ committing }).then(() => (isOver = true));
  return {
    isOver: async () => {
      await vi.advanceTimersByTimeAsync(0);
      return isOver;
    },
  };
}

it('waits for none when none is under way', async () => {
  expect(await begin().isOver()).toBe(true);
});

it('waits for those that were sent while it waits for others', async () => {
  const first = send();
  const waiting = begin();
  await vi.advanceTimersByTimeAsync(2);
  const second = send();
  first();
  expect(await waiting.isOver()).toBe(false);
  second();
  expect(await waiting.isOver()).toBe(true);
});

it('waits no longer than 5 ms, and for a late one never again', async () => {
  const late = send();
  const waiting = begin();
  await vi.advanceTimersByTimeAsync(4);
  expect(await waiting.isOver()).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(await waiting.isOver()).toBe(true);
  expect(await begin().isOver()).toBe(true);
  late();
});
