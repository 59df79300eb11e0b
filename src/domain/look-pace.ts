/**
 * How soon somebody who waits for gates looks again: soon while the tenant has just come, seldom when it has stood for long.
 * A look at the gates is a dozen queries of the source, a heartbeat is a write of Temporal's, and a fleet waits with a
 * thousand. A changed stage is heard at once, whatever the pace (`stage-watch.ts`).
 */
import { MINUTE, SECOND, type Milliseconds } from './duration.ts';
import { move, type Phase } from './phase.ts';

export interface LookPace {
  /** Whoever was cancelled hears of it with a heartbeat, and nobody waits for that. */
  readonly beat: Milliseconds;
  readonly gates: Milliseconds;
}

const SOONEST = SECOND / 4;
const BEAT_LATEST = MINUTE;
const GATES_LATEST = 2 * MINUTE;

/** @param stood since the tenant entered its phase */
export function lookPace(phase: Phase, stood: Milliseconds): LookPace {
  const quarter = Math.max(stood / 4, SOONEST);
  // Where no gate leads on, a look only tells the console.
  const gates = move(phase, 'advance') === null ? Math.max(stood, SOONEST) : quarter;
  return { beat: Math.min(quarter, BEAT_LATEST), gates: Math.min(gates, GATES_LATEST) };
}
