/** In which way the two sides answered one read differently, seen from the target. */

// prettier-ignore
export const DIFFERENCES = {
  missing: 'rows of the source are missing',
  extra:   'rows that the source has not',
  value:   'as many rows, other values',
  order:   'the same rows in another order, where the order counts',
  error:   'one side refused what the other answered',
  slower:  'at least twice as long, and 10 ms longer; the answer is judged apart',
} as const satisfies Readonly<Record<string, string>>;

export type Difference = keyof typeof DIFFERENCES;

export const isDifference = (word: string): word is Difference => Object.hasOwn(DIFFERENCES, word);

/** How often each was found; missing: never. */
export type Differences = Readonly<Partial<Record<Difference, number>>>;

/** What is known of one kind of read. */
export interface ShadowRead {
  readonly read: string;
  readonly samples: number;
  /** Samples whose answers were not the same; a slow one is not among them. */
  readonly differing: number;
  readonly classes: Differences;
  /** By how much the slower ones were, on average; null: none was. */
  readonly slowerByMs: number | null;
}

/** `2 value, 1 missing`, the most frequent first; empty: no class is known. */
export const sayDifferences = (classes: Differences): string =>
  Object.keys(DIFFERENCES)
    .filter(isDifference)
    .flatMap((word) => (word === 'slower' ? [] : [[word, classes[word] ?? 0] as const]))
    .filter(([, count]) => count > 0)
    .sort(([, one], [, other]) => other - one)
    .map(([word, count]) => `${count} ${word}`)
    .join(', ');

const TWICE = 2;
const AT_LEAST_MS = 10;

/** @returns how much longer the target took, where that is worth a word; else null */
export function slowerBy(sourceMs: number, targetMs: number): number | null {
  const byMs = targetMs - sourceMs;
  return targetMs >= TWICE * sourceMs && byMs >= AT_LEAST_MS ? byMs : null;
}
