/** Plain counters since the start of the process; an application exports them as it likes. */

/** Why a read of a tenant whose reads are on the target went to the source. */
export type FallbackReason =
  'dirty' | 'lagging' | 'lease' | 'locking' | 'error' | 'deadline' | 'breaker' | 'busy';

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
  writes: number;
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
  };
  /** By the buffer's name. */
  readonly buffers: Record<string, BufferStats>;
  readonly flags: {
    polls: number;
    pollFailures: number;
    hints: number;
    /** Since the stages were last read from their table, or, after a start from a file, were kept there. */
    ageMs: number;
  };
}

export const newStats = (): Stats => ({
  reads: { source: 0, target: 0 },
  fallbacks: { dirty: 0, lagging: 0, lease: 0, locking: 0, error: 0, deadline: 0, breaker: 0, busy: 0 },
  rescuedByTarget: 0,
  writes: 0,
  'aurora.write.fail': 0,
  mirror: { awaited: 0, overBudget: 0 },
  shadow: { samples: 0, differing: 0, reordered: 0, dropped: 0, undecided: 0 },
  buffers: {},
  flags: { polls: 0, pollFailures: 0, hints: 0, ageMs: 0 },
});
