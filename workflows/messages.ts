/**
 * The contract with operators: the same names as signals (stock CLI, UI, batch, no worker needed) and as
 * updates (our CLI: an answer at once). Payload: `{ requestId, actor, reason, expectPhase? }`.
 */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';

import type { CommandName } from '../src/domain/command.ts';
import type { FleetCommandName } from '../src/domain/fleet-command.ts';
import type { GateVerdict, Waiver } from '../src/domain/gate.ts';
import type { Mode, Phase } from '../src/domain/phase.ts';
import type { FleetPlan, TenantPlan } from '../src/domain/plan.ts';
import type { Stage } from '../src/domain/stage.ts';
import type { WaveCounts } from '../src/domain/wave.ts';

export interface TenantInput {
  readonly tenant: string;
  readonly plan: TenantPlan;
  /** Take up the tenant where the control record stands, held until an operator resumes. */
  readonly adopt: boolean;
  /** Who started it, for whoever reads the history; of the fleet's children it is missing. */
  readonly by?: { readonly actor: string; readonly reason: string };
}

export interface TenantStatus {
  readonly tenant: string;
  readonly phase: Phase;
  readonly mode: Mode;
  readonly reason: string | null;
  /** Epoch milliseconds. */
  readonly since: number;
  readonly stage: Stage;
  readonly approved: boolean;
  readonly gates: readonly GateVerdict[];
  readonly waivers: readonly Waiver[];
  readonly refusals: readonly string[];
}

export interface Receipt {
  readonly accepted: true;
  readonly phase: Phase;
  readonly mode: Mode;
  readonly message: string;
}

/** From the continuous reconcile to its tenant; never per pass, only when something must be decided. */
export interface Report {
  readonly kind: 'drift';
  readonly message: string;
}

export const status = defineQuery<TenantStatus>('status');
export const report = defineSignal<[Report]>('report');
export const adopt = defineSignal<[unknown]>('adopt');
export const applyPlan = defineSignal<[TenantPlan]>('applyPlan');

export const commandSignal = (name: CommandName) => defineSignal<[unknown]>(name);
export const commandUpdate = (name: CommandName) => defineUpdate<Receipt, [unknown]>(name);

export interface ReconcileInput {
  readonly tenant: string;
  readonly tenantWorkflowId: string;
  readonly plan: TenantPlan;
}

export interface FleetInput {
  readonly plan: FleetPlan;
  /** Who started it; kept with the decision. */
  readonly by: { readonly actor: string; readonly reason: string };
  /**
   * Of a run that continues itself: the one before, where it stood, the requests that were seen, and what was refused
   * of late. A run of an earlier version says nothing of where it stood.
   */
  readonly after?: {
    readonly runId: string;
    readonly seen: readonly string[];
    readonly refusals: readonly string[];
    readonly stands?: Pick<FleetStatus, 'wave' | 'mode' | 'reason'>;
  };
  /** Events after which a run continues as new; a test asks for fewer. */
  readonly eventsMax?: number;
}

export interface FleetStatus {
  readonly wave: string;
  readonly mode: Mode;
  readonly reason: string | null;
  readonly counts: readonly WaveCounts[];
  readonly refusals: readonly string[];
}

export interface FleetReceipt {
  readonly accepted: true;
  readonly wave: string;
  readonly mode: Mode;
  readonly message: string;
}

export const fleetStatus = defineQuery<FleetStatus>('status');
export const applyFleetPlan = defineSignal<[FleetPlan]>('applyPlan');
export const fleetSignal = (name: FleetCommandName) => defineSignal<[unknown]>(name);
export const fleetUpdate = (name: FleetCommandName) => defineUpdate<FleetReceipt, [unknown]>(name);
