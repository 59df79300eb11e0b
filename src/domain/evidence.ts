/** What gates judge: numbers read from the control schemas of both sides at one moment. */
import type { Capture } from './capture.ts';
import type { Milliseconds } from './duration.ts';
import type { Phase } from './phase.ts';
import type { Differences } from './shadow.ts';

/** Times are epoch milliseconds of the source. What could not be read is null, and a gate over null is closed. */
export interface Evidence {
  readonly at: number;
  /** Age of the tenant's oldest journal row; 0 when the journal is empty. */
  readonly journalAge: Milliseconds | null;
  readonly journalRows: number | null;
  /** When the mirror last finished a cycle for the tenant. */
  readonly mirroredAt: number | null;
  /** Cycles of the workers' mirror for the tenant in the last hour. */
  readonly mirror: { readonly attempts: number; readonly failures: number } | null;
  /** When a worker was last heard of: whoever counts mirrors and looks at capture. */
  readonly workerAt: number | null;
  readonly tables: { readonly all: number; readonly copied: number };
  readonly rows: { readonly copied: number; readonly estimated: number };
  /** Clean passes that began in this phase. */
  readonly cleanPasses: number;
  /** Since when every pass was clean and no drift was found; null: no clean pass yet. */
  readonly cleanSince: number | null;
  readonly lastPassAt: number | null;
  /** When reconcile last made progress, in the middle of a pass too. */
  readonly reconciledAt: number | null;
  readonly openDrift: number | null;
  /** Different people who gave `advance` since the phase was entered. */
  readonly approvers: readonly string[];
  /**
   * Over all reads of the tenant since `shadow` was entered; `reads`: those that might have been compared, null: a node
   * does not count them. `worst` is the name of the read that differed most often.
   */
  readonly shadow: {
    readonly samples: number;
    readonly differing: number;
    readonly reads: number | null;
    readonly classes?: Differences;
    readonly worst?: string;
  };
  readonly nodes: { readonly live: number; readonly following: number };
  /** Replicas that the plan names, and how far the one that is furthest is behind. */
  readonly replicas: { readonly named: number; readonly lag: Milliseconds | null };
  /** For how long the Temporal namespace keeps a closed history, as a worker read it. */
  readonly retention: { readonly ms: Milliseconds; readonly readAt: number } | null;
  readonly certificateAt: number | null;
  readonly captureLost: string | null;
  readonly capture: Capture;
  /** Phase of the shared tables; null: they were not started. */
  readonly sharedPhase: Phase | null;
}
