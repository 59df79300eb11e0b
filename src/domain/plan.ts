/** The plan as the program sees it: parsed, every default filled in, every duration in milliseconds. */
import type { Capture } from './capture.ts';
import type { FlipHours, Freeze } from './change-window.ts';
import { DAY, type Milliseconds } from './duration.ts';
import type { Probe } from './probe.ts';
import { retentionNeed } from './retention.ts';
import { SHARED } from './stage.ts';

export interface Endpoint {
  /** Environment variable that holds `mysql://user:password@host:port`; never the address itself. */
  readonly urlEnv: string;
  /** `app_{tenant}` where every tenant has a schema of its own: see `tenant-schema.ts`. */
  readonly schema: string;
  /** Variables with the addresses of replicas whose lag holds the copy back. */
  readonly replicas?: readonly string[];
}

export type Tenancy =
  | { readonly kind: 'column'; readonly column: string }
  | { readonly kind: 'parent'; readonly parent: string; readonly column: string; readonly references: string }
  | { readonly kind: 'shared' }
  /** Every tenant has the table in a schema of its own. */
  | { readonly kind: 'schema' };

export interface TablePlan {
  readonly name: string;
  readonly tenancy: Tenancy;
  /** Immutable, indexed time column by which reconcile cuts its windows; null: by key. */
  readonly time: string | null;
}

/** What the fleet obeys for one wave. */
export interface WavePolicy {
  readonly name: string;
  /** Does `ready` wait for an operator's `advance`? */
  readonly approval: boolean;
  /** How many different people have to say it. */
  readonly approvals: number;
  /** Tenants between their start and `ramp` at once. */
  readonly atOnce: number;
  /** Percent of the application's reads whose tenants are between their start and `ramp` at once; missing: no limit. */
  readonly trafficAtOnce?: number | undefined;
  /** Pause between two starts; 0: none. */
  readonly every: Milliseconds;
  /** Clean time in `ramp` that each of its tenants needs before the next wave begins. */
  readonly soak: Milliseconds;
  /** One more stopped tenant, and the fleet stops itself. */
  readonly maxStopped: number;
  /** When reads may be flipped to the target; null: at any time. */
  readonly flips: FlipHours | null;
}

export interface Wave extends WavePolicy {
  readonly tenants: readonly string[];
}

export interface Durations {
  /** Clean time that `shadow` asks for. */
  readonly shadow: Milliseconds;
  /** Clean time that `ramp` asks for. */
  readonly soak: Milliseconds;
  /** Pause between two reconcile passes. */
  readonly reconcileEvery: Milliseconds;
  /** Length of one run of the continuous reconcile before it continues as new. */
  readonly reconcileRun: Milliseconds;
  /** How often a waiting tenant looks at its gates even when nothing was reported. */
  readonly gateEvery: Milliseconds;
  /** A tenant with an older journal row is dirty: read from the source until drained. */
  readonly dirtyAfter: Milliseconds;
  /** How long an application write waits for its mirror in `read-target`. */
  readonly mirrorBudget: Milliseconds;
  /** How long the drill reads through the target. */
  readonly drill: Milliseconds;
  /** Age at which a drill certificate is no longer taken. */
  readonly certificate: Milliseconds;
  /** A missing row of the same tenant again within this time is an alert. */
  readonly missingAgain: Milliseconds;
  /** How long an application node's lease lives without renewal. */
  readonly lease: Milliseconds;
  /**
   * Capture `application`: a difference is drift only when both sides stood still for this time. Must exceed
   * the deadline of the application's target write. Read when a worker starts.
   */
  readonly settle: Milliseconds;
}

export interface Limits {
  /** Time that one window statement should take. */
  readonly windowTarget: Milliseconds;
  /** Rows of a window of the copy. */
  readonly windowRows: number;
  /** Bytes of row text that a window of the copy may hold; a single larger row is copied alone. */
  readonly windowBytes: number;
  /** Rows of a window of a reconcile pass, which holds no lock. */
  readonly reconcileRows: number;
  /** Windows of one tenant that are copied at once, also inside one table. */
  readonly backfillParallel: number;
  /** Copying pauses while a server has more running threads than this. */
  readonly threadsRunning: number;
  /** Rows a second of one tenant's backfill; 0: no limit. */
  readonly rowsPerSecond: number;
  /** Missing in runs that started before there was one: then `THROTTLE`. */
  readonly throttle?: ThrottleLimits;
}

/** Bounds on either server above which work pauses; 0: the signal is not watched. */
export interface ThrottleLimits {
  /** Changes that purge has not removed yet. Holds the copy and reconcile. */
  readonly historyList: number;
  /** Percent of the redo log in use. Holds the copy. */
  readonly redoPercent: number;
  /** Of the replicas that the plan names. Holds the copy. */
  readonly replicaLag: Milliseconds;
}

export const THROTTLE: ThrottleLimits = {
  historyList: 100_000,
  redoPercent: 90,
  replicaLag: 5_000,
};

/** What keeps the weeks readable after Temporal deletes them. */
export interface HistoryPlan {
  /** Where every worker writes each run as it ends; null: an operator exports. */
  readonly folder: string | null;
  /** For how long Temporal still has a run after it is wanted last. */
  readonly keep: Milliseconds;
}

export interface Gates {
  readonly shadowSamples: number;
  readonly cleanPasses: number;
  /** Application nodes that must hold a live lease. */
  readonly nodes: number;
  /** Mirrors of an hour that may have failed. Like those below missing in runs that started before there was one. */
  readonly mirrorErrorPercent?: number;
  /** Of the replicas that the plan names. */
  readonly replicaLag?: Milliseconds;
  /** How long the Temporal namespace has to keep a closed history, made of the plan (`retention.ts`); 0: it is not asked. */
  readonly retention?: Milliseconds;
}

export const GATE_DEFAULTS = {
  mirrorErrorPercent: 1,
  replicaLag: 5_000,
  retention: 7 * DAY,
} as const satisfies Partial<Gates>;

export const gateSettings = ({ gates }: Pick<TenantPlan, 'gates'>): Required<Gates> => ({
  ...GATE_DEFAULTS,
  ...gates,
});

export interface Plan {
  readonly name: string;
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly redis: { readonly urlEnv: string } | null;
  readonly control: { readonly schema: string };
  /** Who brings writes to the target: triggers with a journal, or the application itself. */
  readonly capture: Capture;
  readonly temporal: { readonly namespace: string };
  readonly history: HistoryPlan;
  readonly tables: readonly TablePlan[];
  readonly waves: readonly Wave[];
  /** What the drill asks the application for while reads come from the target; null: nothing. */
  readonly drill: { readonly probe: Probe | null };
  /** No reads are flipped to the target in these spans. */
  readonly freeze: readonly Freeze[];
  readonly durations: Durations;
  readonly limits: Limits;
  readonly gates: Gates;
}

/** What a workflow carries of the plan: no table, no address, no secret. `plan apply` replaces it in a run. */
export interface TenantPlan extends Pick<Plan, 'name' | 'durations' | 'limits' | 'gates'> {
  readonly wave: string;
  readonly approval: boolean;
  /** People that have to approve; missing: one. */
  readonly approvals?: number;
  /** Does the plan have shared tables? They move first, as the pseudo-tenant `_shared`. */
  readonly hasShared: boolean;
  /** None: at any time. */
  readonly flips?: FlipHours;
  readonly freeze?: readonly Freeze[];
}

/** What the fleet's workflow carries: every tenant's plan is made of it. Who belongs to a wave is in the control schema. */
export interface FleetPlan extends Omit<TenantPlan, 'wave' | 'approval' | 'approvals' | 'flips'> {
  readonly waves: readonly WavePolicy[];
}

export const waveOf = (plan: Plan, tenant: string): Wave | null =>
  plan.waves.find((wave) => wave.tenants.includes(tenant)) ?? null;

export const fleetPlan = (plan: Plan): FleetPlan => ({
  name: plan.name,
  durations: plan.durations,
  limits: plan.limits,
  gates: { ...plan.gates, retention: plan.gates.retention ?? retentionNeed(plan).needs },
  hasShared: plan.tables.some((table) => table.tenancy.kind === 'shared'),
  ...(plan.freeze.length === 0 ? {} : { freeze: plan.freeze }),
  waves: plan.waves.map(
    ({ name, approval, approvals, atOnce, trafficAtOnce, every, soak, maxStopped, flips }) => ({
      name,
      approval,
      approvals,
      atOnce,
      ...(trafficAtOnce === undefined ? {} : { trafficAtOnce }),
      every,
      soak,
      maxStopped,
      flips,
    }),
  ),
});

/** @param wave null: the tenant stands in no wave, and so waits for an operator */
export const planInWave = (
  { name, durations, limits, gates, hasShared, freeze }: FleetPlan,
  wave: WavePolicy | null,
  tenant: string,
): TenantPlan => ({
  name,
  durations,
  limits,
  gates,
  wave: wave?.name ?? tenant,
  approval: wave?.approval ?? true,
  ...(wave === null || wave.approvals === 1 ? {} : { approvals: wave.approvals }),
  hasShared,
  ...(wave?.flips == null ? {} : { flips: wave.flips }),
  ...(freeze === undefined ? {} : { freeze }),
});

export const tenantPlan = (plan: Plan, tenant: string): TenantPlan =>
  planInWave(fleetPlan(plan), waveOf(plan, tenant), tenant);

/** Nobody reads as `_shared`: it has no shadow samples and asks no operator. */
export const forShared = (tenant: string, plan: TenantPlan): TenantPlan =>
  tenant === SHARED ? { ...plan, approval: false, gates: { ...plan.gates, shadowSamples: 0 } } : plan;
