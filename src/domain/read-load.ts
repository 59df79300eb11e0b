/**
 * How many reads each side answered, and how fast, as counts in buckets of time: they add up over nodes, days and stages,
 * which a percentile does not.
 */
import type { Milliseconds } from './duration.ts';

/** Who answered: `buffer` is the read buffer, so neither side was asked. */
export const READ_SIDES = ['source', 'target', 'buffer'] as const;
export type ReadSide = (typeof READ_SIDES)[number];

/** Upper ends of the buckets, in milliseconds; the last bucket has none. */
export const BUCKET_ENDS: readonly Milliseconds[] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000];
export const BUCKETS = BUCKET_ENDS.length + 1;

export function bucketOf(ms: Milliseconds): number {
  const found = BUCKET_ENDS.findIndex((end) => ms <= end);
  return found < 0 ? BUCKET_ENDS.length : found;
}

/** @returns the end of the bucket in which the share of all reads is reached; null: no reads, or above the last end */
export function quantile(counts: readonly number[], share: number): Milliseconds | null {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  let passed = 0;
  for (const [bucket, count] of counts.entries()) {
    passed += count;
    if (passed >= share * all) return BUCKET_ENDS[bucket] ?? null;
  }
  return null;
}
