/** A fleet, or one tenant, as text. */
import { stripVTControlCharacters } from 'node:util';

import Table from 'cli-table3';

import type { Capture } from '../domain/capture.ts';
import { formatDuration, type Milliseconds } from '../domain/duration.ts';
import type { Mode } from '../domain/phase.ts';
import { SHARED } from '../domain/stage.ts';
import { captureLines } from './capture-text.ts';
import type { Backfill, Fleet, TenantState, Work } from './fleet.ts';
import { some } from './context.ts';
import { barOf } from './progress.ts';
import { oneLine, type Terminal } from './terminal.ts';

type Paint = (text: string) => string;

const paint = ({ colors }: Terminal): Readonly<Record<Mode, Paint>> => ({
  stopped: colors.red,
  paused: colors.yellow,
  waiting: colors.cyan,
  running: colors.green,
});

/** No lines between the cells: what is printed can be cut and searched. */
const BARE = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid', 'middle'].flatMap((side) => [
    [side, side === 'middle' ? '  ' : ''],
    [`${side}-mid`, ''],
    [`${side}-left`, ''],
    [`${side}-right`, ''],
    ['mid-mid', ''],
  ]),
);

export function aligned(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const table = new Table({
    chars: BARE,
    head: [...head],
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
}

const HEAD = [
  'TENANT',
  'PHASE',
  'MODE',
  'SINCE',
  'STAGE',
  'EPOCH',
  'JOURNAL',
  'COPIED',
  'ROWS/S',
  'ETA',
  'CLEAN',
  'DRIFT',
  'NODES',
  'REASON',
];

export function fleetLines(terminal: Terminal, fleet: Fleet): string[] {
  const { tenants, awaitingWorker } = fleet;
  const notStarted = fleet.notStarted.filter((tenant) => !awaitingWorker.includes(tenant));
  const modes = paint(terminal);
  const rows = tenants.map((state) => [
    oneLine(state.tenant),
    state.phase,
    modes[state.mode](state.mode),
    ago(fleet, state.since),
    `${state.stage}${state.dirty ? ' (dirty)' : ''}`,
    String(state.epoch),
    journal(fleet, state),
    `${bar(terminal, state.backfill)}${copied(state.backfill)}`,
    rate(state),
    eta(state.backfill),
    state.cleanSince === null ? '-' : ago(fleet, state.cleanSince),
    state.openDrift === 0 ? '0' : terminal.colors.red(String(state.openDrift)),
    `${state.nodes.following}/${state.nodes.live}`,
    oneLine([state.reason, ...slow(fleet, state)].filter((text) => text !== null).join('; ')),
  ]);
  return [
    ...(terminal.isTerminal && tenants.length > 0 ? [summary(fleet)] : []),
    ...(tenants.length > 0
      ? fitting(terminal, HEAD, rows)
      : awaitingWorker.length > 0
        ? []
        : ['No tenant was started yet.']),
    ...(awaitingWorker.length === 0
      ? []
      : [`Started, and no worker took it up yet: ${some(awaitingWorker)}.`]),
    ...(notStarted.length === 0 ? [] : [`Not started: ${some(notStarted)}.`]),
    ...tableNotes(fleet),
    ...(fleet.targetReachable ? [] : ['The target cannot be read: how far the copies are is not known.']),
  ];
}

export function tenantLines(terminal: Terminal, fleet: Fleet, state: TenantState): string[] {
  const mode = paint(terminal)[state.mode](state.mode);
  const reason = state.reason === null ? [] : [`  reason   ${oneLine(state.reason)}`];
  return [
    `${oneLine(state.tenant)}: ${state.phase}, ${mode}, for ${ago(fleet, state.since)}`,
    ...reason,
    `  stage    ${state.stage}, epoch ${state.epoch}${state.dirty ? ', dirty: read from the source' : ''}`,
    `  nodes    ${state.nodes.following} of ${state.nodes.live} live nodes follow`,
    `  journal  ${journal(fleet, state)}`,
    `  copied   ${copied(state.backfill)}${speed(state.backfill)}`,
    ...state.work.map((work) => `  ${`${work.activity} `.padEnd(9)}${how(work, standsStill(fleet, state))}`),
    ...(state.pace === null
      ? []
      : [`  pace     at most ${state.pace} rows/s; set-pace --rows-per-second 0 lifts it`]),
    ...(state.reconcilePace === null
      ? []
      : [
          `  pace     reconcile at most ${state.reconcilePace} rows/s; set-pace --of reconcile --rows-per-second 0 lifts it`,
        ]),
    `  clean    ${state.cleanSince === null ? 'not yet' : `for ${ago(fleet, state.cleanSince)}`}`,
    `  drift    ${state.openDrift} open`,
    `  wave     ${oneLine(state.wave)}, started ${state.startedAt}`,
    ...tableNotes(fleet),
  ];
}

/** What the work says about itself; a worker that is gone can't say that it is, and work that failed says nothing more. */
function how({ stale, ageMs, slow: why, slowForMs, rowsPerSecond }: Work, stands: boolean): string {
  const silent = formatDuration(ageMs);
  if (stale && stands) return `stands still for ${silent}: the line is stopped, see the reason`;
  if (stale) return `nothing heard for ${silent}: is a worker running?`;
  const held = why === null ? '' : `, slow for ${formatDuration(slowForMs ?? 0)}: ${oneLine(why)}`;
  return `${rowsPerSecond} rows/s${held}`;
}

const standsStill = ({ noWorkerForMs }: Fleet, { mode }: TenantState): boolean =>
  mode === 'stopped' && noWorkerForMs === null;

/** Where the line is stopped, its reason says it. */
function slow(fleet: Fleet, state: TenantState): string[] {
  const stands = standsStill(fleet, state);
  return state.work
    .filter((one) => (one.stale ? !stands : one.slow !== null))
    .map((one) => `${one.activity} ${one.stale ? how(one, false) : `slow: ${one.slow}`}`);
}

/** Text of what stands still when no worker is left. */
export const noWorker = (silentMs: Milliseconds | null): string[] =>
  silentMs === null
    ? []
    : [
        `No worker was heard of for ${formatDuration(silentMs)}: nothing moves, and no write is mirrored; start one.`,
      ];

const lateExport = (ms: Milliseconds | null): string[] =>
  ms === null
    ? []
    : [
        `No whole export of histories for ${formatDuration(ms)}: the workers' log says why. Temporal deletes a run when its retention is over; switchback history export writes them by hand.`,
      ];

const tableNotes = (fleet: Fleet): string[] => [
  ...noWorker(fleet.noWorkerForMs),
  ...(fleet.noWorkerForMs === null ? lateExport(fleet.exportLateMs) : []),
  ...fleet.altered.map((change) => `Altered: ${oneLine(change)}. ${ALTERED[fleet.capture]}; see why.`),
  ...fleet.byKey.map((note) => `Note: ${oneLine(note)}.`),
  ...captureLines(fleet),
];

const ALTERED: Readonly<Record<Capture, string>> = {
  triggers: 'Its rows wait in the journal',
  application: 'Nothing of it is copied or compared',
};

const ago = ({ at }: Fleet, since: string): string =>
  formatDuration(Math.max(0, Date.parse(at) - Date.parse(since)));

const journal = ({ capture }: Fleet, { journal: { rows, ageMs } }: TenantState): string =>
  capture === 'application'
    ? 'none'
    : rows === 0
      ? 'empty'
      : `${rows} ${rows === 1 ? 'row' : 'rows'}, ${formatDuration(ageMs)}`;

function copied(backfill: Backfill | null): string {
  if (backfill === null) return 'unknown';
  const { copied: rows, estimated, percent, tables } = backfill;
  if (tables.finished === 0 && rows === 0) return '-';
  const isWhole = tables.finished >= tables.all;
  const share = percent === null ? '' : percent > 100 ? ' (due)' : ` (${percent} %)`;
  return `${rows}${estimated === null || isWhole ? '' : `/${estimated}`}${share}, ${tables.finished}/${tables.all} tables`;
}

const BAR = 12;

/** Where a person looks: scripts read the numbers. */
const bar = ({ isTerminal }: Terminal, backfill: Backfill | null): string =>
  !isTerminal || backfill === null || backfill.percent === null
    ? ''
    : `${barOf(backfill.percent / 100, BAR)} `;

const eta = (backfill: Backfill | null): string =>
  backfill?.etaMs == null || backfill.tables.finished === backfill.tables.all
    ? '-'
    : formatDuration(Math.max(1_000, Math.round(backfill.etaMs / 1_000) * 1_000));

/** How many of all are there, and who needs somebody. */
function summary({ tenants: rows, notStarted }: Fleet): string {
  // The shared tables are at their end in shadow.
  const tenants = rows.filter(({ tenant }) => tenant !== SHARED);
  const all = Math.max(1, tenants.length + notStarted.filter((tenant) => tenant !== SHARED).length);
  const ramp = tenants.filter(({ phase }) => phase === 'ramp').length;
  const modes = (['stopped', 'paused', 'waiting', 'running'] as const)
    .map((mode) => [mode, tenants.filter((state) => state.mode === mode).length] as const)
    .filter(([, count]) => count > 0)
    .map(([mode, count]) => `${count} ${mode}`);
  return `${barOf(ramp / all, BAR * 2)} ${ramp} of ${all} tenants in ramp; ${modes.join(', ')}`;
}

function speed(backfill: Backfill | null): string {
  if (backfill?.rowsPerSecond == null || backfill.tables.finished === backfill.tables.all) return '';
  const eta =
    backfill.etaMs === null
      ? ''
      : backfill.etaMs <= 0
        ? ', due'
        : `, ${formatDuration(backfill.etaMs)} to go`;
  return `, ${backfill.rowsPerSecond} rows/s${eta}`;
}

/** Of the work that is under way, with the pace that holds it. */
function rate({ work, pace, reconcilePace }: TenantState): string {
  const paces: Readonly<Record<Work['activity'], number | null>> = {
    backfill: pace,
    reconcile: reconcilePace,
  };
  const rates = work
    .filter(({ stale }) => !stale)
    .map(({ activity, rowsPerSecond }) => {
      const most = paces[activity];
      return `${rowsPerSecond}${most === null ? '' : ` (at most ${most})`}`;
    });
  return rates.join(', ') || '-';
}

/** Left out one after the other where a terminal is too narrow, so that the reason can be read. */
const SPARED = ['EPOCH', 'ROWS/S', 'CLEAN', 'JOURNAL', 'NODES', 'STAGE', 'ETA', 'SINCE', 'COPIED'];
const REASON_MIN = 30;

/** The reason is the last column, and gets what the others leave: on a terminal it must not wrap the table. */
function fitting(
  { width }: Terminal,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const spared = new Set<string>();
  for (;;) {
    const kept = head.flatMap((name, at) => (spared.has(name) ? [] : [at])).slice(0, -1);
    const others = aligned(
      kept.map((at) => head[at]!),
      rows.map((row) => kept.map((at) => row[at]!)),
    );
    const left = width - Math.max(...others.map((line) => stripVTControlCharacters(line).length)) - 2;
    const next = SPARED.find((name) => !spared.has(name));
    if (left < REASON_MIN && next !== undefined) {
      spared.add(next);
      continue;
    }
    return aligned(
      [...kept.map((at) => head[at]!), head.at(-1)!],
      rows.map((row) => [...kept.map((at) => row[at]!), clip(row.at(-1)!, Math.max(left, REASON_MIN))]),
    );
  }
}

const clip = (text: string, width: number): string =>
  text.length > width ? `${text.slice(0, width - 1)}…` : text;
