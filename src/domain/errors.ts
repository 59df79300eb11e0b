/**
 * Faults with a name. Expected outcomes (drift found, gate closed, command refused) are values.
 *
 * A message says what, which tenant or table, and what to do next; it never carries a row value,
 * a statement or a secret. `activities/failures.ts` maps these names to Temporal failures.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems;
  }
}

/** One thing wrong with a plan or an argument, with the way out of it. */
export interface Problem {
  /** Path of the field: `tables.messages.tenant.column`. */
  readonly field: string;
  /** What stands there, as text; never a secret. */
  readonly value: string;
  readonly problem: string;
  readonly remedy: string;
}

export const formatProblem = ({ field, value, problem, remedy }: Problem): string =>
  `${field}: ${value === '' ? '' : `"${value}" `}${problem}; ${remedy}`;

/** The compare-and-set on a stage's epoch, or on a run's claim of its tenant, lost against another change. */
export class StaleEpochError extends Error {
  override readonly name = 'StaleEpochError';
}

/** This workflow run no longer owns its tenant: the control record moved on without it. */
export class LostClaimError extends Error {
  override readonly name = 'LostClaimError';
}

/** Source and target, or plan and server, disagree about a table. Needs an operator. */
export class SchemaMismatchError extends Error {
  override readonly name = 'SchemaMismatchError';
}

/** Writes may have passed without a journal row. Needs reinstall and another backfill. */
export class LostCaptureError extends Error {
  override readonly name = 'LostCaptureError';
}

/** A database fault that goes away by itself: connection lost, lock timed out, deadlock, read-only failover. */
export class TransientDatabaseError extends Error {
  override readonly name = 'TransientDatabaseError';
  readonly errno: number | null;
  constructor(message: string, errno: number | null = null) {
    super(message);
    this.errno = errno;
  }
}

/** A database fault that stays: missing grant, unknown table, value refused. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
  readonly errno: number | null;
  constructor(message: string, errno: number | null = null) {
    super(message);
    this.errno = errno;
  }
}
