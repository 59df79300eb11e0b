/** Whoever asks beside another shares the look; what was in the way is looked at again. */
import { afterEach, expect, it, vi } from 'vitest';

import { Lately } from '../../src/db/preflight/lately.ts';
import type { Problem } from '../../src/domain/errors.ts';

const PROBLEM: Problem = { field: 'tables', value: 'a', problem: 'is not there', remedy: 'create it' };

afterEach(() => void vi.useRealTimers());

/** Looks that find what it says, one after the other. */
function looks(...found: (readonly Problem[] | Error)[]): {
  readonly lately: Lately;
  readonly count: () => number;
} {
  let count = 0;
  const lately = new Lately(() => {
    const next = found[count]!;
    count += 1;
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
  });
  return { lately, count: () => count };
}

it('is shared by those who ask at once, and for half a minute', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const { lately, count } = looks([], []);
  expect(await Promise.all([lately.problems(), lately.problems()])).toEqual([[], []]);
  vi.advanceTimersByTime(29_000);
  await lately.problems();
  expect(count()).toBe(1);
  vi.advanceTimersByTime(1_000);
  await lately.problems();
  expect(count()).toBe(2);
});

it('is not kept where it found a problem, or failed', async () => {
  const { lately, count } = looks([PROBLEM], new Error('away'), []);
  expect(await lately.problems()).toEqual([PROBLEM]);
  await expect(lately.problems()).rejects.toThrow('away');
  expect(await lately.problems()).toEqual([]);
  expect(count()).toBe(3);
});
