/**
 * How a fleet widens: numbers of every wave in, one decision out.
 *
 * Waves go one after the other. A wave starts its tenants within its limits; the next one begins when every tenant
 * of the wave is in `ramp` and has been clean there for the wave's soak. Whoever is held or aborted is not waited for.
 */
import { formatDuration, type Milliseconds } from './duration.ts';
import type { WavePolicy } from './plan.ts';

/** Tenants of one wave by where they stand; `moving` counts whoever is between the start and `ramp`. */
export interface WaveCounts {
  readonly name: string;
  readonly size: number;
  readonly notStarted: number;
  readonly moving: number;
  readonly ramp: number;
  /** Of those in `ramp`: clean there for the wave's soak. */
  readonly soaked: number;
  /** Whose line is stopped, wherever they stand; counted above too. */
  readonly stopped: number;
  readonly held: number;
  readonly aborted: number;
  /** When the fleet last started one; epoch milliseconds. */
  readonly startedAt: Milliseconds | null;
}

export type Decision =
  | { readonly kind: 'start'; readonly wave: string; readonly count: number }
  | { readonly kind: 'widen'; readonly from: string; readonly to: string }
  | { readonly kind: 'stop'; readonly wave: string; readonly reason: string }
  | { readonly kind: 'finish' }
  | { readonly kind: 'wait'; readonly reason: string };

/** In percent of all reads of the application in a week. */
export interface Traffic {
  /** No reads are on record: nobody counts them, so no share is known. */
  readonly isKnown: boolean;
  /** Of everybody between the start and `ramp`, in whichever wave. */
  readonly moving: number;
  /** Of the tenants that are next, in their order. */
  readonly next: readonly number[];
}

export interface FleetNumbers {
  /** By the source's clock, epoch milliseconds. */
  readonly at: Milliseconds;
  /** The wave that is under way, as a place in both lists. */
  readonly wave: number;
  readonly waves: readonly WavePolicy[];
  /** In the order of `waves`. */
  readonly counts: readonly WaveCounts[];
  /** null: the wave has no limit by traffic. */
  readonly traffic: Traffic | null;
}

export function decide({ at, wave, waves, counts, traffic }: FleetNumbers): Decision {
  for (const [place, policy] of waves.slice(0, wave + 1).entries()) {
    const stopped = counts[place]!.stopped;
    if (stopped > policy.maxStopped)
      return { kind: 'stop', wave: policy.name, reason: tooMany(policy, stopped) };
  }
  const [policy, count] = [waves[wave]!, counts[wave]!];
  if (count.notStarted > 0) return start(at, policy, count, traffic);
  const awaited = count.size - count.held - count.aborted;
  if (count.moving > 0)
    return wait(`${policy.name}: ${count.moving} of ${awaited} tenants are on their way to ramp`);
  if (count.soaked < awaited)
    return wait(
      `${policy.name}: ${count.soaked} of ${awaited} tenants are clean in ramp for ${formatDuration(policy.soak)}`,
    );
  const next = waves[wave + 1];
  return next === undefined ? { kind: 'finish' } : { kind: 'widen', from: policy.name, to: next.name };
}

const wait = (reason: string): Decision => ({ kind: 'wait', reason });

const tooMany = ({ name, maxStopped }: WavePolicy, stopped: number): string =>
  `${stopped} ${stopped === 1 ? 'tenant' : 'tenants'} of wave ${name} ${stopped === 1 ? 'is' : 'are'} stopped, and the plan allows ${maxStopped}`;

function start(at: Milliseconds, policy: WavePolicy, count: WaveCounts, traffic: Traffic | null): Decision {
  const room = policy.atOnce - count.moving;
  if (room <= 0)
    return wait(
      `${policy.name}: ${count.moving} tenants are on their way, and the plan allows ${policy.atOnce} at once`,
    );
  const next = count.startedAt === null ? at : count.startedAt + policy.every;
  if (policy.every > 0 && next > at)
    return wait(`${policy.name}: the next tenant starts at ${new Date(next).toISOString()}`);
  const most = policy.every === 0 ? Math.min(room, count.notStarted) : 1;
  const fitting = traffic === null ? most : Math.min(most, fit(policy, traffic));
  return fitting > 0
    ? { kind: 'start', wave: policy.name, count: fitting }
    : wait(`${policy.name}: ${tooMuch(policy, traffic!)}`);
}

/** How many of the next tenants fit into the share. One that is larger than the share moves, but alone. */
function fit({ trafficAtOnce = 100 }: WavePolicy, { isKnown, moving, next }: Traffic): number {
  if (!isKnown) return 0;
  let sum = moving;
  let count = 0;
  for (const share of next) {
    if (sum > 0 && sum + share > trafficAtOnce) break;
    sum += share;
    count += 1;
  }
  return count;
}

function tooMuch({ trafficAtOnce }: WavePolicy, { isKnown, moving, next }: Traffic): string {
  const allowed = `the plan allows ${trafficAtOnce} % at once`;
  return isKnown
    ? `tenants with ${moving.toFixed(1)} % of the reads are on their way, the next has ${(next[0] ?? 0).toFixed(1)} %, and ${allowed}`
    : `no reads of the application are on record, and ${allowed}`;
}
