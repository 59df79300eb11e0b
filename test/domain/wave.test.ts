/** Every decision of the fleet, by its numbers alone. */
import { expect, test } from 'vitest';

import type { WavePolicy } from '../../src/domain/plan.ts';
import { decide, type Decision, type WaveCounts } from '../../src/domain/wave.ts';

const POLICY = {
  approval: false,
  approvals: 1,
  atOnce: 2,
  every: 0,
  soak: 60_000,
  maxStopped: 1,
  flips: null,
};
const WAVES: readonly WavePolicy[] = [
  { ...POLICY, name: 'internal' },
  { ...POLICY, name: 'first', atOnce: 3 },
];
const NONE: WaveCounts = {
  name: '',
  size: 4,
  notStarted: 4,
  moving: 0,
  ramp: 0,
  soaked: 0,
  stopped: 0,
  held: 0,
  aborted: 0,
  startedAt: null,
};
const DONE = { notStarted: 0, ramp: 4, soaked: 4 };
const AT = Date.UTC(2026, 10, 25);

const decided = (
  wave: number,
  internal: Partial<WaveCounts>,
  first: Partial<WaveCounts> = {},
  waves = WAVES,
): Decision =>
  decide({
    at: AT,
    wave,
    waves,
    traffic: null,
    counts: [
      { ...NONE, ...internal },
      { ...NONE, ...first },
    ],
  });

test.each<[string, Partial<WaveCounts>, Decision]>([
  ['starts as many as may be on their way', {}, { kind: 'start', wave: 'internal', count: 2 }],
  [
    'fills the room that is left',
    { notStarted: 3, moving: 1 },
    { kind: 'start', wave: 'internal', count: 1 },
  ],
  [
    'starts no more than there are',
    { notStarted: 1, ramp: 3 },
    { kind: 'start', wave: 'internal', count: 1 },
  ],
  [
    'one stopped tenant is allowed',
    { notStarted: 3, moving: 1, stopped: 1 },
    { kind: 'start', wave: 'internal', count: 1 },
  ],
  ['begins the next wave when all are soaked', DONE, { kind: 'widen', from: 'internal', to: 'first' }],
  [
    'does not wait for who is held or aborted',
    { ...DONE, ramp: 2, soaked: 2, held: 1, aborted: 1 },
    { kind: 'widen', from: 'internal', to: 'first' },
  ],
])('%s', (_, internal, decision) => {
  expect(decided(0, internal)).toEqual(decision);
});

test.each<[string, Partial<WaveCounts>, RegExp]>([
  [
    'at its limit',
    { notStarted: 2, moving: 2 },
    /^internal: 2 tenants are on their way, and the plan allows 2/,
  ],
  [
    'for those on their way',
    { notStarted: 0, moving: 1, ramp: 3, soaked: 3 },
    /^internal: 1 of 4 tenants are on their way/,
  ],
  [
    'for the soak of the last one',
    { ...DONE, soaked: 3 },
    /^internal: 3 of 4 tenants are clean in ramp for 1m/,
  ],
])('waits %s', (_, internal, reason) => {
  expect(decided(0, internal)).toEqual({ kind: 'wait', reason: expect.stringMatching(reason) });
});

test('stops itself with one stopped tenant more than its plan allows, also in a wave that is behind', () => {
  expect(decided(0, { stopped: 2 })).toMatchObject({ kind: 'stop', wave: 'internal' });
  expect(decided(1, { ...DONE, stopped: 2 })).toMatchObject({ kind: 'stop', wave: 'internal' });
  expect(decided(0, {}, { stopped: 2 }).kind).toBe('start');
});

test('keeps its pace between two starts', () => {
  const paced = WAVES.map((wave) => ({ ...wave, every: 60_000 }));
  expect(decided(0, { notStarted: 3, moving: 1, startedAt: AT - 59_999 }, {}, paced).kind).toBe('wait');
  expect(decided(0, { notStarted: 3, startedAt: AT - 60_000 }, {}, paced)).toEqual({
    kind: 'start',
    wave: 'internal',
    count: 1,
  });
  expect(decided(0, {}, {}, paced)).toEqual({ kind: 'start', wave: 'internal', count: 1 });
});

test('is finished when the last wave is soaked', () => {
  expect(decided(1, DONE, DONE)).toEqual({ kind: 'finish' });
});

const share = (moving: number, next: readonly number[], count: Partial<WaveCounts> = {}): Decision =>
  decide({
    at: AT,
    wave: 0,
    waves: [{ ...POLICY, name: 'internal', atOnce: 10, trafficAtOnce: 25 }],
    counts: [{ ...NONE, notStarted: next.length, ...count }],
    traffic: { isKnown: true, moving, next },
  });

test.each<[string, Decision, number]>([
  ['starts as many as fit into the share', share(0, [10, 10, 10]), 2],
  ['up to its very end', share(5, [20, 1]), 1],
  ['one larger than the share, alone', share(0, [60, 1]), 1],
  ['any number of tenants that nobody reads', share(0, [0, 0, 0, 0]), 4],
  [
    'those too beside one that is too large',
    share(
      60,
      [0, 0].map(() => 0),
    ),
    0,
  ],
  ['never more than may be on their way by number', share(0, [1, 1, 1], { moving: 9 }), 1],
])('by traffic it starts %s', (_, decision, count) => {
  expect(decision).toMatchObject(
    count > 0
      ? { kind: 'start', count }
      : { kind: 'wait', reason: expect.stringContaining('60.0 %') as unknown },
  );
});

test('by traffic it waits, and says what for', () => {
  expect(share(20, [6])).toEqual({
    kind: 'wait',
    reason:
      'internal: tenants with 20.0 % of the reads are on their way, the next has 6.0 %, and the plan allows 25 % at once',
  });
  const unknown = decide({
    at: AT,
    wave: 0,
    waves: [{ ...POLICY, name: 'internal', trafficAtOnce: 25 }],
    counts: [NONE],
    traffic: { isKnown: false, moving: 0, next: [] },
  });
  expect(unknown).toEqual({
    kind: 'wait',
    reason: 'internal: no reads of the application are on record, and the plan allows 25 % at once',
  });
});
