/** What an application says to get a router, and the bounds it gets when it says nothing. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

import type { Milliseconds } from '../domain/duration.ts';

export interface RouterOptions {
  /** `mysql://user:password@host:port`; the user needs the control schema too. */
  readonly sourceUrl: string;
  readonly targetUrl: string;
  /** The application's schema on each side; `app_{tenant}` where every tenant has its own, as the plan says it. */
  readonly schema: { readonly source: string; readonly target: string };
  readonly control?: string;
  /** Makes a flip arrive in milliseconds; without it, or while it is down, the poll brings it. */
  readonly redisUrl?: string;
  /** Names this application in the list of nodes. */
  readonly service: string;
  /** Names this process; unique among live ones. */
  readonly node?: string;
  /** Share of reads that a shadow read follows, 0 to 1. */
  readonly sampleRate?: number;
  /** A tenant with an older journal row is read from the source. */
  readonly dirtyAfterMs?: Milliseconds;
  /** How long a write waits for its mirror once reads are on the target. */
  readonly mirrorBudgetMs?: Milliseconds;
  /** A target read that takes longer is given up and read from the source. */
  readonly targetReadMs?: Milliseconds;
  /** After so long without the control schema the source is read first. */
  readonly leaseMs?: Milliseconds;
  /** Capture `application`: a shadow read differs only when both answers stood still for so long. */
  readonly settleMs?: Milliseconds;
  readonly pollMs?: Milliseconds;
  /** Of each pool that serves requests: source reads, source writes, target reads. */
  readonly connections?: number;
}

export type Settings = Required<Omit<RouterOptions, 'redisUrl'>> & { readonly redisUrl: string | null };

const DEFAULTS = {
  control: 'switchback',
  sampleRate: 0.1,
  dirtyAfterMs: 1_000,
  mirrorBudgetMs: 50,
  targetReadMs: 1_000,
  leaseMs: 5_000,
  settleMs: 5_000,
  pollMs: 1_000,
  connections: 10,
} as const;

export function settle(options: RouterOptions): Settings {
  const node = `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`.slice(-128);
  return { ...DEFAULTS, node, redisUrl: null, ...options };
}
