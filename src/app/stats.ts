/** Plain counters since the start of the process; an application exports them as it likes. */
import { DIFFERENCES, type Difference } from '../domain/shadow.ts';
import { newHistogram, type Histogram } from './histogram.ts';

/** Why a read of a tenant whose reads are on the target went to the source. */
export type FallbackReason =
  'dirty' | 'lagging' | 'lease' | 'locking' | 'error' | 'deadline' | 'breaker' | 'busy';

export type FailedWrite = 'rolled-back' | 'unknown' | 'held';

export interface BufferStats {
  hit: number;
  /** Loaded, and offered to Redis. */
  miss: number;
  /** Loaded past Redis: it was down, slow, or not to be believed at the moment. */
  bypassed: number;
  /** Served although past its `ttl`, since the load failed. */
  stale: number;
  /** Commands that Redis failed. */
  error: number;
}

export interface Stats {
  readonly reads: { source: number; target: number };
  readonly fallbacks: Record<FallbackReason, number>;
  /** After a lease ran out and the source failed: reads that the target answered. */
  rescuedByTarget: number;
  /** Committed. */
  writes: number;
  /** `unknown`: the answer to COMMIT was lost. `held`: nothing was sent, the authority was moving. */
  readonly failedWrites: Record<FailedWrite, number>;
  /** Requests that failed at once, as too many waited for a connection. */
  refused: number;
  /** Tenants of which was forgotten what this process has read of them: their next read of the target waits first. */
  forgotten: number;
  /** Writes whose mirror failed or was refused after the commit; the journal keeps them for the mirror loop. */
  'aurora.write.fail': number;
  readonly mirror: { awaited: number; overBudget: number };
  readonly shadow: {
    /** Comparisons that were decided. */
    samples: number;
    differing: number;
    /** Same rows in another order; counted as equal. */
    reordered: number;
    /** Given up for want of room: queue full, breaker open, answer too large. */
    dropped: number;
    /** Begun but not decided: a side failed, or the journal never held still. */
    undecided: number;
    /** Of `samples`: the other side gave the same rows for the same statements a moment before, and was not asked again. */
    repeated: number;
    /** Differed while the same question was being looked at: one look, counted once. */
    joined: number;
    /** Of `differing`, in which way; and, apart from them, `slower`. */
    readonly classes: Record<Difference, number>;
    /** Of both sides of the same reads, without the wait for a connection. */
    readonly latency: { readonly source: Histogram; readonly target: Histogram };
  };
  /** By the buffer's name. */
  readonly buffers: Record<string, BufferStats>;
  readonly flags: {
    polls: number;
    pollFailures: number;
    hints: number;
    /** Hints that there was no room for; the poll brings what they said. */
    hintsDropped: number;
    /** Since the stages were last read from their table, or, after a start from a file, were kept there. */
    ageMs: number;
  };
}

export const newStats = (): Stats => ({
  reads: { source: 0, target: 0 },
  fallbacks: { dirty: 0, lagging: 0, lease: 0, locking: 0, error: 0, deadline: 0, breaker: 0, busy: 0 },
  rescuedByTarget: 0,
  writes: 0,
  failedWrites: { 'rolled-back': 0, unknown: 0, held: 0 },
  refused: 0,
  forgotten: 0,
  'aurora.write.fail': 0,
  mirror: { awaited: 0, overBudget: 0 },
  shadow: {
    samples: 0,
    differing: 0,
    reordered: 0,
    dropped: 0,
    undecided: 0,
    repeated: 0,
    joined: 0,
    classes: zeros(),
    latency: { source: newHistogram(), target: newHistogram() },
  },
  buffers: {},
  flags: { polls: 0, pollFailures: 0, hints: 0, hintsDropped: 0, ageMs: 0 },
});

const zeros = (): Record<Difference, number> =>
  Object.fromEntries(Object.keys(DIFFERENCES).map((word) => [word, 0])) as Record<Difference, number>;
