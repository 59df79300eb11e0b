/** Exit codes, and the failures that carry one. A failure is one line that says what to do next. */
import type { Problem } from '../domain/errors.ts';

/** Documented in `--help`; scripts depend on the numbers. */
// prettier-ignore
export const EXITS = {
  ok:          { code: 0, means: 'done' },
  unexpected:  { code: 1, means: 'unexpected: please report it' },
  usage:       { code: 2, means: 'usage, bad input, or problems in the plan; nothing was changed' },
  'not-found': { code: 3, means: 'no such tenant, run or record' },
  refused:     { code: 4, means: 'refused, or blocked by a gate' },
  drift:       { code: 5, means: 'drift or a difference was found' },
  'timed-out': { code: 6, means: 'timed out while waiting' },
  unreachable: { code: 7, means: 'Temporal or a database cannot be reached' },
  interrupted: { code: 130, means: 'ended by Ctrl-C before it was done' },
} as const satisfies Record<string, { readonly code: number; readonly means: string }>;

/** What to start, for whoever tries it out. */
export const HERE = '(on this machine: npm run stack)';

export type ExitKind = keyof typeof EXITS;

export interface FailureDetails {
  readonly next?: readonly string[];
  readonly problems?: readonly Problem[];
}

export class CliFailure extends Error {
  override readonly name = 'CliFailure';
  readonly kind: ExitKind;
  readonly next: readonly string[];
  readonly problems: readonly Problem[];
  constructor(kind: ExitKind, message: string, { next = [], problems = [] }: FailureDetails = {}) {
    super(message);
    this.kind = kind;
    this.next = next;
    this.problems = problems;
  }
}
