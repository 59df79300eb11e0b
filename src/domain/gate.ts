/**
 * Evidence in, verdict out: no read flip without evidence (promise P6).
 *
 * Each gate is a pure function over recorded numbers; what it saw and what it asked for are kept with
 * the verdict. A number that could not be read is null, and a gate over null is closed.
 */
import { NO_JOURNAL, type Capture } from './capture.ts';
import { sayHours, whyNoFlip } from './change-window.ts';
import { formatDuration, type Milliseconds } from './duration.ts';
import type { Phase } from './phase.ts';
import type { TenantPlan } from './plan.ts';
import { SHARED } from './stage.ts';

/** Numbers read from the control schemas of both sides at one moment. Times in epoch milliseconds of the source. */
export interface Evidence {
  readonly at: number;
  /** Age of the tenant's oldest journal row; 0 when the journal is empty. */
  readonly journalAge: Milliseconds | null;
  readonly journalRows: number | null;
  /** When the mirror last finished a cycle for the tenant. */
  readonly mirroredAt: number | null;
  readonly tables: { readonly all: number; readonly copied: number };
  readonly rows: { readonly copied: number; readonly estimated: number };
  /** Clean passes that began in this phase. */
  readonly cleanPasses: number;
  /** Since when every pass was clean and no drift was found; null: no clean pass yet. */
  readonly cleanSince: number | null;
  readonly lastPassAt: number | null;
  readonly openDrift: number | null;
  /** Different people who gave `advance` since the phase was entered. */
  readonly approvers: readonly string[];
  readonly shadow: { readonly samples: number; readonly differing: number };
  readonly nodes: { readonly live: number; readonly following: number };
  readonly certificateAt: number | null;
  readonly captureLost: string | null;
  readonly capture: Capture;
  /** Phase of the shared tables; null: they were not started. */
  readonly sharedPhase: Phase | null;
}

export interface Waiver {
  readonly gate: string;
  readonly until: number;
  readonly actor: string;
  readonly reason: string;
}

export interface GateVerdict {
  readonly gate: string;
  readonly open: boolean;
  readonly saw: string;
  readonly needs: string;
  /** What clears it: a command, or what to wait for. */
  readonly clear: string;
  readonly waived: boolean;
}

export interface GateInput {
  readonly tenant: string;
  readonly evidence: Evidence;
  readonly plan: TenantPlan;
  /** When the phase was entered. */
  readonly since: number;
  readonly approved: boolean;
}

type Gate = (input: GateInput) => Omit<GateVerdict, 'gate' | 'waived'>;

const WAIT = 'wait; it clears by itself';

const cleanFor =
  (wanted: (plan: TenantPlan) => Milliseconds): Gate =>
  ({ evidence, plan, since }) => {
    const start = evidence.cleanSince === null ? null : Math.max(evidence.cleanSince, since);
    const clean =
      start === null || evidence.lastPassAt === null ? 0 : Math.max(0, evidence.lastPassAt - start);
    const needs = wanted(plan);
    return {
      open: start !== null && clean >= needs,
      saw: start === null ? 'no clean pass yet' : `clean for ${formatDuration(clean)}`,
      needs: `clean for ${formatDuration(needs)}`,
      clear: WAIT,
    };
  };

const GATES = {
  'journal-age': ({ evidence: { journalAge }, plan }) => ({
    open: journalAge !== null && journalAge <= Math.max(plan.durations.dirtyAfter, 2_000),
    saw:
      journalAge === null
        ? 'the journal could not be read'
        : `oldest journal row ${formatDuration(journalAge)}`,
    needs: `at most ${formatDuration(Math.max(plan.durations.dirtyAfter, 2_000))}`,
    clear: `${WAIT}; if it grows: is the target up, is a worker running?`,
  }),
  nodes: ({ evidence: { nodes }, plan }) => ({
    open: nodes.live >= plan.gates.nodes && nodes.following === nodes.live,
    saw: `${nodes.following} of ${nodes.live} live nodes follow`,
    needs: `all, and at least ${plan.gates.nodes}`,
    clear: 'start the application with the Switchback library; see `switchback flags watch`',
  }),
  copied: ({ evidence: { tables } }) => ({
    open: tables.all > 0 && tables.copied === tables.all,
    saw: `${tables.copied} of ${tables.all} tables at their end`,
    needs: 'every table',
    clear: WAIT,
  }),
  'clean-passes': ({ evidence, plan }) => ({
    open: evidence.cleanPasses >= plan.gates.cleanPasses,
    saw: `${evidence.cleanPasses} clean passes in this phase`,
    needs: `${plan.gates.cleanPasses}`,
    clear: WAIT,
  }),
  'open-drift': ({ evidence: { openDrift } }) => ({
    open: openDrift === 0,
    saw: openDrift === null ? 'the evidence could not be read' : `${openDrift} open`,
    needs: 'none',
    clear: 'look at `why`, then `repair`, then `retry`',
  }),
  'clean-time': cleanFor((plan) => plan.durations.shadow),
  soak: cleanFor((plan) => plan.durations.soak),
  'shadow-samples': ({ evidence: { shadow }, plan }) => ({
    open: shadow.samples >= plan.gates.shadowSamples,
    saw: `${shadow.samples} samples`,
    needs: `at least ${plan.gates.shadowSamples}`,
    clear: `${WAIT} while the application reads`,
  }),
  'shadow-equal': ({ evidence: { shadow } }) => ({
    open: shadow.differing === 0,
    saw: `${shadow.differing} differing`,
    needs: 'none',
    clear: 'find the read by its name in `why`; a drift would have stopped the line',
  }),
  certificate: ({ evidence, plan }) => {
    const age = evidence.certificateAt === null ? null : evidence.at - evidence.certificateAt;
    return {
      open: age !== null && age <= plan.durations.certificate,
      saw: age === null ? 'no drill certificate' : `certificate is ${formatDuration(age)} old`,
      needs: `younger than ${formatDuration(plan.durations.certificate)}`,
      clear: 'rollback and resume runs the drill again',
    };
  },
  approval: ({ plan, approved, evidence: { approvers } }) => {
    const needs = plan.approvals ?? 1;
    const enough = needs === 1 ? approved : approvers.length >= needs;
    const by = approvers.length === 0 ? '' : ` by ${approvers.join(', ')}`;
    return {
      open: enough || !plan.approval,
      saw: `${enough || approvers.length > 0 ? 'approved' : 'not approved'}${by}`,
      needs: !plan.approval
        ? 'nothing'
        : needs === 1
          ? "an operator's advance"
          : `the advance of ${needs} different people`,
      clear: 'switchback advance TENANT --reason "..."',
    };
  },
  'change-window': ({ evidence: { at }, plan: { flips = null, freeze = [] } }) => {
    const why = whyNoFlip(at, flips, freeze);
    return {
      open: why === null,
      saw: why ?? 'reads may be flipped now',
      needs: flips === null ? 'no freeze' : `${sayHours(flips)}, and no freeze`,
      clear: WAIT,
    };
  },
  capture: ({ evidence: { captureLost, capture } }) => ({
    open: captureLost === null,
    saw: captureLost ?? (capture === 'triggers' ? 'capture stands' : 'the application writes both sides'),
    needs: capture === 'triggers' ? 'triggers on every table' : 'no trigger',
    clear: 'switchback install, then switchback retry TENANT',
  }),
  shared: ({ tenant, evidence: { sharedPhase }, plan }) => {
    if (tenant === SHARED) {
      return {
        open: false,
        saw: 'shared tables are mirrored and clean',
        needs: 'nothing',
        clear: 'nothing to do: shared tables stay in shadow; tenants ramp on their own',
      };
    }
    return {
      open: !plan.hasShared || sharedPhase === 'shadow',
      saw: plan.hasShared
        ? `shared tables are ${sharedPhase === null ? 'not started' : `in ${sharedPhase}`}`
        : 'no shared tables',
      needs: 'shared tables copied and clean: in shadow',
      clear: `switchback start ${SHARED}, or see switchback why ${SHARED}`,
    };
  },
  promote: () => ({
    open: false,
    saw: 'promote is not built in this version',
    needs: 'a version that moves the write authority',
    clear: 'nothing to do: the tenant stays in ramp; rollback is possible at any time',
  }),
} as const satisfies Readonly<Record<string, Gate>>;

export type GateName = keyof typeof GATES;

/** Which gates stand between a phase and the next one, in the order in which a console shows them. */
// prettier-ignore
export const PHASE_GATES: Readonly<Record<Phase, readonly GateName[]>> = {
  preflight: [],
  'dual-write': ['capture', 'journal-age', 'nodes'],
  backfill: ['capture', 'copied'],
  reconcile: ['capture', 'clean-passes', 'open-drift'],
  shadow: ['capture', 'shared', 'clean-time', 'open-drift', 'shadow-samples', 'shadow-equal', 'journal-age', 'change-window'],
  drill: ['certificate'],
  ready: ['capture', 'approval', 'certificate', 'open-drift', 'shadow-equal', 'journal-age', 'nodes', 'change-window'],
  ramp: ['capture', 'soak', 'open-drift', 'promote'],
  'rolling-back': [],
  aborted: [],
};

/** Without these there is nothing to decide about: a waiver would hide the way out, not open it. */
const NEVER_WAIVED: ReadonlySet<GateName> = new Set(['capture', 'copied', 'shared', 'promote']);

export const waivableGates = (phase: Phase): GateName[] =>
  PHASE_GATES[phase].filter((gate) => !NEVER_WAIVED.has(gate));

export function judgeGates(phase: Phase, input: GateInput, waivers: readonly Waiver[]): GateVerdict[] {
  return PHASE_GATES[phase].map((gate) => {
    const without = input.evidence.capture === 'application' ? NO_JOURNAL[gate] : undefined;
    const verdict = without === undefined ? GATES[gate](input) : doesNotApply(without);
    const waived =
      !verdict.open && waivers.some((waiver) => waiver.gate === gate && waiver.until > input.evidence.at);
    return { gate, ...verdict, waived };
  });
}

const doesNotApply = (saw: string): ReturnType<Gate> => ({
  open: true,
  saw,
  needs: 'nothing in this mode',
  clear: 'nothing to do',
});

export const allOpen = (verdicts: readonly GateVerdict[]): boolean =>
  verdicts.every((verdict) => verdict.open || verdict.waived);
