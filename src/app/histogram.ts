/** Latencies in buckets that never change, so that those of several processes can be added. */
import type { Milliseconds } from '../domain/duration.ts';

/** Upper bounds of the buckets, inclusive; the last bucket has none. */
export const LATENCY_BOUNDS: readonly Milliseconds[] = [
  0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000,
];

export interface Histogram {
  /** One number a bucket: `counts[i]` of those up to `LATENCY_BOUNDS[i]` and over the bound before. */
  readonly counts: number[];
  count: number;
  sumMs: Milliseconds;
}

export const newHistogram = (): Histogram => ({
  counts: Array.from({ length: LATENCY_BOUNDS.length + 1 }, () => 0),
  count: 0,
  sumMs: 0,
});

export function observe(histogram: Histogram, tookMs: Milliseconds): void {
  const bucket = LATENCY_BOUNDS.findIndex((bound) => tookMs <= bound);
  histogram.counts[bucket === -1 ? LATENCY_BOUNDS.length : bucket]! += 1;
  histogram.count += 1;
  histogram.sumMs += tookMs;
}
