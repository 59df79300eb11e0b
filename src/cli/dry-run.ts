/**
 * What a change would do, said without doing it. Every verb that changes something has such a look beside its
 * handler: it asks the same questions, and then prints where the handler would write or send.
 */
import type { Handler } from './command-row.ts';
import type { Context } from './context.ts';
import type { Input } from './input.ts';
import { CliFailure, type ExitKind } from './exit.ts';
import { aligned } from './status-text.ts';
import { oneLine } from './terminal.ts';

/** One fact that would be another. */
export interface Change {
  /** null: it concerns them all. */
  readonly tenant: string | null;
  readonly what: string;
  readonly from: string | null;
  readonly to: string | null;
}

/** One message that would go to Temporal. */
export interface Send {
  readonly to: string;
  readonly as: 'start' | 'update' | 'signal';
  readonly name: string;
  readonly payload: unknown;
}

export interface Statement {
  readonly side: 'source' | 'target';
  readonly statement: string;
}

export interface Preview {
  readonly changes: readonly Change[];
  readonly sends?: readonly Send[];
  readonly sql?: readonly Statement[];
  /** Why it would be refused as things stand, or for whom. */
  readonly blocks?: readonly string[];
  /** It would be taken, but what follows from it waits for this. */
  readonly waits?: readonly string[];
  /** Instead of the command itself. */
  readonly next?: readonly string[];
  /** When something blocks; `refused` unless it is said. */
  readonly kind?: ExitKind;
}

const SHOWN = 40;
const PAYLOAD_SHOWN = 300;

export const dryRunOf =
  (look: (context: Context, input: Input) => Promise<Preview>): Handler =>
  async (context, input) => {
    const preview = await look(context, input).catch(asBlock);
    const { changes, sends = [], sql = [], blocks = [], waits = [], kind = 'refused' } = preview;
    const next = preview.next ?? (blocks.length === 0 ? [context.again()] : []);
    return {
      data: { dryRun: true, changes, sends, sql, blocks, waits },
      lines: [
        ...sql.map(({ side, statement }) => `-- ${side}\n${forClient(statement)}`),
        ...[
          'Dry run: nothing was changed.',
          ...section('Would run', sql.length === 0 ? [] : [`the ${sql.length} statements above`]),
          ...section('Would change', sql.length > 0 ? [] : changeLines(changes)),
          ...section('Would send', cut(sends.map(sendLine))),
          ...section('In the way', cut(blocks)),
          ...section('Would then wait for', cut(waits)),
        ].map((line) => (sql.length === 0 ? line : `-- ${line}`)), // the mysql client takes it all
      ],
      next,
      kind: blocks.length > 0 ? kind : 'ok',
    };
  };

/** A refusal is what a dry run is asked for; whatever else went wrong is said as always. */
function asBlock(error: unknown): Preview {
  if (!(error instanceof CliFailure) || error.kind !== 'refused') throw error;
  return { changes: [], blocks: [error.message], next: error.next };
}

const section = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`)];

const cut = (lines: readonly string[]): string[] => [
  ...lines.slice(0, SHOWN).map(oneLine),
  ...(lines.length > SHOWN ? [`and ${lines.length - SHOWN} more`] : []),
];

function changeLines(changes: readonly Change[]): string[] {
  if (changes.length === 0) return ['nothing'];
  const rows = changes
    .slice(0, SHOWN)
    .map(({ tenant, what, from, to }) => [
      tenant === null ? '(all)' : oneLine(tenant),
      what,
      `${oneLine(from ?? 'none')} → ${oneLine(to ?? 'none')}`,
    ]);
  const more = changes.length > SHOWN ? [`and ${changes.length - SHOWN} more`] : [];
  // Without its head.
  return [...aligned(['', '', ''], rows).slice(1), ...more];
}

function sendLine({ to, as, name, payload }: Send): string {
  const text = JSON.stringify(payload);
  const given = text.length > PAYLOAD_SHOWN ? 'the plan (--json shows all of it)' : text;
  return `${as} ${name} ${as === 'start' ? 'as' : 'to'} ${to} with ${given}`;
}

/** As the mysql client takes it: the body of a trigger holds semicolons. */
const forClient = (statement: string): string =>
  statement.includes(';') ? `DELIMITER $$\n${statement}$$\nDELIMITER ;` : `${statement};`;
