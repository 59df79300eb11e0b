/** What a fleet that waits costs the source. */
import { expect, it } from 'vitest';

import { HOUR, MINUTE, SECOND } from '../../src/domain/duration.ts';
import { lookPace } from '../../src/domain/look-pace.ts';

/** Looks between two moments after a phase was entered. */
function looks(from: number, to: number, what: 'beat' | 'gates'): number {
  let count = 0;
  for (let at = 0; at < to; at += lookPace(at)[what]) if (at >= from) count += 1;
  return count;
}

it('looks at once at a tenant that has just come', () => {
  expect(looks(0, 2 * SECOND, 'beat')).toBe(8);
  expect(looks(0, 2 * SECOND, 'gates')).toBeGreaterThanOrEqual(5);
});

it('looks once a minute at the gates, and gives two signs of life, of one that has stood for long', () => {
  expect(looks(HOUR, HOUR + 10 * MINUTE, 'gates')).toBe(10);
  expect(looks(HOUR, HOUR + 10 * MINUTE, 'beat')).toBe(20);
});

it('never looks later than a quarter of what was waited for', () => {
  for (const stood of [SECOND, 7 * SECOND, MINUTE, HOUR])
    expect(lookPace(stood).gates).toBeLessThanOrEqual(stood / 4);
});
