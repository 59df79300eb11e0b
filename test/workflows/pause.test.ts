/** A pause of an activity: ended by its time, by somebody, or by a cancel; and nothing of it stays. */
import { getEventListeners } from 'node:events';

import { cancellationSignal } from '@temporalio/activity';
import { CancelledFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { expect, it } from 'vitest';

import { pause } from '../../activities/pause.ts';

const HOUR = 3_600_000;

it('leaves no listener behind, on the cancellation or on who may end it', async () => {
  const { signal } = new AbortController();
  const left = await new MockActivityEnvironment().run(async () => {
    const before = getEventListeners(cancellationSignal(), 'abort').length;
    for (let pauses = 0; pauses < 20; pauses += 1) await pause(1, signal);
    return getEventListeners(cancellationSignal(), 'abort').length - before;
  });
  expect([left, getEventListeners(signal, 'abort').length]).toEqual([0, 0]);
});

it('ends early when somebody ends it, also before it began', async () => {
  const ending = new AbortController();
  setTimeout(() => ending.abort(), 10);
  const began = Date.now();
  await new MockActivityEnvironment().run(async () => {
    await pause(HOUR, ending.signal);
    await pause(HOUR, ending.signal);
  });
  expect(Date.now() - began).toBeLessThan(2_000);
});

it('throws the cancellation', async () => {
  const env = new MockActivityEnvironment();
  setTimeout(() => env.cancel(), 10);
  await expect(env.run(() => pause(HOUR))).rejects.toBeInstanceOf(CancelledFailure);
});
