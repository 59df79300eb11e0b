/**
 * How soon somebody who waits for gates looks again: soon while the tenant has just come, seldom when it has stood for long.
 * A look at the gates is a dozen queries of the source, one at the tenant's stage is one, and a fleet waits with a thousand.
 */
import { MINUTE, SECOND, type Milliseconds } from './duration.ts';

export interface LookPace {
  readonly stage: Milliseconds;
  readonly gates: Milliseconds;
}

const STAGE = { soonest: SECOND / 4, latest: 10 * SECOND } as const;
const GATES_LATEST = MINUTE;

/** @param stood since the tenant entered its phase */
export const lookPace = (stood: Milliseconds): LookPace => ({
  stage: Math.min(Math.max(stood / 40, STAGE.soonest), STAGE.latest),
  gates: Math.min(stood / 4, GATES_LATEST),
});
