/**
 * What an operator may ask of one tenant's migration, and when.
 *
 * `judge` is the whole policy: the update validators, the signal handlers and the CLI's help read it.
 * A payload comes from a CLI, a form in the Temporal UI or a hand-typed JSON, so `parseCommand` takes
 * anything and never throws: a handler that throws would wedge a six-week run for good.
 */
import { canRollBack, isPhase, move, PHASES, type Mode, type Phase } from './phase.ts';

// prettier-ignore
export const COMMANDS = {
  pause:    { does: 'Hold the phase where it is. Mirror, reconcile and the trip back on drift go on.' },
  resume:   { does: 'Go on after a pause, a rollback or an adoption.' },
  advance:  { does: 'Approve the next phase where the plan asks an operator (ready to ramp).' },
  drill:    { does: 'Rehearse once more in ready, where the certificate grows old: reads go to the target and come back.' },
  rollback: { does: 'Put reads back on the source now. Dual writes go on; nothing is lost.' },
  retry:    { does: 'Try again what stopped the line, after its cause was mended.' },
  waive:    { does: 'Open one gate by decision: {"gate": "...", "until": "2026-12-01T00:00:00Z"}. Shown for ever.' },
  setPace:  { does: 'Limit the backfill or reconcile: {"rowsPerSecond": 5000, "of": "backfill"}; 0 removes the limit.' },
  abort:    { does: 'Give up this tenant: mirror off, target rows kept. Needs expectPhase.' },
} as const;

export type CommandName = keyof typeof COMMANDS;
export const COMMAND_NAMES = Object.keys(COMMANDS) as CommandName[];

export interface Command {
  readonly name: CommandName;
  readonly requestId: string;
  readonly actor: string;
  readonly reason: string;
  readonly expectPhase: Phase | null;
  readonly gate: string | null;
  /** Milliseconds since the epoch. */
  readonly until: number | null;
  readonly rowsPerSecond: number | null;
  /** What `rowsPerSecond` limits; missing in histories from before there was a choice: the backfill. */
  readonly paceOf?: Paced;
}

export const PACED = ['backfill', 'reconcile'] as const;
export type Paced = (typeof PACED)[number];

export type Parsed =
  { readonly ok: true; readonly command: Command } | { readonly ok: false; readonly why: string };

/** What `judge` has to know of a run. */
export interface View {
  readonly tenant: string;
  readonly phase: Phase;
  readonly mode: Mode;
  readonly reason: string | null;
  /** Does the plan ask an operator before `ramp`? */
  readonly approval: boolean;
  readonly approved: boolean;
  /** Who approved in this phase, and how many have to. */
  readonly approvers: readonly string[];
  readonly approvals: number;
  /** Who waived a gate that is waived still; missing: it makes no difference, in runs from before it did. */
  readonly waivedBy?: readonly string[];
  /** Names of the gates of this phase. */
  readonly gates: readonly string[];
}

const EXAMPLE = '{"requestId":"1","actor":"ann","reason":"why"}';

/** What a command takes beside that. */
const EXTRAS: Readonly<Partial<Record<CommandName, string>>> = {
  waive: '"gate":"shadow-samples","until":"2026-12-01T00:00:00Z"',
  setPace: '"rowsPerSecond":5000,"of":"backfill"',
  abort: '"expectPhase":"shadow"',
};

const exampleOf = (name: CommandName): string =>
  EXTRAS[name] === undefined ? EXAMPLE : `${EXAMPLE.slice(0, -1)},${EXTRAS[name]}}`;

/** For whoever has a form to fill in: what the command does, and a payload that it takes. */
export const withInput = (name: CommandName): string =>
  `${COMMANDS[name].does.replace(/: \{"[^}]*\}/, '')} Input: ${exampleOf(name)}`;

/** @param payload whatever arrived: nothing, a string, a wrong shape. */
export function parseCommand(name: CommandName, payload: unknown): Parsed {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    return { ok: false, why: `${name} needs one JSON object such as ${EXAMPLE}` };
  }
  const fields = payload as Readonly<Record<string, unknown>>;
  for (const field of ['requestId', 'actor', 'reason'] as const) {
    const value = fields[field];
    if (typeof value !== 'string' || value.trim() === '' || value.length > 1_000) {
      return {
        ok: false,
        why: `${name} needs "${field}", a text of 1 to 1,000 characters, as in ${EXAMPLE}`,
      };
    }
  }
  const expectPhase = fields['expectPhase'];
  if (
    expectPhase !== undefined &&
    expectPhase !== null &&
    !(typeof expectPhase === 'string' && isPhase(expectPhase))
  ) {
    return { ok: false, why: `expectPhase is none of ${Object.keys(PHASES).join(', ')}` };
  }
  const details = parseDetails(name, fields);
  if (typeof details === 'string') return { ok: false, why: details };
  return {
    ok: true,
    command: {
      name,
      requestId: fields['requestId'] as string,
      actor: fields['actor'] as string,
      reason: fields['reason'] as string,
      expectPhase: (expectPhase as Phase | undefined | null) ?? null,
      ...details,
    },
  };
}

type Details = Pick<Command, 'gate' | 'until' | 'rowsPerSecond' | 'paceOf'>;
const NO_DETAILS: Details = { gate: null, until: null, rowsPerSecond: null };

function parseDetails(name: CommandName, fields: Readonly<Record<string, unknown>>): Details | string {
  if (name === 'waive') {
    const until = typeof fields['until'] === 'string' ? Date.parse(fields['until']) : Number.NaN;
    if (typeof fields['gate'] !== 'string') return 'waive needs "gate", the name of a gate that `why` lists';
    if (Number.isNaN(until)) return 'waive needs "until", a time such as "2026-12-01T00:00:00Z"';
    return { ...NO_DETAILS, gate: fields['gate'], until };
  }
  if (name === 'setPace') {
    const pace = fields['rowsPerSecond'];
    if (typeof pace !== 'number' || !Number.isInteger(pace) || pace < 0) {
      return 'setPace needs "rowsPerSecond", a whole number; 0 removes the limit';
    }
    const of = fields['of'] ?? 'backfill';
    const paceOf = PACED.find((one) => one === of);
    if (paceOf === undefined) return `setPace knows "of" as one of ${PACED.join(', ')}`;
    return { ...NO_DETAILS, rowsPerSecond: pace, ...(paceOf === 'backfill' ? {} : { paceOf }) };
  }
  return NO_DETAILS;
}

/** @returns null when the command may run now, else why not and what to do instead. */
export function judge(command: Command, view: View): string | null {
  const { phase } = view;
  if (phase === 'aborted') return `the migration of ${view.tenant} was aborted; start it again to go on`;
  if (command.expectPhase !== null && command.expectPhase !== phase) {
    return `expected phase ${command.expectPhase}, but ${view.tenant} is in ${phase}; look at status and decide again`;
  }
  return JUDGES[command.name](command, view);
}

/** The same person, however the name was typed. */
const isAmong = (name: string, names: readonly string[]): boolean =>
  names.some((one) => one.trim().toLowerCase() === name.trim().toLowerCase());

type Judge = (command: Command, view: View) => string | null;

const JUDGES: Readonly<Record<CommandName, Judge>> = {
  pause: (_, { phase, mode, reason }) => {
    if (phase === 'rolling-back') return 'a rollback is not paused; it ends in shadow, held, within seconds';
    if (mode === 'paused') return `already paused: ${reason ?? 'no reason given'}`;
    return mode === 'stopped' ? `the line is already stopped: ${reason ?? 'no reason given'}` : null;
  },
  resume: (_, { mode }) => {
    if (mode === 'paused') return null;
    return mode === 'stopped'
      ? 'the line is stopped, not paused: mend the cause, then retry'
      : `not paused: the mode is ${mode}`;
  },
  advance: ({ actor }, { tenant, phase, mode, approval, approved, approvers, approvals, waivedBy = [] }) => {
    if (phase === 'ramp') return 'ramp is the last phase of this version: promote is not built yet';
    if (mode === 'paused') return 'paused: resume first';
    if (mode === 'stopped') return 'the line is stopped: mend the cause, then retry';
    if (phase !== 'ready') return `${phase} advances by itself when its gates are open; see why`;
    if (!approval) return 'the plan asks no operator here; ready advances by itself when its gates are open';
    if (approved && approvers.length >= approvals)
      return 'already approved; see why for the gates that are still closed';
    if (isAmong(actor, approvers)) return `${actor} approved already; another person has to as well`;
    return approvals > 1 && isAmong(actor, waivedBy)
      ? `${actor} waived a gate of ${tenant}; another person has to approve`
      : null;
  },
  drill: (_, { phase, mode }) => {
    if (mode === 'paused') return 'paused: resume first';
    if (mode === 'stopped') return 'the line is stopped: mend the cause, then retry';
    if (phase === 'drill') return 'the drill runs already';
    return move(phase, 'rehearse') === null
      ? `${phase} has no drill to repeat: it is run before ready, and again in ready`
      : null;
  },
  rollback: (_, { phase }) => {
    if (canRollBack(phase)) return null;
    return phase === 'rolling-back'
      ? 'already rolling back'
      : `reads are on the source in ${phase}: there is nothing to roll back`;
  },
  retry: (_, { mode }) => {
    if (mode === 'stopped') return null;
    return mode === 'paused' ? 'paused, not stopped: resume' : `the line is not stopped: the mode is ${mode}`;
  },
  waive: ({ actor, gate }, { phase, gates, approvers, approvals, waivedBy }) => {
    if (gate !== null && gates.includes(gate)) {
      return waivedBy !== undefined && approvals > 1 && isAmong(actor, approvers)
        ? `${actor} approved ${phase}; another person has to waive`
        : null;
    }
    const open = gates.length === 0 ? 'none' : gates.join(', ');
    return `${phase} has no gate "${gate ?? ''}" that can be waived; those that can: ${open}`;
  },
  setPace: () => null,
  abort: ({ expectPhase }, { phase }) => {
    if (canRollBack(phase) || phase === 'rolling-back') return 'reads may be on the target: rollback first';
    return expectPhase === null ? `abort needs expectPhase: "${phase}"` : null;
  },
};
