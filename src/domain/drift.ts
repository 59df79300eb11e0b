/** What a verdict can say of a suspect, and what follows: the reconcile policy as a table. */
export type DriftClass = 'missing' | 'different' | 'extra';

export type Verdict = { readonly kind: 'equal' } | { readonly kind: 'in-flight' } | Drift;

export interface Drift {
  readonly kind: 'drift';
  readonly class: DriftClass;
}

interface Policy {
  readonly repair: boolean;
  readonly stopsLine: boolean;
}

/** Missing rows are repaired at once and alert when they recur; anything else stops the line. */
export const DRIFT_POLICY: Readonly<Record<DriftClass, Policy>> = {
  missing: { repair: true, stopsLine: false },
  different: { repair: false, stopsLine: true },
  extra: { repair: false, stopsLine: true },
};

/**
 * Taken under the tenant's lock, after source rows, target rows and then the journal were read.
 *
 * @param sourceHash null when the source has no such row (or its owner is `source-only`)
 * @param targetHash null when the target has no such row under any tenant
 * @param journaled is the key in the journal, of whichever tenant?
 */
export function judgeSuspect(
  sourceHash: string | null,
  targetHash: string | null,
  journaled: boolean,
): Verdict {
  if (sourceHash === targetHash) return { kind: 'equal' };
  if (journaled) return { kind: 'in-flight' };
  if (targetHash === null) return { kind: 'drift', class: 'missing' };
  return { kind: 'drift', class: sourceHash === null ? 'extra' : 'different' };
}

export const saysDrift = (rows: number): string =>
  rows === 1 ? 'drift: 1 row differs or is extra' : `drift: ${rows} rows differ or are extra`;
