/**
 * What a health endpoint says of a router: 200 while `isReady`, else 503. Nothing that is ill around it makes a process
 * unready: requests go on without the target, without Redis, and on the last stages known.
 */
import type { Milliseconds } from '../domain/duration.ts';

export interface Health {
  /** May requests be sent here? False only once the router was closed. */
  readonly isReady: boolean;
  /** `degraded`: ready, and `problems` says what a person should look at. */
  readonly status: 'ok' | 'degraded' | 'closed';
  readonly problems: readonly string[];
  /** Since the stages were last read from their table. */
  readonly stagesAgeMs: Milliseconds;
  /** `file`: the table was not read since the start; reads go to the source until it is. */
  readonly stagesFrom: 'table' | 'file';
  /** Out of reach of the control schema for longer than a lease: reads go to the source. */
  readonly isCutOff: boolean;
  /** `failing`: a breaker stands open, or waits for its probe, for reads of the target or for its mirror. */
  readonly target: 'answers' | 'failing';
  /** `none`: the router was given none. `away`: flips arrive by the poll, read buffers load from the database. */
  readonly redis: 'none' | 'answers' | 'away';
}

type Signs = Omit<Health, 'status' | 'problems'>;

const PROBLEMS: readonly (readonly [(signs: Signs) => boolean, (signs: Signs) => string])[] = [
  [
    ({ stagesFrom }) => stagesFrom === 'file',
    () => 'started from the snapshot file, and the stage table was not read since',
  ],
  [
    ({ isCutOff }) => isCutOff,
    ({ stagesAgeMs }) =>
      `the control schema is out of reach: stages are ${Math.round(stagesAgeMs / 1_000)} s old, reads go to the source`,
  ],
  [
    ({ target }) => target === 'failing',
    () => 'the target fails: reads come from the source, or the mirror is left to the workers',
  ],
  [
    ({ redis }) => redis === 'away',
    () => 'Redis is away: flips arrive by the poll, read buffers are passed by',
  ],
];

export function healthOf(signs: Signs): Health {
  const problems = PROBLEMS.flatMap(([has, say]) => (has(signs) ? [say(signs)] : []));
  const status = problems.length === 0 ? 'ok' : 'degraded';
  return { ...signs, status: signs.isReady ? status : 'closed', problems };
}
