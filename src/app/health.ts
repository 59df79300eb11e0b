/** What a health endpoint says of a router. An ill target makes nobody unready: requests go on without it. */
import type { Milliseconds } from '../domain/duration.ts';

export interface Health {
  /** May requests be sent here? False only once the router was closed. */
  readonly isReady: boolean;
  /** Since the stages were last read from their table. */
  readonly stagesAgeMs: Milliseconds;
  /** Out of reach of the control schema for longer than a lease: reads go to the source. */
  readonly isCutOff: boolean;
  /** `failing`: a breaker stands open, or waits for its probe, for reads of the target or for its mirror. */
  readonly target: 'answers' | 'failing';
}
