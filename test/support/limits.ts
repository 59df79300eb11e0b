/** Limits of a run in a test: small windows, one lane, and nothing of a shared machine that holds work back. */
import type { Limits } from '../../src/domain/plan.ts';

export const limits = (own: Partial<Limits> = {}): Limits => ({
  windowTarget: 300,
  windowRows: 1_000,
  windowBytes: 8 * 1024 * 1024,
  reconcileRows: 1_000,
  backfillParallel: 1,
  threadsRunning: 100,
  rowsPerSecond: 0,
  ...own,
});
