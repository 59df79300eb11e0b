/** `verify`: the evidence of the latest passes; with `--full`, a comparison of every row that trusts none of it. */
import { tablesOf } from '../db/backfill.ts';
import { compareTable, type Compared } from '../db/compare.ts';
import { readPassDrift, readPasses, readPassTables, readWindows } from '../db/pass-evidence.ts';
import { loadTracked, type Pair } from '../db/tracked.ts';
import type { Handler } from './commands.ts';
import type { Context } from './context.ts';
import { keyText } from './keys-text.ts';
import { Progress } from './progress.ts';
import type { Outcome } from './terminal.ts';
import { comparedLines, evidenceLines, type Verified } from './verify-text.ts';

const PASSES = 10;
const WINDOWS = 1_000;
const NAMED = 20;

export const run: Handler = async (context, input) => {
  const { tenant } = input;
  await context.tenant(tenant);
  const pair = await context.pair();
  return input.has('full')
    ? compareAll(context, pair, tenant, input.count('keys') ?? NAMED)
    : showEvidence(context, pair, tenant);
};

async function showEvidence(context: Context, pair: Pair, tenant: string): Promise<Outcome> {
  const passes = await readPasses(pair, tenant, PASSES);
  const latest = passes.find(({ endedAt }) => endedAt !== null) ?? passes[0];
  const [tables, windows, drift] =
    latest === undefined
      ? [[], [], []]
      : await Promise.all([
          readPassTables(pair, latest.id),
          readWindows(pair, latest.id, WINDOWS),
          readPassDrift(pair, latest.id),
        ]);
  const evidence = { tenant, passes, latest: latest?.id ?? null, tables, windows, drift };
  const drifted = drift.length > 0;
  return {
    data: evidence,
    lines: evidenceLines(evidence),
    next: drifted ? [context.line('drift', 'list', tenant)] : [context.line('verify', tenant, '--full')],
  };
}

async function compareAll(context: Context, pair: Pair, tenant: string, named: number): Promise<Outcome> {
  const tracked = await loadTracked(pair);
  const tables = tablesOf(tracked, tenant);
  const estimates = await readEstimates(pair, tenant);
  const progress = new Progress(context.terminal);
  const { signal } = context.stopping;
  const started = Date.now();
  const done: Compared[] = [];
  try {
    for (const table of tables) {
      if (signal.aborted) break;
      const before = done.reduce((sum, { sourceRows }) => sum + sourceRows, 0);
      const left = named - done.reduce((sum, { rows }) => sum + rows.length, 0);
      const compared = await compareTable(pair, tracked, {
        tenant,
        table,
        named: Math.max(0, left),
        progress: ({ sourceRows }) =>
          progress.show({ what: table.table.name, rows: before + sourceRows, of: estimates }),
        signal,
      });
      const { table: definition } = table;
      done.push({
        ...compared,
        rows: compared.rows.map((row) => ({ ...row, key: keyText(definition, row.key) })),
      });
    }
  } finally {
    progress.end();
  }
  const differs = done.some(({ missing, extra, different }) => missing + extra + different > 0);
  const complete = done.length === tables.length && done.every(({ finished }) => finished);
  const result = !complete ? 'ended' : differs ? 'differs' : 'equal';
  const verified: Verified = { tenant, result, tookMs: Date.now() - started, tables: done };
  return {
    data: { ...verified },
    lines: comparedLines(verified, tables.length),
    next: differs ? [context.line('why', tenant)] : [],
    kind: differs ? 'drift' : complete ? 'ok' : 'interrupted',
  };
}

/** Rows of the latest finished pass: free, and close. */
async function readEstimates(pair: Pair, tenant: string): Promise<number | null> {
  const passes = await readPasses(pair, tenant, PASSES);
  const rows = passes.find(({ endedAt }) => endedAt !== null)?.rows ?? 0;
  return rows === 0 ? null : rows;
}
