/** One drift in full. Values leave the databases only when asked for, and only to this terminal. */
import { findDrift, type DriftRecord } from '../db/pass-evidence.ts';
import { showRows, type ShownRows } from '../db/row-values.ts';
import { loadTracked, type Pair } from '../db/tracked.ts';
import type { Handler } from './commands.ts';
import type { Context } from './context.ts';
import { inputLines, lineOf, stateLines, type DriftShown } from './drift-text.ts';
import { CliFailure } from './exit.ts';
import { aligned } from './status-text.ts';
import { oneLine } from './terminal.ts';

export const run: Handler = async (context, input) => {
  const { tenant, id } = parse(input.word(0)!);
  const pair = await context.pair();
  const record = await find(context, pair, tenant, id);
  const tracked = await loadTracked(pair);
  const drift = lineOf(tracked, record);
  const rows = input.has('showValues') ? await showRows(pair, tracked, record.tableId, record.key) : null;
  return {
    data: { ...drift, ...(rows === null ? {} : { now: rows }) },
    lines: [...lines(drift), ...(rows === null ? [] : valueLines(rows))],
    next: next(context, drift),
  };
};

/** `12`, `acme#12` or `#12`. A tenant's name may hold a # itself. */
function parse(word: string): { tenant: string | null; id: number } {
  const at = word.lastIndexOf('#');
  const digits = word.slice(at + 1);
  if (!/^[1-9]\d{0,14}$/.test(digits))
    throw new CliFailure('usage', `'${oneLine(word)}' is no drift; give its number, or TENANT#NUMBER`);
  return { tenant: at <= 0 ? null : word.slice(0, at), id: Number(digits) };
}

async function find(context: Context, pair: Pair, tenant: string | null, id: number): Promise<DriftRecord> {
  const { rows } = await findDrift(pair, { tenant, id, openOnly: false, limit: 1 });
  if (rows[0] !== undefined) return rows[0];
  const whose = tenant === null ? 'there is no drift' : `${oneLine(tenant)} has no drift`;
  throw new CliFailure('not-found', `${whose} ${id}`, {
    next: [context.line('drift', 'list', ...(tenant === null ? [] : [tenant]), '--all')],
  });
}

function lines(drift: DriftShown): string[] {
  const { id, tenant, table, key, class: kind, columns, sourceHash, targetHash, foundAt, passId } = drift;
  return [
    `#${id} ${oneLine(tenant)}: ${table} ${oneLine(key)} is ${kind}${drift.recurred ? ', and not the first of its tenant' : ''}`,
    `  found ${foundAt}${passId === null ? '' : ` by pass ${passId}`}`,
    ...(columns.length === 0 ? [] : [`  columns ${columns.join(', ')}`]),
    `  hash on the source ${sourceHash ?? '(no row)'}`,
    `  hash on the target ${targetHash ?? '(no row)'}`,
    ...(drift.inputs === null ? [] : ['', 'The verdict stood on', ...inputLines(drift).map(oneLineKept)]),
    '',
    'Since then',
    ...stateLines(drift),
  ];
}

const oneLineKept = (line: string): string => `  ${oneLine(line)}`;

function valueLines({ sourceRow, targetRow, values }: ShownRows): string[] {
  const cell = (there: boolean, value: string | null): string =>
    there ? oneLine(value ?? 'NULL') : '(no row)';
  return [
    '',
    'Both rows now',
    ...aligned(
      ['  ', 'COLUMN', 'SOURCE', 'TARGET'],
      values.map(({ column, source, target, differs }) => [
        differs ? '  ≠' : '  =',
        column,
        cell(sourceRow, source),
        cell(targetRow, target),
      ]),
    ),
  ];
}

function next(context: Context, { id, tenant, repairedAt, verifiedAt }: DriftShown): string[] {
  if (repairedAt === null)
    return [context.change('repair', tenant, '--drift', String(id)), context.change('retry', tenant)];
  return verifiedAt === null ? [context.line('verify', tenant)] : [];
}
