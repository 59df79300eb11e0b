/**
 * How soon somebody who waits for gates looks again: soon while the tenant has just come, seldom when it has stood for long.
 * A look at the gates is a dozen queries of the source, a heartbeat is a write of Temporal's, and a fleet waits with a
 * thousand. A changed stage is heard at once, whatever the pace (`stage-watch.ts`).
 */
import { MINUTE, SECOND, type Milliseconds } from './duration.ts';

export interface LookPace {
  /** A cancel arrives with a heartbeat. */
  readonly beat: Milliseconds;
  readonly gates: Milliseconds;
}

const SOONEST = SECOND / 4;
const BEAT_LATEST = 30 * SECOND;
const GATES_LATEST = MINUTE;

/** @param stood since the tenant entered its phase */
export const lookPace = (stood: Milliseconds): LookPace => ({
  beat: Math.min(Math.max(stood / 40, SOONEST), BEAT_LATEST),
  gates: Math.min(Math.max(stood / 4, SOONEST), GATES_LATEST),
});
