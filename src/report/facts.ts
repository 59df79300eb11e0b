/** What a report says, as data: the page is drawn from it, and `--json` prints it. Stable, only added to. */
import type {
  AuditRecord,
  CertificateRecord,
  DriftMoment,
  DriftSum,
  PassSum,
  ShadowSum,
} from '../db/chronicle.ts';
import type { FleetDecision } from '../db/fleet.ts';
import type { ReadSum } from '../db/read-load.ts';
import type { Capture, Weaker } from '../domain/capture.ts';
import type { Milliseconds } from '../domain/duration.ts';
import type { Evidence, GateVerdict } from '../domain/gate.ts';
import type { Mode, Phase } from '../domain/phase.ts';
import type { ShadowRead } from '../domain/shadow.ts';
import type { WaveCounts } from '../domain/wave.ts';
import type { Flip, Span } from './timeline.ts';

export interface ReportFacts {
  readonly migration: string;
  /** By the source's clock. */
  readonly at: string;
  readonly capture: Capture;
  /** Promises that this mode of capture keeps only in part. */
  readonly weaker: readonly Weaker[];
  /** What could not be read, as sentences. */
  readonly missing: readonly string[];
  /** null: tenants were started one by one, or only one is told of. */
  readonly fleet: FleetFacts | null;
  readonly standing: readonly Standing[];
  readonly notStarted: readonly string[];
  readonly tenants: readonly TenantFacts[];
  /** Tenants of `standing` that are left out of `tenants`: a page for everybody would be too long to open. */
  readonly leftOut: number;
}

export interface FleetFacts {
  readonly wave: string;
  readonly mode: Mode;
  readonly reason: string | null;
  readonly since: string;
  readonly waves: readonly WaveCounts[];
  readonly held: readonly { readonly tenant: string; readonly why: string }[];
  /** The oldest first. */
  readonly decisions: readonly FleetDecision[];
}

/** One line a tenant, of everybody. */
export interface Standing {
  readonly tenant: string;
  readonly wave: string;
  readonly phase: Phase;
  readonly mode: Mode;
  readonly reason: string | null;
  readonly since: string;
  readonly startedAt: string;
  readonly stage: string;
  readonly epoch: number;
  /** Which stage from when to when. */
  readonly stages: readonly Span[];
}

export interface TenantFacts extends Standing {
  readonly phases: readonly Span[];
  readonly flips: readonly Flip[];
  /** By table; null: the target could not be read. */
  readonly copied: readonly CopiedTable[] | null;
  readonly passes: PassSum;
  readonly drift: readonly DriftSum[];
  readonly driftMoments: readonly DriftMoment[];
  readonly shadow: readonly ShadowFacts[];
  /** What application nodes wrote down of their reads. */
  readonly reads: readonly ReadRate[];
  /** As judged when the report was made. */
  readonly gates: readonly GateVerdict[];
  readonly evidence: Evidence;
  readonly waivers: readonly WaiverFacts[];
  /** The latest first. */
  readonly certificates: readonly CertificateRecord[];
  /** The oldest first; the latest ones where there are more than a page holds. */
  readonly audit: readonly AuditRecord[];
  readonly auditTotal: number;
  /** null: Temporal was not asked, did not answer, or has no run. */
  readonly workflow: WorkflowFacts | null;
}

/** With how they differed, in classes. */
export type ShadowFacts = ShadowSum & Pick<ShadowRead, 'classes' | 'slowerByMs'>;

export interface CopiedTable {
  readonly table: string;
  readonly copied: number;
  readonly estimated: number;
  readonly finished: boolean;
}

export interface ReadRate extends ReadSum {
  /** While the tenant was in the stage and reads were counted; null: for less than a moment. */
  readonly perSecond: number | null;
  /** Ends of the buckets in which half, 95 and 99 of a hundred reads lie; null: above the last one. */
  readonly p50: Milliseconds | null;
  readonly p95: Milliseconds | null;
  readonly p99: Milliseconds | null;
}

export interface WaiverFacts {
  readonly gate: string;
  /** In which it was given. */
  readonly phase: string;
  readonly at: string;
  readonly actor: string;
  readonly reason: string;
  readonly until: string;
}

export interface WorkflowFacts {
  readonly workflowId: string;
  readonly runId: string;
  readonly status: string;
  readonly events: number;
  readonly startedAt: string;
}
