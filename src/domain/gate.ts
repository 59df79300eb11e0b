/**
 * Evidence in, verdict out: no read flip without evidence (promise P6).
 *
 * Each gate is a pure function over recorded numbers, in a file of its own; what it saw and what it asked for are kept
 * with the verdict. A number that could not be read, or is of yesterday, keeps its gate closed.
 */
import { NO_JOURNAL } from './capture.ts';
import { approval } from './gates/approval.ts';
import { capture } from './gates/capture.ts';
import { certificate } from './gates/certificate.ts';
import { changeWindow } from './gates/change-window.ts';
import { cleanPasses } from './gates/clean-passes.ts';
import { cleanTime, soak } from './gates/clean-time.ts';
import { copied } from './gates/copied.ts';
import { WHO, type Answer, type Gate, type GateInput } from './gates/gate.ts';
import { journalAge } from './gates/journal-age.ts';
import { mirrorErrors } from './gates/mirror-errors.ts';
import { nodes } from './gates/nodes.ts';
import { openDrift } from './gates/open-drift.ts';
import { promote } from './gates/promote.ts';
import { replicaLag } from './gates/replica-lag.ts';
import { retention } from './gates/retention.ts';
import { shadowEqual } from './gates/shadow-equal.ts';
import { shadowSamples } from './gates/shadow-samples.ts';
import { shared } from './gates/shared.ts';
import type { Phase } from './phase.ts';
import type { TenantPlan } from './plan.ts';

export type { Evidence } from './evidence.ts';
export type { GateInput, Next } from './gates/gate.ts';

export interface Waiver {
  readonly gate: string;
  readonly until: number;
  readonly actor: string;
  readonly reason: string;
}

export interface GateVerdict extends Answer {
  readonly gate: string;
  /** What clears it: a command, or what to wait for. */
  readonly clear: string;
  readonly waived: boolean;
  /** Who can clear it. Missing in histories from before it was said, as the next one is. */
  readonly who?: string;
}

export const GATES = {
  'journal-age': journalAge,
  nodes,
  copied,
  'clean-passes': cleanPasses,
  'open-drift': openDrift,
  'clean-time': cleanTime,
  soak,
  'shadow-samples': shadowSamples,
  'shadow-equal': shadowEqual,
  'mirror-errors': mirrorErrors,
  'replica-lag': replicaLag,
  retention,
  certificate,
  approval,
  'change-window': changeWindow,
  capture,
  shared,
  promote,
} as const satisfies Readonly<Record<string, Gate>>;

export type GateName = keyof typeof GATES;

/** Which gates stand between a phase and the next one, in the order in which a console shows them. */
// prettier-ignore
export const PHASE_GATES: Readonly<Record<Phase, readonly GateName[]>> = {
  preflight: [],
  'dual-write': ['capture', 'retention', 'journal-age', 'nodes'],
  backfill: ['capture', 'copied'],
  reconcile: ['capture', 'clean-passes', 'open-drift'],
  shadow: ['capture', 'shared', 'clean-time', 'open-drift', 'shadow-samples', 'shadow-equal', 'journal-age', 'mirror-errors', 'replica-lag', 'change-window'],
  drill: ['certificate'],
  ready: ['capture', 'approval', 'certificate', 'open-drift', 'shadow-equal', 'journal-age', 'mirror-errors', 'replica-lag', 'retention', 'nodes', 'change-window'],
  ramp: ['capture', 'soak', 'open-drift', 'promote'],
  'rolling-back': [],
  aborted: [],
};

const canBeWaived = (gate: GateName, plan: Pick<TenantPlan, 'approvals'>): boolean => {
  const { canBeWaived: can }: Gate = GATES[gate];
  return typeof can === 'boolean' ? can : can(plan);
};

export const waivableGates = (phase: Phase, plan: Pick<TenantPlan, 'approvals'> = {}): GateName[] =>
  PHASE_GATES[phase].filter((gate) => canBeWaived(gate, plan));

export function judgeGates(phase: Phase, input: GateInput, waivers: readonly Waiver[]): GateVerdict[] {
  return PHASE_GATES[phase].map((name) => {
    const gate: Gate = GATES[name];
    const without = input.evidence.capture === 'application' ? NO_JOURNAL[name] : undefined;
    if (without !== undefined) return { ...DOES_NOT_APPLY, gate: name, saw: without };
    const answer = gate.judge(input);
    const isWaived = ({ gate: waivedGate, until }: Waiver): boolean =>
      waivedGate === name && until > input.evidence.at;
    return {
      gate: name,
      clear: gate.clear,
      next: gate.next,
      ...answer,
      who: WHO[gate.who],
      waived: !answer.open && canBeWaived(name, input.plan) && waivers.some(isWaived),
    };
  });
}

const DOES_NOT_APPLY = {
  open: true,
  needs: 'nothing in this mode',
  clear: 'nothing to do',
  waived: false,
} as const;

export const allOpen = (verdicts: readonly GateVerdict[]): boolean =>
  verdicts.every((verdict) => verdict.open || verdict.waived);
