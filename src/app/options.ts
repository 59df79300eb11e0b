/** What an application says to get a router, and the bounds it gets when it says nothing. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

import type { Pool } from 'mysql2/promise';

import { takePools, type Brought } from './brought.ts';
import type { CompareRule } from './comparator.ts';
import type { RouterLog } from './notices.ts';
import type { Milliseconds } from '../domain/duration.ts';

/** Of all reads of one name. */
export interface NamedRead {
  /** Share that a shadow read follows, 0 to 1; none: the router's `sampleRate`. */
  readonly sampleRate?: number;
  /** Read from the source in every stage, and never compared: what the target can't answer. */
  readonly neverTarget?: boolean;
  readonly compare?: CompareRule;
}

export interface RouterOptions {
  /**
   * `mysql://user:password@host:port`; the user needs the control schema too. Or the application's own pool beside it,
   * which answers the reads and the writes then; of both sides, or of none.
   */
  readonly source: string | Brought;
  readonly target: string | Brought;
  /** Makes a flip arrive in milliseconds; without it, or while it is down, the poll brings it. */
  readonly redis?: string;
  /** The application's schema on each side; `app_{tenant}` where every tenant has its own, as the plan says it. */
  readonly schema: { readonly source: string; readonly target: string };
  readonly control?: string;
  /** Names this application in the list of nodes. */
  readonly service: string;
  /** Names this process; unique among live ones. */
  readonly node?: string;
  /** Share of reads that a shadow read follows, 0 to 1. */
  readonly sampleRate?: number;
  /** Of the target's `connections`, the share that shadow reads take besides, 0 to 1; at least one, and with 0 none. */
  readonly shadowShare?: number;
  /** By the name that `read` is called with. */
  readonly reads?: Readonly<Record<string, NamedRead>>;
  /** A tenant with an older journal row is read from the source. */
  readonly dirtyAfterMs?: Milliseconds;
  /** How long a write waits for its mirror once reads are on the target. */
  readonly mirrorBudgetMs?: Milliseconds;
  /** How long a read waits for a target that lacks what its process or its token has seen; then: the source. */
  readonly catchUpMs?: Milliseconds;
  /** A target read that takes longer is given up and read from the source. */
  readonly targetReadMs?: Milliseconds;
  /** After so long without the control schema the source is read first. */
  readonly leaseMs?: Milliseconds;
  /** Capture `application`: a shadow read differs only when both answers stood still for so long. */
  readonly settleMs?: Milliseconds;
  readonly pollMs?: Milliseconds;
  /** Where the stages are kept for a start without the control schema; none: such a start fails. */
  readonly snapshotFile?: string;
  /** How long a write waits while the write authority moves, before it is told to come back. */
  readonly holdMs?: Milliseconds;
  /** Redis gets so long for a buffered read; after three that took longer it is passed by for a second. */
  readonly bufferMs?: Milliseconds;
  /** Gets a line where the router took another way than the stage says, or lost something; none: nobody is told. */
  readonly log?: RouterLog;
  /** Of each pool that serves requests: source reads, source writes, target reads. Not of pools that were brought. */
  readonly connections?: number;
  /** Requests that wait for a connection of one such pool; one more fails at once with `BusyError`. */
  readonly waiting?: number;
  /** How long `close()` waits for the reads and writes under way; then their connections are cut. */
  readonly drainMs?: Milliseconds;
}

/** As `RouterOptions`, the rest taken from the plan that operators have: addresses, schemas, `durations`. */
export interface PlannedOptions extends Partial<Omit<RouterOptions, 'service'>> {
  /** Path of the plan, as for `switchback --plan`; its variables are read from this process's environment. */
  readonly plan: string;
  readonly service: string;
}

export interface Settings extends Required<
  Omit<RouterOptions, 'source' | 'target' | 'redis' | 'snapshotFile' | 'log'>
> {
  readonly sourceUrl: string;
  readonly targetUrl: string;
  readonly redisUrl: string | null;
  readonly snapshotFile: string | null;
  readonly log: RouterLog | null;
  /** null: the router opens its own. */
  readonly brought: { readonly source: Pool; readonly target: Pool } | null;
}

const DEFAULTS = {
  control: 'switchback',
  sampleRate: 0.1,
  shadowShare: 0.2,
  reads: {},
  dirtyAfterMs: 1_000,
  mirrorBudgetMs: 50,
  catchUpMs: 200,
  targetReadMs: 1_000,
  leaseMs: 5_000,
  settleMs: 5_000,
  pollMs: 1_000,
  holdMs: 2_000,
  bufferMs: 50,
  connections: 10,
  waiting: 1_000,
  drainMs: 5_000,
} as const;

/** @throws TypeError when a share is none, or a pool was brought that can't be used */
export function settle({ source, target, redis = '', ...options }: RouterOptions): Settings {
  for (const name of ['sampleRate', 'shadowShare'] as const) assertShare(name, options[name] ?? 0);
  for (const [name, { sampleRate = 0 }] of Object.entries(options.reads ?? {}))
    assertShare(`reads.${name}.sampleRate`, sampleRate);
  const node = `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`.slice(-128);
  return {
    ...DEFAULTS,
    node,
    snapshotFile: null,
    log: null,
    ...options,
    sourceUrl: typeof source === 'string' ? source : source.url,
    targetUrl: typeof target === 'string' ? target : target.url,
    redisUrl: redis === '' ? null : redis,
    brought: takePools({ source, target }, options.schema),
  };
}

/** How many shadow reads may be on a side at once. */
export const shadowSlots = ({ connections, shadowShare }: Settings): number =>
  shadowShare === 0 ? 0 : Math.max(1, Math.floor(connections * shadowShare));

function assertShare(name: string, value: number): void {
  if (!(value >= 0 && value <= 1)) throw new TypeError(`${name} is ${value}: give a share, from 0 to 1`);
}
