/** Drift of one tenant or of all, as reconcile recorded it. */
import { findDrift } from '../db/pass-evidence.ts';
import { loadTracked } from '../db/tracked.ts';
import type { Handler } from './commands.ts';
import { lineOf, stateOf, type DriftShown } from './drift-text.ts';
import { aligned } from './status-text.ts';
import { oneLine } from './terminal.ts';

const LISTED = 1_000;
const PRINTED = 100;

export const run: Handler = async (context, input) => {
  const tenant = input.word(0);
  if (tenant !== null) await context.tenant(tenant);
  const pair = await context.pair();
  const all = input.has('all');
  const [tracked, { total, rows }] = await Promise.all([
    loadTracked(pair),
    findDrift(pair, { tenant, id: null, openOnly: !all, limit: LISTED }),
  ]);
  const drift = rows.map((row) => lineOf(tracked, row));
  const first = drift[0];
  return {
    data: { tenant, total, drift },
    lines: lines(drift, total, all),
    next: first === undefined ? [] : [context.line('drift', 'show', String(first.id))],
  };
};

function lines(drift: readonly DriftShown[], total: number, all: boolean): string[] {
  if (drift.length === 0) return [all ? 'No drift was ever found.' : 'No open drift.'];
  const printed = drift.slice(0, PRINTED);
  return [
    ...aligned(
      ['ID', 'TENANT', 'TABLE', 'KEY', 'CLASS', 'COLUMNS', 'FOUND', 'STATE'],
      printed.map((row) => [
        String(row.id),
        oneLine(row.tenant),
        row.table,
        oneLine(row.key),
        `${row.class}${row.recurred ? ' again' : ''}`,
        row.columns.join(', ') || '-',
        row.foundAt,
        stateOf(row),
      ]),
    ),
    ...(total > printed.length ? [`and ${total - printed.length} more; --json lists up to ${LISTED}`] : []),
  ];
}
