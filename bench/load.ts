/**
 * Writes at a fixed rate, whatever the server does: each write has its time, and its latency counts from that time.
 * A server that stalls is then charged for every write that had to wait, not for one (no coordinated omission).
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { createPool, type Pool } from 'mysql2/promise';

export interface Latencies {
  readonly writes: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Writes that were refused; any of them makes the run worthless. */
  readonly failed: number;
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export const summary = (times: readonly number[], failed = 0): Latencies => ({
  writes: times.length,
  p50: percentile(times, 0.5),
  p99: percentile(times, 0.99),
  max: percentile(times, 1),
  failed,
});

export interface OpenLoop {
  readonly rate: number;
  /** `index` counts from 0. */
  readonly write: (pool: Pool, index: number) => Promise<unknown>;
  readonly connections?: number;
}

/** Writes until `until` is true. @returns latencies in milliseconds from each write's due time */
export async function openLoop(
  url: string,
  { rate, write, connections = 32 }: OpenLoop,
  until: (elapsedMs: number) => boolean,
): Promise<Latencies> {
  const pool = createPool({ uri: url, connectionLimit: connections, charset: 'utf8mb4' });
  const times: number[] = [];
  const running = new Set<Promise<void>>();
  let failed = 0;
  const one = async (index: number, due: number): Promise<void> => {
    try {
      await write(pool, index);
      times.push(performance.now() - due);
    } catch {
      failed += 1;
    }
  };
  try {
    // Connections are made before the clock runs.
    await Promise.all(Array.from({ length: connections }, () => pool.query('DO 1')));
    const started = performance.now();
    for (let index = 0; !until(performance.now() - started);) {
      const due = started + (index / rate) * 1_000;
      const wait = due - performance.now();
      if (wait > 1) await sleep(wait);
      // Timers are late by a millisecond: every write that is due goes now.
      const now = performance.now();
      for (; started + (index / rate) * 1_000 <= now; index += 1) {
        const task = one(index, started + (index / rate) * 1_000);
        running.add(task);
        void task.finally(() => running.delete(task));
      }
      await sleep(0);
    }
    await Promise.all(running);
    return summary(times, failed);
  } finally {
    await pool.end();
  }
}
