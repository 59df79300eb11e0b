/** What one row of the table of commands says, and the options that many rows share. */
import type { Context } from './context.ts';
import type { Input } from './input.ts';
import type { Outcome } from './terminal.ts';

export type Handler = (context: Context, input: Input) => Promise<Outcome>;

export interface OptionRow {
  readonly flags: string;
  readonly does: string;
  readonly parse?: (text: string) => unknown;
}

export interface Loaded {
  readonly run: Handler;
  /** Of every row that takes `--dry-run`: the same questions, and no change. */
  readonly dryRun?: Handler;
}

export interface CommandRow {
  /** One word, or a group and a word. */
  readonly name: string;
  readonly alias?: string;
  readonly group: string;
  readonly args: readonly string[];
  readonly options: readonly OptionRow[];
  readonly summary: string;
  /** Longer, for the command's own help. */
  readonly does?: string;
  readonly examples: readonly string[];
  /** Runs until Ctrl-C, which ends it well. */
  readonly lasts?: boolean;
  readonly load: () => Promise<Loaded>;
}

/** Every change carries them, and can be looked at before it is made. */
export const WHO: readonly OptionRow[] = [
  { flags: '--reason <text>', does: 'Why; kept in the audit. Required; asked for on a terminal.' },
  { flags: '--actor <name>', does: 'Who; default $SWITCHBACK_ACTOR, else the user of this machine.' },
  {
    flags: '--dry-run',
    does: 'Say what would change, what would be sent and what is in the way; change nothing.',
  },
];

export const REQUEST_ID: OptionRow = {
  flags: '--request-id <id>',
  does: 'The same id twice is done once; default a random one.',
};

/** The example of a payload, in what a command says of itself to the Temporal UI. */
export const WITHOUT_PAYLOAD = /: \{"[^}]*\}/;
