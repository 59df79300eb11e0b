/**
 * When did a write become visible on the target? A process of its own asks the target again and again for numbers that it has
 * not seen; each write carries one. The moment is that of the answer, so it is late by up to one poll, never early.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { createConnection } from 'mysql2/promise';

/** Milliseconds since 1970 with their fractions: processes of one machine agree on it. */
export const wallClock = (): number => performance.timeOrigin + performance.now();

export interface Arrivals {
  /** By number of the write. */
  readonly seen: ReadonlyMap<number, number>;
  /** Milliseconds between two polls, as measured. */
  readonly polls: readonly number[];
  readonly stop: () => Promise<void>;
}

/** @param query selects the numbers above `?`; those of this phase begin after `after` and have no holes but failed writes */
export async function watchArrivals(url: string, query: string, after: number): Promise<Arrivals> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', fileURLToPath(import.meta.url), url, query, String(after)],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const seen = new Map<number, number>();
  const polls: number[] = [];
  const ready = once(child.stdout, 'data');
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { at, took, numbers } = JSON.parse(line) as { at: number; took: number; numbers: number[] };
    if (took > 0) polls.push(took);
    for (const number of numbers) seen.set(number, at);
  });
  await ready;
  return {
    seen,
    polls,
    async stop() {
      child.stdin.end();
      await once(child, 'close');
    },
  };
}

/** Numbers arrive out of order, and what lags is waited for: it is looked again from the lowest that is missing, so far back. */
const OVERLAP_MAX = 10_000;

async function main(url: string, query: string, after: number): Promise<void> {
  const connection = await createConnection(url);
  let ended = false;
  process.stdin.resume();
  process.stdin.once('end', () => (ended = true));
  const known = new Set<number>();
  let highest = 0;
  /** Everything up to it was seen, or is given up. */
  let low = after;
  let last = performance.now();
  console.log(JSON.stringify({ at: 0, took: 0, numbers: [] }));
  while (!ended) {
    const [rows] = await connection.query({ sql: query, rowsAsArray: true }, [low]);
    const at = wallClock();
    const numbers = (rows as [number][])
      .map(([number]) => number)
      .filter((number) => number > low && !known.has(number));
    for (const number of numbers) known.add(number);
    highest = Math.max(highest, ...numbers);
    while (known.delete(low + 1) || low < highest - OVERLAP_MAX) low += 1;
    const now = performance.now();
    if (numbers.length > 0) console.log(JSON.stringify({ at, took: now - last, numbers }));
    last = now;
    await sleep(1);
  }
  await connection.end();
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await main(process.argv[2]!, process.argv[3]!, Number(process.argv[4]!));
