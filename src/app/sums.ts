/** What several routers of one process count, as one: counters and levels add up, of gauges the highest tells. */
import type { Attributes } from '@opentelemetry/api';

export type Point = readonly [value: number, labels: Attributes];

/** A `level` goes up and down, and several make a sum. */
export type Kind = 'counter' | 'level' | 'gauge' | 'histogram';

interface Summed<S> {
  readonly kind: Kind;
  readonly points?: (seen: S) => readonly Point[];
}

type Tally = Map<string, Point>;

export class Sums<S> {
  readonly #table: readonly (readonly [string, Summed<S>])[];
  readonly #open = new Set<() => S>();
  /** Counters of routers that were closed: a counter never goes back. */
  readonly #ended = new Map<string, Tally>();

  constructor(table: Readonly<Record<string, Summed<S>>>) {
    this.#table = Object.entries(table);
  }

  /** @returns ends it */
  add(see: () => S): () => void {
    this.#open.add(see);
    return () => {
      if (!this.#open.delete(see)) return;
      const seen = see();
      for (const [name, { kind, points }] of this.#table)
        if (kind === 'counter') this.#ended.set(name, merge(this.#ended.get(name), points!(seen), plus));
    };
  }

  points(): (readonly [name: string, ...Point])[] {
    const seen = [...this.#open].map((see) => see());
    return this.#table.flatMap(([name, { kind, points }]) => {
      if (points === undefined) return [];
      const combine = kind === 'gauge' ? Math.max : plus;
      let tally: Tally = new Map(this.#ended.get(name));
      for (const each of seen) tally = merge(tally, points(each), combine);
      return [...tally.values()].map(([value, labels]) => [name, value, labels] as const);
    });
  }
}

const plus = (a: number, b: number): number => a + b;

function merge(
  tally: Tally = new Map(),
  points: readonly Point[],
  combine: (a: number, b: number) => number,
): Tally {
  for (const [value, labels] of points) {
    const key = JSON.stringify(labels);
    const known = tally.get(key);
    tally.set(key, [known === undefined ? value : combine(known[0], value), labels]);
  }
  return tally;
}
