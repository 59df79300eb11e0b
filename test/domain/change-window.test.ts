import { expect, test } from 'vitest';

import { whyNoFlip, type FlipHours } from '../../src/domain/change-window.ts';

const OFFICE: FlipHours = {
  days: ['mon', 'tue', 'wed', 'thu'],
  from: '09:00',
  to: '16:30',
  timeZone: 'Europe/Berlin',
};
const HOLIDAYS = { from: Date.UTC(2026, 11, 21), to: Date.UTC(2027, 0, 4), why: 'the holidays' };

// 2026-11-25 is a Wednesday; Berlin is one hour ahead of UTC, two in summer.
test.each([
  ['inside', '2026-11-25T10:00:00Z', null],
  ['the first minute', '2026-11-25T08:00:00Z', null],
  ['a minute before it', '2026-11-25T07:59:59Z', 'it is wed 08:59 in Europe/Berlin'],
  ['the last minute', '2026-11-25T15:29:59Z', null],
  ['the first after it', '2026-11-25T15:30:00Z', 'it is wed 16:30 in Europe/Berlin'],
  ['midnight', '2026-11-24T23:00:00Z', 'it is wed 00:00 in Europe/Berlin'],
  ['another weekday', '2026-11-27T10:00:00Z', 'it is fri 11:00 in Europe/Berlin'],
  ['summer time', '2026-07-01T07:00:00Z', null],
  [
    'the first moment of a freeze',
    '2026-12-21T10:00:00Z',
    'frozen until 2027-01-04T00:00:00.000Z: the holidays',
  ],
  ['the first after it', '2027-01-04T10:00:00Z', null],
])('%s: %s', (_, at, why) => {
  expect(whyNoFlip(Date.parse(at), OFFICE, [HOLIDAYS])).toBe(why);
});

test('a wave without hours flips at any time, but not in a freeze', () => {
  expect(whyNoFlip(Date.UTC(2026, 10, 29, 3), null, [HOLIDAYS])).toBeNull();
  expect(whyNoFlip(Date.UTC(2026, 11, 24), null, [HOLIDAYS])).toMatch(/^frozen/);
  const { from, to } = HOLIDAYS;
  const frozen = [from - 1, from, to - 1, to].map((at) => whyNoFlip(at, null, [HOLIDAYS]) !== null);
  expect(frozen).toEqual([false, true, true, false]);
});
