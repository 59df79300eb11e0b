/**
 * How writes get to the target: the two modes of capture, and which promises each of them keeps.
 *
 * `triggers`: a trigger journals every write and the mirror applies it. `application`: the application itself
 * writes the source first and then the target, in any language, and nothing of ours stands in between.
 */
export const CAPTURES = ['triggers', 'application'] as const;

export type Capture = (typeof CAPTURES)[number];

export const isCapture = (word: string): word is Capture => (CAPTURES as readonly string[]).includes(word);

/** A promise (see the README) that a mode keeps only in part. */
export interface Weaker {
  readonly promise: 'P1' | 'P2' | 'P3' | 'P4' | 'P5';
  readonly says: string;
}

/** What `plan check`, `status` and `why` say of a mode; `triggers` keeps every promise whole. */
// prettier-ignore
export const WEAKER: Readonly<Record<Capture, readonly Weaker[]>> = {
  triggers: [],
  application: [
    { promise: 'P1', says: 'the application keeps the target from failing its requests: it must catch the error of its target write, and bound its time below durations.settle' },
    { promise: 'P2', says: 'only what the application wrote to the target, or a reconcile found, is there: a lost insert is repaired by the next pass, a lost update or delete stops the line' },
    { promise: 'P3', says: "a late target write of the application can put a row back in time; the next pass finds it, nothing prevents it" },
    { promise: 'P4', says: 'a drift is proven after durations.settle, not at once; backfill, verdict and repair hold share locks on source rows for moments' },
    { promise: 'P5', says: 'flipping back is instant and loses nothing; reads on the target may lack what the application failed to write there, and no journal marks the tenant dirty: a drift flips it back' },
  ],
};

/** Gates that a journal would have to answer; in the application's mode they are open, and say why. */
export const NO_JOURNAL: Readonly<Record<string, string>> = {
  'journal-age': 'does not apply: no journal, the application writes both sides',
  'mirror-errors': 'does not apply: the application mirrors by itself',
};
