/** What a fleet that waits costs the source. */
import { expect, it } from 'vitest';

import { HOUR, MINUTE, SECOND } from '../../src/domain/duration.ts';
import { lookPace } from '../../src/domain/look-pace.ts';

/** Looks between two moments after a phase was entered. */
function looks(from: number, to: number, what: 'stage' | 'gates'): number {
  let count = 0;
  for (let at = 0; at < to; at += Math.max(lookPace(at)[what], lookPace(at).stage))
    if (at >= from) count += 1;
  return count;
}

it('looks at once at a tenant that has just come', () => {
  expect(looks(0, 2 * SECOND, 'stage')).toBe(8);
  expect(looks(0, 2 * SECOND, 'gates')).toBeGreaterThanOrEqual(5);
});

it('looks once a minute at the gates, and six times at the stage, of one that has stood for long', () => {
  expect(looks(HOUR, HOUR + 10 * MINUTE, 'gates')).toBe(10);
  expect(looks(HOUR, HOUR + 10 * MINUTE, 'stage')).toBe(60);
});

it('never looks later than a quarter of what was waited for', () => {
  for (const stood of [SECOND, 7 * SECOND, MINUTE, HOUR])
    expect(lookPace(stood).gates).toBeLessThanOrEqual(stood / 4);
});
