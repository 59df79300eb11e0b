/**
 * The state of one tenant's run, and the handlers that feed it.
 *
 * Handlers validate and enqueue, nothing else; one loop acts (`tenant.ts`). They take any payload and
 * never throw: a signal handler that throws wedges the run for good.
 */
import { log, patched, setDefaultSignalHandler, setHandler } from '@temporalio/workflow';

import {
  COMMAND_NAMES,
  judge,
  parseCommand,
  type Command,
  type CommandName,
  type View,
  withInput,
} from '../src/domain/command.ts';
import { waivableGates, type GateVerdict, type Waiver } from '../src/domain/gate.ts';
import type { Mode, Phase } from '../src/domain/phase.ts';
import type { TenantPlan } from '../src/domain/plan.ts';
import type { Stage } from '../src/domain/stage.ts';
import type { Entered } from '../activities/control.ts';
import { showDetails, showSearchAttributes } from './console.ts';
import {
  adopt,
  applyPlan,
  commandSignal,
  commandUpdate,
  report,
  status,
  type Receipt,
  type Report,
  type TenantInput,
  type TenantStatus,
} from './messages.ts';

export interface RunState {
  readonly tenant: string;
  plan: TenantPlan;
  phase: Phase;
  mode: Mode;
  reason: string | null;
  since: number;
  stage: Stage;
  version: number;
  round: number;
  approved: boolean;
  /** In this phase; the audit holds them too. */
  approvers: readonly string[];
  waivers: readonly Waiver[];
  cleanSince: number | null;
  /** In which mode a rollback ends, and why. */
  afterRollback: { readonly mode: 'paused' | 'stopped'; readonly reason: string } | null;
  claimed: boolean;
  /** Another run, or a reset, took the tenant: only an adoption goes on. */
  lost: boolean;
}

export type Event =
  | { readonly kind: 'command'; readonly command: Command }
  | { readonly kind: 'report'; readonly report: Report }
  | { readonly kind: 'adopt' };

const LEADS_TO: Readonly<Partial<Record<CommandName, Mode>>> = {
  pause: 'paused',
  resume: 'running',
  retry: 'running',
};

const SEEN_MAX = 200;
const REFUSALS_MAX = 5;

export class TenantRun {
  readonly state: RunState;
  readonly inbox: Event[] = [];
  /** The event that is just being carried out. */
  underWay: Event | null = null;
  /** The phase that is just being entered: its stage may stand, and its flip be answered, before this run hears of it. */
  entering: Phase | null = null;
  readonly refusals: string[] = [];
  gates: readonly GateVerdict[] = [];
  gatesAt: number | null = null;
  /** Sentences above the commands: what to do about a stop. */
  hints: readonly string[] = [];
  shown = '';
  /** Does who waived not approve? A run keeps the rule that it began with. */
  #waivesApart = false;
  /** Is a signal judged by the phase that is being entered? */
  #entersFirst = false;
  readonly #seen: string[] = [];

  constructor({ tenant, plan }: TenantInput) {
    this.state = {
      tenant,
      plan,
      phase: 'preflight',
      mode: 'running',
      reason: null,
      since: Date.now(),
      stage: 'source-only',
      version: 0,
      round: 0,
      approved: false,
      approvers: [],
      waivers: [],
      cleanSince: null,
      afterRollback: null,
      claimed: false,
      lost: false,
    };
  }

  /** All handlers, before the first await: a message that came earlier is buffered for them. */
  register(): void {
    this.#waivesApart = patched('waives-apart');
    this.#entersFirst = patched('enters-first');
    setHandler(status, () => this.status());
    for (const name of COMMAND_NAMES) {
      // The UI shows it in the form in which a signal is sent.
      const description = withInput(name);
      setHandler(commandSignal(name), (payload) => this.receive(name, payload), { description });
      setHandler(commandUpdate(name), (payload: unknown) => this.accept(name, payload), {
        description,
        validator: (payload: unknown) => this.validate(name, payload),
      });
    }
    setHandler(report, (payload: unknown) => this.hear(payload), {
      description: 'From the continuous reconcile.',
    });
    setHandler(adopt, (payload: unknown) => this.adopted(payload), {
      description: 'Take the tenant up where its control record stands.',
    });
    setHandler(applyPlan, (plan: unknown) => this.apply(plan), {
      description: 'New durations and limits, from `switchback plan apply`.',
    });
    setDefaultSignalHandler((name) =>
      this.refuse(`there is no signal "${name}"; there are ${COMMAND_NAMES.join(', ')}`),
    );
  }

  view(): View {
    const { tenant, phase, mode, reason, plan, approved, approvers, waivers } = this.state;
    const { approval, approvals = 1 } = plan;
    const now = Date.now();
    const waivedBy = waivers.filter(({ until }) => until > now).map(({ actor }) => actor);
    return {
      tenant,
      phase,
      mode,
      reason,
      approval,
      approved,
      approvers,
      approvals,
      gates: waivableGates(phase, plan),
      ...(this.#waivesApart ? { waivedBy } : {}),
    };
  }

  /**
   * Judges by the view once everything accepted so far is carried out (`pause` and `resume` may come in one breath); where a
   * phase is just being entered, by either one: whether the flip stands, nobody knows, and it is judged once more when its turn comes.
   */
  private judged(command: Command, pending: readonly Event[], entering: Phase | null): string | null {
    const modes = pending.flatMap((event) =>
      event.kind === 'command' ? (LEADS_TO[event.command.name] ?? []) : [],
    );
    const view = { ...this.view(), ...(modes.length > 0 ? { mode: modes.at(-1)! } : {}) };
    const why = judge(command, view);
    if (why === null || entering === null || entering === view.phase) return why;
    const gates = waivableGates(entering, this.state.plan);
    return judge(command, { ...view, phase: entering, gates, approved: false, approvers: [] });
  }

  status(): TenantStatus {
    const { tenant, phase, mode, reason, since, stage, approved, waivers } = this.state;
    return {
      tenant,
      phase,
      mode,
      reason,
      since,
      stage,
      approved,
      waivers,
      gates: this.gates,
      refusals: this.refusals,
    };
  }

  take(entered: Entered): void {
    if (entered.phase !== this.state.phase) this.state.approvers = [];
    Object.assign(this.state, entered);
  }

  refuse(why: string): void {
    log.warn('refused', { why });
    this.refusals.unshift(`${new Date(Date.now()).toISOString()} ${why}`.slice(0, 500));
    this.refusals.length = Math.min(this.refusals.length, REFUSALS_MAX);
    showDetails(this);
  }

  show(): void {
    showSearchAttributes(this);
    showDetails(this);
  }

  private receive(name: CommandName, payload: unknown): void {
    const parsed = parseCommand(name, payload);
    if (!parsed.ok) return this.refuse(parsed.why);
    if (this.#seen.includes(parsed.command.requestId)) return;
    const why = this.judged(parsed.command, this.inbox, this.#entersFirst ? this.entering : null);
    if (why !== null) return this.refuse(`${name} by ${parsed.command.actor}: ${why}`);
    this.enqueue(parsed.command);
  }

  private validate(name: CommandName, payload: unknown): void {
    const parsed = parseCommand(name, payload);
    if (!parsed.ok) throw new Error(parsed.why);
    if (this.#seen.includes(parsed.command.requestId)) return;
    // A validator is not replayed, as a signal is: it may look at what earlier versions did not.
    const pending = this.underWay === null ? this.inbox : [this.underWay, ...this.inbox];
    const why = this.judged(parsed.command, pending, this.entering);
    if (why !== null) throw new Error(why);
  }

  private accept(name: CommandName, payload: unknown): Receipt {
    const parsed = parseCommand(name, payload);
    const { mode } = this.state;
    const phase = (this.#entersFirst ? this.entering : null) ?? this.state.phase;
    if (!parsed.ok || this.#seen.includes(parsed.command.requestId)) {
      return {
        accepted: true,
        phase,
        mode,
        message: `${name} was asked for already with this requestId; nothing was done twice`,
      };
    }
    this.enqueue(parsed.command);
    return { accepted: true, phase, mode, message: `${name} accepted in ${phase}` };
  }

  private enqueue(command: Command): void {
    this.#seen.push(command.requestId);
    if (this.#seen.length > SEEN_MAX) this.#seen.shift();
    this.inbox.push({ kind: 'command', command });
  }

  private adopted(payload: unknown): void {
    const who = typeof payload === 'object' && payload !== null ? (payload as Record<string, unknown>) : {};
    if (typeof who['actor'] !== 'string' || typeof who['reason'] !== 'string') {
      return this.refuse(
        'adopt needs {"actor": "...", "reason": "..."}; switchback start TENANT --adopt sends it',
      );
    }
    this.inbox.push({ kind: 'adopt' });
  }

  private hear(payload: unknown): void {
    const message =
      typeof payload === 'object' && payload !== null && 'message' in payload ? payload.message : null;
    if (typeof message !== 'string')
      return this.refuse('report comes from the continuous reconcile, not from a person');
    this.inbox.push({ kind: 'report', report: { kind: 'drift', message } });
  }

  private apply(plan: unknown): void {
    if (
      typeof plan !== 'object' ||
      plan === null ||
      !('durations' in plan) ||
      !('limits' in plan) ||
      !('gates' in plan)
    ) {
      return this.refuse('applyPlan needs a plan; use switchback plan apply');
    }
    this.state.plan = plan as TenantPlan;
  }
}
