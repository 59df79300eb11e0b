/** `why` as text. Hashes are cut: they are there to be compared with each other. */
import { formatDuration, type Milliseconds } from '../domain/duration.ts';
import type { Evidence, GateVerdict } from '../domain/gate.ts';
import { PHASES, type Mode, type Phase } from '../domain/phase.ts';
import { captureLines, type CaptureFacts } from './capture-text.ts';
import { aligned, noWorker } from './status-text.ts';
import { oneLine, quoted, type Terminal } from './terminal.ts';

export interface DriftLine {
  readonly id: number;
  readonly table: string;
  readonly key: string;
  readonly class: string;
  readonly columns: readonly string[];
  readonly sourceHash: string | null;
  readonly targetHash: string | null;
  readonly foundAt: string;
  /** The same tenant had a missing row before. */
  readonly recurred: boolean;
}

export interface ShadowLine {
  readonly read: string;
  readonly samples: number;
  readonly differing: number;
}

export interface AuditLine {
  readonly at: string;
  readonly event: string;
  readonly before: string | null;
  readonly after: string | null;
  readonly actor: string;
  readonly reason: string;
}

export interface Why extends CaptureFacts {
  readonly tenant: string;
  readonly at: string;
  readonly phase: Phase;
  readonly mode: Mode;
  readonly reason: string | null;
  readonly since: string;
  readonly stage: string;
  readonly epoch: number;
  readonly dirty: boolean;
  readonly gates: readonly GateVerdict[];
  readonly waivers: readonly {
    readonly gate: string;
    readonly until: string;
    readonly actor: string;
    readonly reason: string;
  }[];
  readonly openDrift: number;
  readonly drift: readonly DriftLine[];
  /** Tables that were altered on one side since the line began to work from them; their rows wait in the journal. */
  readonly altered: readonly string[];
  /** No worker was heard of for so long; null: one is alive. */
  readonly noWorkerForMs: Milliseconds | null;
  /** Reads of the application whose answers differed between the sides. */
  readonly shadowReads: readonly ShadowLine[];
  readonly audit: readonly AuditLine[];
  readonly evidence: Evidence;
}

export function whyLines(terminal: Terminal, why: Why, next: readonly string[]): string[] {
  return [
    ...head(why),
    ...noWorker(why.noWorkerForMs).map((line) => `  ${line}`),
    ...section(`Gates of ${why.phase}`, gates(terminal, why)),
    ...section('Waived', waivers(why)),
    ...section(
      'Altered tables: nothing of them is written until a retry takes the change over',
      why.altered.map((change) => `  ${oneLine(change)}`),
    ),
    ...section(`Open drift: ${why.openDrift}`, drift(why)),
    ...section('Shadow reads that differed', shadowReads(why)),
    ...captureSection(why),
    ...section('Audit, the last first', audit(why)),
    ...section(
      'Next',
      next.map((command) => `  ${command}`),
    ),
  ];
}

/** The first line of it is a title already. */
const captureSection = (why: Why): string[] => {
  const [title, ...lines] = captureLines(why);
  return title === undefined ? [] : section(title, lines);
};

const section = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : ['', title, ...lines];

/** A pause says by whom already. */
const SAYS_WHY: Readonly<Record<Mode, string>> = {
  running: 'note:',
  waiting: 'waits for',
  paused: 'held:',
  stopped: 'stopped:',
};

function head(why: Why): string[] {
  const { tenant, phase, mode, reason, since, at, stage, epoch, dirty, evidence } = why;
  const held = formatDuration(Math.max(0, Date.parse(at) - Date.parse(since)));
  const journal =
    why.capture === 'application'
      ? 'none: the application mirrors'
      : evidence.journalRows === 0
        ? 'empty'
        : `${evidence.journalRows} rows, the oldest ${formatDuration(evidence.journalAge ?? 0)}`;
  return [
    `${oneLine(tenant)}: ${phase}, ${mode}, since ${since} (${held})`,
    `  this phase ${PHASES[phase].does}`,
    ...(reason === null ? [] : [`  ${SAYS_WHY[mode]} ${oneLine(reason)}`]),
    `  stage ${stage}, epoch ${epoch}${dirty ? ', dirty: read from the source' : ''}; journal ${journal}; ${evidence.nodes.following} of ${evidence.nodes.live} live nodes follow`,
  ];
}

function gates({ colors }: Terminal, why: Why): string[] {
  if (why.gates.length === 0) return [];
  const rows = why.gates.map(({ gate, open, waived, saw, needs, clear }) => [
    open
      ? `  ${colors.green('open')}`
      : waived
        ? `  ${colors.yellow('waived')}`
        : `  ${colors.red('closed')}`,
    gate,
    oneLine(saw),
    needs,
    open || waived ? '' : clear.replaceAll('TENANT', quoted(why.tenant)),
  ]);
  return aligned(['  ', 'GATE', 'SAW', 'NEEDS', 'CLEARED BY'], rows);
}

const waivers = (why: Why): string[] =>
  why.waivers.map(
    ({ gate, until, actor, reason }) =>
      `  ${oneLine(gate)} until ${until} by ${oneLine(actor)}: ${oneLine(reason)}`,
  );

function drift(why: Why): string[] {
  const rows = why.drift.map((row) => [
    `  ${row.id}`,
    row.table,
    oneLine(row.key),
    `${row.class}${row.recurred ? ' again' : ''}`,
    row.columns.join(', ') || '-',
    short(row.sourceHash),
    short(row.targetHash),
    row.foundAt,
  ]);
  if (rows.length === 0) return [];
  const more = why.openDrift - rows.length;
  return [
    ...aligned(['  ID', 'TABLE', 'KEY', 'CLASS', 'COLUMNS', 'SOURCE', 'TARGET', 'FOUND'], rows),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

const shadowReads = (why: Why): string[] =>
  why.shadowReads.map(
    ({ read, samples, differing }) => `  ${oneLine(read)}: ${differing} of ${samples} samples`,
  );

const short = (hash: string | null): string => (hash === null ? 'no row' : hash.slice(0, 10));

const audit = (why: Why): string[] =>
  why.audit.map(({ at, event, before, after, actor, reason }) => {
    const change =
      after === null || before === after ? '' : before === null ? ` ${after}` : ` ${before} → ${after}`;
    return `  ${at}  ${oneLine(event)}${change}  ${oneLine(actor)}: ${oneLine(reason)}`;
  });
