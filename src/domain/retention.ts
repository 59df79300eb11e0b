/** For how long Temporal has to keep a run that ended, so that the whole history of the weeks can still be read. */
import { HOUR, type Milliseconds } from './duration.ts';
import type { Plan } from './plan.ts';
import { RETENTION_HOURS } from './search-attributes.ts';

export interface RetentionNeed {
  readonly needs: Milliseconds;
  /** What it is made of, as a person would add it up. */
  readonly of: { readonly moves: Milliseconds; readonly keep: Milliseconds };
}

/**
 * A run of the continuous reconcile ends on its first day, and is wanted until the last wave is through. Where the
 * workers export every run as it ends, only the time to notice that an export fails.
 */
export function retentionNeed({ waves, durations, history }: Plan): RetentionNeed {
  const moves =
    history.folder !== null
      ? 0
      : waves.reduce(
          (sum, { soak, every, tenants }) =>
            sum +
            durations.shadow +
            durations.drill +
            Math.max(durations.soak, soak) +
            every * (tenants.length - 1),
          0,
        );
  return { needs: moves + history.keep, of: { moves, keep: history.keep } };
}

/** What a remedy asks for: whole days, and no less than what is asked of a new namespace. */
export const retentionHours = (needs: Milliseconds): number =>
  Math.max(RETENTION_HOURS, Math.ceil(needs / HOUR / 24) * 24);
