/**
 * What an application obeys for one tenant: the first of the two tables that are the program.
 *
 * The row lives in the source's control schema; a node evaluates an immutable copy in memory.
 * Reads inside a write transaction, and locking reads, go to the authority whatever the row says.
 * `write-target` and `target-only` get their rows when promote is built; until then nothing enters `write-hold`.
 */
export type Side = 'source' | 'target';

interface StageRow {
  /** Side of plain reads; a tenant that is dirty, or whose target read fails, is read from the source. */
  readonly reads: Side;
  /** Side of which a sample is read off the request path and compared; null: nothing is compared. */
  readonly shadow: Side | null;
  /** Is the journal applied to the target? */
  readonly mirrored: boolean;
  /** Does the application wait, within a budget, until its own write is on the target? */
  readonly awaitsMirror: boolean;
  /** The side whose write result the caller gets; null: it is moving, and writes wait. */
  readonly authority: Side | null;
}

// prettier-ignore
export const STAGES = {
  'source-only': { reads: 'source', shadow: null,     mirrored: false, awaitsMirror: false, authority: 'source' },
  'dual-write':  { reads: 'source', shadow: null,     mirrored: true,  awaitsMirror: false, authority: 'source' },
  'shadow-read': { reads: 'source', shadow: 'target', mirrored: true,  awaitsMirror: false, authority: 'source' },
  'read-target': { reads: 'target', shadow: 'source', mirrored: true,  awaitsMirror: true,  authority: 'source' },
  'write-hold':  { reads: 'target', shadow: null,     mirrored: true,  awaitsMirror: true,  authority: null },
} as const satisfies Record<string, StageRow>;

export type Stage = keyof typeof STAGES;

export const isStage = (word: string): word is Stage => Object.hasOwn(STAGES, word);

/** Stages in which rows of the tenant are journaled for the mirror (its journal rows are never purged). */
export const isMirrored = (stage: Stage): boolean => STAGES[stage].mirrored;

/** Pseudo-tenant that owns the rows of shared tables; it moves before the others. */
export const SHARED = '_shared';
/** Journal rows whose parent a trigger could not see; applied under the locks of every started tenant. */
export const UNRESOLVED = '_unresolved';
