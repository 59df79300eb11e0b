/** The state of the fleet's run and the handlers that feed it: they validate and enqueue, and never throw. */
import { log, setDefaultSignalHandler, setHandler } from '@temporalio/workflow';

import {
  FLEET_COMMAND_NAMES,
  FLEET_COMMANDS,
  judgeFleet,
  parseFleetCommand,
  type FleetCommand,
  type FleetCommandName,
} from '../src/domain/fleet-command.ts';
import type { Mode } from '../src/domain/phase.ts';
import type { FleetPlan } from '../src/domain/plan.ts';
import type { WaveCounts } from '../src/domain/wave.ts';
import type { FleetRow } from '../activities/fleet.ts';
import { showFleet } from './fleet-console.ts';
import {
  applyFleetPlan,
  fleetSignal,
  fleetStatus,
  fleetUpdate,
  type FleetInput,
  type FleetReceipt,
} from './messages.ts';

const SEEN_MAX = 200;
const REFUSALS_MAX = 5;

/** A `resume` that was accepted a moment ago counts for the order that follows it. */
const LEADS_TO: Readonly<Partial<Record<FleetCommandName, Mode>>> = { pause: 'paused', resume: 'running' };

export class FleetRun {
  plan: FleetPlan;
  wave: string;
  mode: Mode = 'running';
  reason: string | null = null;
  counts: readonly WaveCounts[] = [];
  /** Another run has the fleet: this one changes nothing more. */
  lost = false;
  readonly inbox: FleetCommand[] = [];
  /** The order that is just being carried out. */
  underWay: FleetCommand | null = null;
  readonly refusals: string[];
  readonly seen: string[];
  shown = '';

  constructor({ plan, after }: FleetInput) {
    this.plan = plan;
    this.wave = plan.waves[0]?.name ?? '';
    this.seen = [...(after?.seen ?? [])];
    this.refusals = [...(after?.refusals ?? [])];
    // An order that arrives before the record was read is judged by where the run before it stood.
    Object.assign(this, after?.stands);
  }

  register(): void {
    setHandler(fleetStatus, () => {
      const { wave, mode, reason, counts, refusals } = this;
      return { wave, mode, reason, counts, refusals };
    });
    for (const name of FLEET_COMMAND_NAMES) {
      const { does: description } = FLEET_COMMANDS[name];
      setHandler(fleetSignal(name), (payload) => this.#receive(name, payload), { description });
      setHandler(fleetUpdate(name), (payload: unknown) => this.#accept(name, payload), {
        description,
        validator: (payload: unknown) => this.#validate(name, payload),
      });
    }
    setHandler(applyFleetPlan, (plan: unknown) => this.#apply(plan), {
      description: 'New waves, durations and limits, from `switchback plan apply`.',
    });
    setDefaultSignalHandler((name) =>
      this.refuse(`there is no signal "${name}"; there are ${FLEET_COMMAND_NAMES.join(', ')}`),
    );
  }

  take({ wave, mode, reason }: FleetRow): void {
    Object.assign(this, { wave, mode, reason });
  }

  refuse(why: string): void {
    log.warn('refused', { why });
    this.refusals.unshift(`${new Date(Date.now()).toISOString()} ${why}`.slice(0, 500));
    this.refusals.length = Math.min(this.refusals.length, REFUSALS_MAX);
    showFleet(this);
  }

  #judge(command: FleetCommand, pending: readonly FleetCommand[] = this.inbox): string | null {
    const mode = pending.flatMap(({ name }) => LEADS_TO[name] ?? []).at(-1) ?? this.mode;
    const { wave, reason, plan } = this;
    if (this.lost && command.name !== 'resume') return 'another run had the fleet; resume takes it back';
    return judgeFleet(command, { wave, mode, reason, waves: plan.waves.map(({ name }) => name) });
  }

  #receive(name: FleetCommandName, payload: unknown): void {
    const parsed = parseFleetCommand(name, payload);
    if (!parsed.ok) return this.refuse(parsed.why);
    if (this.seen.includes(parsed.command.requestId)) return;
    const why = this.#judge(parsed.command);
    if (why !== null) return this.refuse(`${name} by ${parsed.command.actor}: ${why}`);
    this.#enqueue(parsed.command);
  }

  #validate(name: FleetCommandName, payload: unknown): void {
    const parsed = parseFleetCommand(name, payload);
    if (!parsed.ok) throw new Error(parsed.why);
    if (this.seen.includes(parsed.command.requestId)) return;
    // A validator is not replayed, as a signal is: it may look at what earlier versions did not.
    const pending = this.underWay === null ? this.inbox : [this.underWay, ...this.inbox];
    const why = this.#judge(parsed.command, pending);
    if (why !== null) throw new Error(why);
  }

  #accept(name: FleetCommandName, payload: unknown): FleetReceipt {
    const parsed = parseFleetCommand(name, payload);
    const { wave, mode } = this;
    if (!parsed.ok || this.seen.includes(parsed.command.requestId)) {
      const message = `${name} was asked for already with this requestId; nothing was done twice`;
      return { accepted: true, wave, mode, message };
    }
    this.#enqueue(parsed.command);
    return { accepted: true, wave, mode, message: `${name} accepted in wave ${wave}` };
  }

  #enqueue(command: FleetCommand): void {
    this.seen.push(command.requestId);
    if (this.seen.length > SEEN_MAX) this.seen.shift();
    this.inbox.push(command);
  }

  #apply(plan: unknown): void {
    if (typeof plan !== 'object' || plan === null || !('waves' in plan) || !('durations' in plan))
      return this.refuse('applyPlan needs a plan; use switchback plan apply');
    this.plan = plan as FleetPlan;
  }
}
