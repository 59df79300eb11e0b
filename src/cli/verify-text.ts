/** `verify` as text. */
import { formatDuration } from '../domain/duration.ts';
import type { Compared } from '../db/compare.ts';
import type { PassDrift, PassRecord, PassTable, WindowRecord } from '../db/pass-evidence.ts';
import { grouped } from './progress.ts';
import { aligned } from './status-text.ts';
import { oneLine } from './terminal.ts';

export interface EvidenceData {
  readonly tenant: string;
  readonly passes: readonly PassRecord[];
  /** The pass that `tables`, `windows` and `drift` are of. */
  readonly latest: number | null;
  readonly tables: readonly PassTable[];
  readonly windows: readonly WindowRecord[];
  readonly drift: readonly PassDrift[];
}

export function evidenceLines({ tenant, passes, latest, tables, drift }: EvidenceData): string[] {
  if (latest === null) return [`${oneLine(tenant)}: no reconcile pass yet.`];
  return [
    `${oneLine(tenant)}: the latest reconcile passes`,
    ...aligned(
      [
        'PASS',
        'STARTED',
        'TOOK',
        'WINDOWS',
        'ROWS',
        'SUSPECTS',
        'IN FLIGHT',
        'REPAIRED',
        'DRIFTED',
        'RESULT',
      ],
      passes.map((pass) => [
        String(pass.id),
        pass.startedAt,
        pass.endedAt === null
          ? '-'
          : formatDuration(Math.max(0, Date.parse(pass.endedAt) - Date.parse(pass.startedAt))),
        ...[pass.windows, pass.rows, pass.suspects, pass.inFlight, pass.repaired, pass.drifted].map(grouped),
        resultOf(pass),
      ]),
    ),
    '',
    `Pass ${latest} by table`,
    ...aligned(
      [
        'TABLE',
        'WINDOWS',
        'DIFFERED',
        'SOURCE ROWS',
        'TARGET ROWS',
        'SOURCE DIGEST',
        'TARGET DIGEST',
        'EXECUTOR',
      ],
      tables.map((row) => [
        row.table,
        grouped(row.windows),
        grouped(row.differingWindows),
        grouped(row.sourceRows),
        grouped(row.targetRows),
        row.sourceDigest,
        row.targetDigest,
        row.executors.join(', '),
      ]),
    ),
    ...drift.map(
      ({ table, class: kind, found, kept }) =>
        `${table}: ${grouped(found)} ${kind}${kept < found ? `, ${grouped(kept)} of them newly on record` : ''}`,
    ),
  ];
}

const resultOf = ({ endedAt, clean }: PassRecord): string =>
  endedAt === null ? 'under way' : clean === true ? 'clean' : 'not clean';

export interface Verified {
  readonly tenant: string;
  /** `ended`: by Ctrl-C, before every row was read. */
  readonly result: 'equal' | 'differs' | 'ended';
  readonly tookMs: number;
  readonly tables: readonly Compared[];
}

// prettier-ignore
const RESULTS: Readonly<Record<Verified['result'], string>> = {
  equal:   'Equal: every row was read on both sides and compared by value.',
  differs: 'The sides differ.',
  ended:   'Ended early: what was not read yet is not compared.',
};

export function comparedLines({ tenant, result, tookMs, tables }: Verified, all: number): string[] {
  const differing = tables.flatMap(({ table, rows }) => rows.map((row) => ({ table, ...row })));
  const total = tables.reduce((sum, row) => sum + row.missing + row.extra + row.different, 0);
  return [
    `${oneLine(tenant)}: ${tables.length} of ${all} tables read on both sides in ${formatDuration(tookMs)}`,
    ...aligned(
      ['TABLE', 'SOURCE', 'TARGET', 'EQUAL', 'IN FLIGHT', 'MISSING', 'EXTRA', 'DIFFERENT'],
      tables.map((row) => [
        row.table,
        ...[
          row.sourceRows,
          row.targetRows,
          row.equal,
          row.inFlight,
          row.missing,
          row.extra,
          row.different,
        ].map(grouped),
      ]),
    ),
    ...differing.map(
      ({ table, key, class: kind, columns }) =>
        `  ${table} ${oneLine(key)}: ${kind}${columns.length === 0 ? '' : ` in ${columns.join(', ')}`}`,
    ),
    ...(total > differing.length ? [`  and ${grouped(total - differing.length)} more`] : []),
    RESULTS[result],
  ];
}
