/** What a demo run came to: one table for a reader, one file for a program, and the exit code. */
import { writeFile } from 'node:fs/promises';

import Table from 'cli-table3';

import type { LatencyRow } from './latencies.ts';

export interface DemoReport {
  readonly acknowledgedWrites: number;
  readonly lostWrites: number;
  readonly failedRequests: number;
  readonly requests: number;
  readonly rowsCompared: number;
  readonly rowsDiffering: number;
  readonly flips: readonly Timed[];
  readonly rollbacks: readonly Timed[];
  readonly drift: { readonly found: number; readonly injected: number };
  /** Events in each tenant's history. */
  readonly temporalEvents: Readonly<Record<string, number>>;
  readonly seconds: number;
}

export interface Timed {
  readonly tenant: string;
  readonly ms: number;
}

/** Everything that must hold at the end, with the sentence that says it did not. */
const CLAIMS: readonly { readonly holds: (report: DemoReport) => boolean; readonly otherwise: string }[] = [
  { holds: ({ lostWrites }) => lostWrites === 0, otherwise: 'an acknowledged write was lost' },
  { holds: ({ failedRequests }) => failedRequests === 0, otherwise: 'a request failed' },
  { holds: ({ rowsDiffering }) => rowsDiffering === 0, otherwise: 'source and target differ' },
  { holds: ({ drift }) => drift.found >= drift.injected, otherwise: 'injected drift was not found' },
  {
    holds: ({ acknowledgedWrites, rowsCompared }) => acknowledgedWrites > 0 && rowsCompared > 0,
    otherwise: 'nothing was written or compared',
  },
];

/** @returns what went wrong; nothing: exit code 0 */
export const whatFailed = (report: DemoReport): string[] =>
  CLAIMS.filter(({ holds }) => !holds(report)).map(({ otherwise }) => otherwise);

export const writeReport = (path: string, report: DemoReport): Promise<void> =>
  writeFile(path, `${JSON.stringify(report, null, 2)}\n`);

/** @param latencies of the load, if they shall be shown below */
export function formatReport(report: DemoReport, latencies: readonly LatencyRow[] = []): string {
  const outcome = new Table({
    head: ['', 'count', 'of'],
    style: { head: [], border: [] },
    colAligns: ['left', 'right', 'right'],
  });
  outcome.push(
    ['acknowledged writes lost', count(report.lostWrites), count(report.acknowledgedWrites)],
    ['requests failed', count(report.failedRequests), count(report.requests)],
    ['rows that differ', count(report.rowsDiffering), count(report.rowsCompared)],
    ['injected drifts found', count(report.drift.found), count(report.drift.injected)],
    ...report.flips.map(({ tenant, ms }) => [`flip of ${tenant}`, `${Math.round(ms)} ms`, '']),
    ...report.rollbacks.map(({ tenant, ms }) => [`rollback of ${tenant}`, `${Math.round(ms)} ms`, '']),
    ...Object.entries(report.temporalEvents).map(([tenant, events]) => [
      `history of ${tenant}`,
      `${count(events)} events`,
      '',
    ]),
    ['time', `${Math.round(report.seconds)} s`, ''],
  );
  return latencies.length === 0 ? outcome.toString() : `${outcome.toString()}\n${formatLatencies(latencies)}`;
}

function formatLatencies(rows: readonly LatencyRow[]): string {
  const table = new Table({
    head: ['stage', 'kind', 'requests', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms'],
    style: { head: [], border: [] },
    colAligns: ['left', 'left', 'right', 'right', 'right', 'right', 'right'],
  });
  for (const { stage, kind, count: n, p50, p95, p99, max } of rows)
    table.push([stage, kind, count(n), p50, p95, p99, max].map(String));
  return table.toString();
}

const count = (n: number): string => n.toLocaleString('en-US');
