/** `why` as text. Hashes are cut: they are there to be compared with each other. */
import { formatDuration, type Milliseconds } from '../domain/duration.ts';
import type { Evidence } from '../domain/gate.ts';
import { PHASES, type Mode, type Phase } from '../domain/phase.ts';
import { sayDifferences, type ShadowRead } from '../domain/shadow.ts';
import { captureLines, type CaptureFacts } from './capture-text.ts';
import { aligned, noWorker } from './status-text.ts';
import { oneLine, quoted, type Terminal } from './terminal.ts';
import { sayWaiver, type WaiverLine } from './waivers-text.ts';

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

export interface AuditLine {
  readonly at: string;
  readonly event: string;
  readonly before: string | null;
  readonly after: string | null;
  readonly actor: string;
  readonly reason: string;
}

export interface GateLine {
  readonly gate: string;
  readonly open: boolean;
  readonly waived: boolean;
  readonly saw: string;
  readonly needs: string;
  /** What clears it, and who can. */
  readonly clear: string;
  readonly who: string;
  /** As a worker recorded it; null: open, or not looked at yet. */
  readonly closedSince: string | null;
  /** In this stay in the phase. */
  readonly firstClosedAt: string | null;
  /** null: open, or nothing to type. */
  readonly next: string | null;
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
  readonly gates: readonly GateLine[];
  /** Whatever was waived for this tenant, and what became of it. */
  readonly waivers: readonly WaiverLine[];
  readonly openDrift: number;
  readonly drift: readonly DriftLine[];
  /** Tables that were altered on one side since the line began to work from them; their rows wait in the journal. */
  readonly altered: readonly string[];
  /** No worker was heard of for so long; null: one is alive. */
  readonly noWorkerForMs: Milliseconds | null;
  /** Reads of the application that the sides answered differently, or that the target was slow to answer. */
  readonly shadowReads: readonly ShadowRead[];
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
    ...section('Shadow reads that differed, or were slower on the target', shadowReads(why)),
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
  const state = ({ open, waived }: GateLine): string =>
    open ? colors.green('open') : waived ? colors.yellow('waived') : colors.red('closed');
  const rows = why.gates.map((gate) => [
    `  ${state(gate)}`,
    gate.gate,
    since(why.at, gate),
    oneLine(gate.saw),
    gate.needs,
  ]);
  const closed = why.gates
    .filter(({ open, waived }) => !open && !waived)
    .map(({ gate, who, clear }) => [`  ${gate}`, who, clear.replaceAll('TENANT', quoted(why.tenant))]);
  return [
    ...aligned(['  ', 'GATE', 'FOR', 'SAW', 'NEEDS'], rows),
    ...(closed.length === 0 ? [] : ['', ...aligned(['  CLOSED', 'CLEARED BY', 'HOW'], closed)]),
  ];
}

/** How long it is closed, as it stands in the record. */
function since(at: string, { open, closedSince, firstClosedAt }: GateLine): string {
  if (open) return '';
  if (closedSince === null) return 'not recorded';
  const ago = (from: string): string => formatDuration(Math.max(0, Date.parse(at) - Date.parse(from)));
  const isAgain = firstClosedAt !== null && firstClosedAt < closedSince;
  return isAgain ? `${ago(closedSince)}, first ${ago(firstClosedAt)} ago` : ago(closedSince);
}

const waivers = (why: Why): string[] => why.waivers.map((waiver) => `  ${sayWaiver(waiver)}`);

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
  why.shadowReads.map(({ read, samples, differing, classes, slowerByMs }) => {
    const ways = sayDifferences(classes);
    const slower =
      classes.slower === undefined
        ? ''
        : `; ${classes.slower} slower, by ${formatDuration(slowerByMs ?? 0)} on average`;
    return `  ${oneLine(read)}: ${differing} of ${samples} samples${ways === '' ? '' : ` (${ways})`}${slower}`;
  });

const short = (hash: string | null): string => (hash === null ? 'no row' : hash.slice(0, 10));

const audit = (why: Why): string[] =>
  why.audit.map(({ at, event, before, after, actor, reason }) => {
    const change =
      after === null || before === after ? '' : before === null ? ` ${after}` : ` ${before} → ${after}`;
    return `  ${at}  ${oneLine(event)}${change}  ${oneLine(actor)}: ${oneLine(reason)}`;
  });
