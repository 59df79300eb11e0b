/** What is told of each activity that a run carried out: one row an activity, with the sentence for its answer. */
import { formatDuration } from '../domain/duration.ts';
import { saysDrift } from '../domain/drift.ts';
import { isPhase, PHASES, type Phase } from '../domain/phase.ts';
import { fields, text } from './events.ts';

// prettier-ignore
export type Kind = 'run' | 'phase' | 'flip' | 'command' | 'stop' | 'gates' | 'drift' | 'drill' | 'work' | 'fault' | 'worker' | 'fleet';

export interface Sentence {
  readonly kind: Kind;
  readonly text: string;
  readonly actor?: string | null;
  readonly reason?: string | null;
  readonly requestId?: string | null;
}

/** What stands between the sentences of one run. */
export interface Memory {
  /** Gates as they were told last. */
  gates: string;
  /** Change version of the last flip: one that changed nothing is not told. */
  version: number;
  passes: number;
  rows: number;
}

type Values = Readonly<Record<string, unknown>>;
/** @param raw the answer of an activity that returns no object */
type Teller = (input: Values, result: Values, memory: Memory, raw: unknown) => Sentence | null;

const STAGE_AFTER = (phase: unknown): string => (isPhase(String(phase)) ? PHASES[phase as Phase].stage : '');
const by = (input: Values): Pick<Sentence, 'actor' | 'reason' | 'requestId'> => ({
  actor: text(input['actor']),
  reason: text(input['why']),
  requestId: text(input['requestId']),
});
/** Values of a history may be anything. */
const say = (parts: TemplateStringsArray, ...values: readonly unknown[]): string =>
  parts.map((part, place) => `${part}${place < values.length ? word(values[place]) : ''}`).join('');

const word = (value: unknown): string =>
  typeof value === 'string' ? value : typeof value === 'object' ? '' : JSON.stringify(value ?? '');

const count = (value: unknown): string => Number(value ?? 0).toLocaleString('en');

export const TELLS: Readonly<Record<string, Teller>> = {
  claim: (input, result) => {
    const place = say`${result['phase']}, ${result['mode']}, stage ${result['stage']}`;
    return {
      kind: 'run',
      text:
        input['adopt'] === true ? say`taken up where the record stands: ${place}` : say`begins in ${place}`,
    };
  },
  preflight: (_, _result, _memory, raw) => {
    const problems = Array.isArray(raw) ? raw.length : 0;
    return {
      kind: problems === 0 ? 'work' : 'stop',
      text: problems === 0 ? 'preflight found nothing in the way' : say`preflight found ${problems} problems`,
    };
  },
  enterPhase: (input, result, memory) => {
    const [from, to] = [STAGE_AFTER(input['from']), STAGE_AFTER(input['to'])];
    memory.gates = '';
    memory.version = Number(result['version']);
    const flip =
      from === to ? say`stage stays ${to}` : say`flip: ${from} to ${to}, change version ${result['version']}`;
    // Who says why has said it.
    const reason = input['reason'] === input['why'] ? '' : say`: ${input['reason']}`;
    const held = input['mode'] === 'running' ? '' : say`; ${input['mode']}${reason}`;
    return {
      kind: from === to ? 'phase' : 'flip',
      text: say`${input['from']} to ${input['to']} (${flip})${held}`,
      ...by(input),
    };
  },
  saveMode: (input) => {
    const event = text(input['event']) ?? 'mode';
    const isOrder = input['requestId'] !== null && input['requestId'] !== undefined;
    const pace =
      input['rowsPerSecond'] === null || input['rowsPerSecond'] === undefined
        ? ''
        : say` ${input['paceOf'] ?? 'backfill'} to ${Number(input['rowsPerSecond']) === 0 ? 'no limit' : say`${count(input['rowsPerSecond'])} rows a second`}`;
    return {
      kind: isOrder ? 'command' : event === 'stop' ? 'stop' : 'run',
      text: isOrder
        ? say`${event}${pace}`
        : say`${input['mode']}${input['reason'] === null ? '' : say`: ${text(input['reason'])}`}`,
      ...(isOrder ? by(input) : {}),
    };
  },
  flip: (input, result, memory) => {
    const version = Number(result['version']);
    if (version === memory.version) return null;
    memory.version = version;
    const why = text(input['reason']);
    return {
      kind: 'flip',
      text: say`flip: ${input['from']} to ${input['to']}, change version ${version}${why === null ? '' : say` (${why})`}`,
    };
  },
  awaitNodes: (_, { live, following, ms }) => ({
    kind: 'flip',
    text: say`${following} of ${live} application nodes followed${Number(live) === 0 ? '' : say`, the last one seen after ${formatDuration(Number(ms ?? 0))}`}`,
  }),
  judge: gates,
  awaitGates: gates,
  backfillSlice: (input, result) => ({
    kind: 'work',
    text: say`copied ${count(result['copied'])} rows${result['finished'] === true ? ', to the end of every table' : ' so far'} (round ${input['round']})`,
  }),
  reconcileSlice: (_, result, memory) => {
    if (result['finished'] === true) memory.passes += 1;
    memory.rows += Number(result['rows'] ?? 0);
    const repaired = Number(result['repaired'] ?? 0);
    if (Number(result['drifted'] ?? 0) === 0 && repaired === 0 && result['stopped'] !== true) return null;
    const found =
      Number(result['fresh'] ?? 0) > 0 ? saysDrift(Number(result['fresh'])) : 'drift that is known';
    return {
      kind: 'drift',
      text: say`${found}; ${count(repaired)} rows were missing and are repaired${result['stopped'] === true ? '; the line stops' : ''}`,
    };
  },
  probe: (_, result) =>
    result['kind'] === 'none'
      ? null
      : {
          kind: 'drill',
          text:
            result['kind'] === 'ok'
              ? say`the application read ${count(result['reads'])} and wrote ${count(result['canaries'])} canaries`
              : say`the probe failed: ${text(result['why'])}`,
        },
  cutTarget: (_, _result, _memory, raw) => ({
    kind: 'drill',
    text: say`cut this worker's ${Number(raw ?? 0)} connections to the target`,
  }),
  checkDrill: (_, result) => ({
    kind: 'drill',
    text:
      text(result['wrong']) ??
      say`${count(result['all'])} canaries are on both sides; oldest journal row ${formatDuration(Number(result['journalAge'] ?? 0))}`,
  }),
  certify: certificate,
  certifyDrill: certificate,
  claimFleet: (input, result) => {
    const row = fields(result['row']);
    return {
      kind: 'fleet',
      text: say`the fleet is in wave ${row['wave']}, ${row['mode']}${row['reason'] === null ? '' : say`: ${text(row['reason'])}`}`,
      ...by(input),
    };
  },
  orderFleet: (input, result) => {
    const command = fields(input['command']);
    const refused = text(result['refused']);
    const about = [command['tenant'], command['wave']]
      .filter((word) => typeof word === 'string')
      .join(' in ');
    return {
      kind: 'command',
      text: say`fleet ${command['name']}${about === '' ? '' : say` ${about}`}${refused === null ? '' : say`, refused: ${refused}`}`,
      actor: text(command['actor']),
      reason: text(command['reason']),
      requestId: text(command['requestId']),
    };
  },
  awaitFleet: (_, result, memory) => {
    const decision = fields(result['decision']);
    const due = Array.isArray(result['due']) ? result['due'].length : 0;
    const said = FLEET_SAYS[String(decision['kind'])]?.(decision, due) ?? null;
    if (said === null || said === memory.gates) return null;
    memory.gates = said;
    return { kind: decision['kind'] === 'stop' ? 'stop' : 'fleet', text: said };
  },
};

// prettier-ignore
const FLEET_SAYS: Readonly<Record<string, (decision: Values, due: number) => string | null>> = {
  start:  ({ wave }, due) => (due === 0 ? null : say`starts ${due} ${due === 1 ? 'tenant' : 'tenants'} of wave ${wave}`),
  widen:  ({ from, to }) => say`wave ${from} is in ramp and clean for its soak: wave ${to} begins`,
  stop:   ({ reason }) => say`the fleet stops: ${reason}`,
  finish: () => 'every wave is in ramp and clean for its soak',
};

/** Told when they open, and when another one is the first that is closed; a flapping number is not news. */
function gates(input: Values, result: Values, memory: Memory): Sentence | null {
  const verdicts = (Array.isArray(result['verdicts']) ? result['verdicts'] : []).map(fields);
  const closed = verdicts.filter(({ open, waived }) => open !== true && waived !== true);
  const key = say`${String(input['phase'])}:${closed.map(({ gate }) => String(gate)).join()}`;
  if (key === memory.gates) return null;
  memory.gates = key;
  const shown = closed.length > 0 ? closed : verdicts;
  const numbers = shown.map(
    ({ gate, saw, needs, waived }) =>
      say`${gate}: ${saw}${closed.length > 0 ? say`, needs ${needs}` : waived === true ? ' (waived)' : ''}`,
  );
  if (verdicts.length === 0) return null;
  return {
    kind: 'gates',
    text:
      closed.length > 0
        ? say`${input['phase']} waits for ${numbers.join('; ')}`
        : say`the gates of ${input['phase']} are open (${numbers.join('; ')})`,
  };
}

function certificate(input: Values): Sentence {
  const { flipMs, flipBackMs, nodes } = fields(input['content']);
  return {
    kind: 'drill',
    text: say`certificate written: there in ${formatDuration(Number(flipMs ?? 0))}, back in ${formatDuration(Number(flipBackMs ?? 0))}, ${count(nodes)} nodes`,
  };
}
