/** What a fleet that waits costs the source and Temporal. */
import { expect, it } from 'vitest';

import { HOUR, MINUTE, SECOND } from '../../src/domain/duration.ts';
import { lookPace } from '../../src/domain/look-pace.ts';
import type { Phase } from '../../src/domain/phase.ts';

/** Looks between two moments after a phase was entered. */
function looks(phase: Phase, from: number, to: number, what: 'beat' | 'gates'): number {
  let count = 0;
  for (let at = 0; at < to; at += lookPace(phase, at)[what]) if (at >= from) count += 1;
  return count;
}

it('looks at once at a tenant that has just come', () => {
  expect(looks('shadow', 0, 2 * SECOND, 'gates')).toBeGreaterThanOrEqual(5);
});

it('looks every other minute at the gates, and gives a sign of life a minute, of one that has stood for long', () => {
  for (const phase of ['shadow', 'ramp'] as const) {
    expect(looks(phase, HOUR, HOUR + 10 * MINUTE, 'gates')).toBe(5);
    expect(looks(phase, HOUR, HOUR + 10 * MINUTE, 'beat')).toBe(10);
  }
});

it('never looks later than a quarter of what was waited for', () => {
  for (const stood of [SECOND, 7 * SECOND, MINUTE, HOUR])
    expect(lookPace('shadow', stood).gates).toBeLessThanOrEqual(stood / 4);
});

it('looks seldom where no gate leads on, and writes little to Temporal meanwhile', () => {
  expect(looks('ramp', 0, 10 * MINUTE, 'gates')).toBeLessThan(20);
  expect(looks('ramp', 0, 10 * MINUTE, 'beat')).toBeLessThan(40);
});
