/** What an application says to get a router, and the bounds it gets when it says nothing. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

import type { CompareRule } from './comparator.ts';
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
  /** `mysql://user:password@host:port`; the user needs the control schema too. */
  readonly source: string;
  readonly target: string;
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
  /** Of each pool that serves requests: source reads, source writes, target reads. */
  readonly connections?: number;
}

export interface Settings extends Required<
  Omit<RouterOptions, 'source' | 'target' | 'redis' | 'snapshotFile'>
> {
  readonly sourceUrl: string;
  readonly targetUrl: string;
  readonly redisUrl: string | null;
  readonly snapshotFile: string | null;
}

const DEFAULTS = {
  control: 'switchback',
  sampleRate: 0.1,
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
} as const;

export function settle({ source, target, redis = '', ...options }: RouterOptions): Settings {
  const node = `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`.slice(-128);
  return {
    ...DEFAULTS,
    node,
    snapshotFile: null,
    ...options,
    sourceUrl: source,
    targetUrl: target,
    redisUrl: redis === '' ? null : redis,
  };
}
