/** Builds the commander program from the table of commands, runs one, and turns whatever happens into an exit code. */
import { readFileSync } from 'node:fs';

import { Command, CommanderError, Option } from 'commander';

import {
  COMMANDS,
  GLOBAL_OPTIONS,
  GROUP_SUMMARIES,
  HELP_AFTER,
  type CommandRow,
  type Handler,
  type OptionRow,
} from './commands.ts';
import { Context } from './context.ts';
import { CliFailure, EXITS } from './exit.ts';
import { explain } from './faults.ts';
import { Input } from './input.ts';
import { suggestions } from './suggestions.ts';
import { oneLine, Terminal, type Streams } from './terminal.ts';

interface Chosen {
  readonly row: CommandRow;
  readonly input: Input;
}

export async function main(argv: readonly string[], streams: Streams): Promise<number> {
  const terminal = new Terminal(streams, argv.includes('--json'));
  const words = withHelp(argv);
  const chosen = await choose(words, terminal);
  if (typeof chosen === 'number') return chosen;
  const context = new Context(terminal, streams.env, { command: chosen.row.name, argv }, chosen.input);
  const stop = (): void => {
    // The second Ctrl-C does not wait.
    if (context.stopping.signal.aborted) process.exit(130);
    context.stopping.abort();
    if (!chosen.row.lasts) process.exit(130);
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  try {
    const outcome = await (await handlerOf(chosen))(context, chosen.input);
    terminal.show(outcome);
    return EXITS[outcome.kind ?? 'ok'].code;
  } catch (error) {
    return fail(terminal, explain(error, context));
  } finally {
    await context.close();
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

/** `help`, `help rollback` and `fleet help` are asked for as often as `--help`. */
function withHelp(argv: readonly string[]): readonly string[] {
  if (argv.length === 0) return ['--help'];
  const at =
    argv[0] === 'help' ? 0 : argv.length === 2 && argv[1] === 'help' && GROUPS.includes(argv[0]!) ? 1 : -1;
  return at < 0 ? argv : [...argv.filter((_, place) => place !== at), '--help'];
}

/** A verb without a look of its own is not run instead. */
async function handlerOf({ row, input }: Chosen): Promise<Handler> {
  const { run, dryRun } = await row.load();
  if (!input.has('dryRun')) return run;
  if (dryRun === undefined) throw new CliFailure('usage', `${row.name} has no dry run`);
  return dryRun;
}

function fail(terminal: Terminal, failure: CliFailure): number {
  terminal.fail(failure);
  return EXITS[failure.kind].code;
}

/** @returns an exit code when there is nothing to run: help was shown, or the words are wrong. */
async function choose(words: readonly string[], terminal: Terminal): Promise<Chosen | number> {
  let chosen: Chosen | null = null;
  const program = build(terminal, (row, input) => void (chosen = { row, input }));
  try {
    await program.parseAsync([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0;
    return fail(terminal, new CliFailure('usage', complaint(error, words)));
  }
  return chosen ?? 0;
}

/** Commander's own words, as one line that says where to look. */
function complaint({ code, message }: CommanderError, words: readonly string[]): string {
  const group = GROUPS.find((name) => words.includes(name));
  if (code === 'commander.help' && group !== undefined) {
    const known = COMMANDS.filter(({ name }) => name.startsWith(`${group} `)).map(({ name }) => name);
    return `${group} needs a second word: ${known.join(', ')}`;
  }
  if (code === 'commander.help') return 'name a command; see switchback --help';
  const unknown = code === 'commander.unknownCommand' ? /'(.*)'/s.exec(message)?.[1] : undefined;
  if (unknown !== undefined) return sayUnknown(unknown, group ?? null);
  const invalid = /^error: option '(--[\w-]+).*' argument '(.*)' is invalid\. (.*)$/s.exec(message);
  if (invalid !== null) return `${invalid[1]} '${invalid[2]}' is not valid; ${invalid[3]}`;
  const [first = '', hint] = message.replace(/^error: /, '').split('\n');
  const near = hint === undefined ? null : /Did you mean (?:one of )?(.*)\?/.exec(hint)?.[1];
  const help = `see switchback ${commandOf(words)}--help`;
  return `${first.replace('. E', ': e').replace(/\.$/, '')}; ${near ? `did you mean ${near}?` : help}`;
}

function sayUnknown(word: string, group: string | null): string {
  const typed = group === null ? word : `${group} ${word}`;
  const meant = suggestions(word, group);
  return `unknown command '${oneLine(typed)}'; ${meant.length === 0 ? `see switchback ${group === null ? '' : `${group} `}--help` : `did you mean ${meant.join(', or ')}?`}`;
}

const GROUPS = [
  ...new Set(COMMANDS.filter(({ name }) => name.includes(' ')).map(({ name }) => name.split(' ')[0]!)),
];

function commandOf(words: readonly string[]): string {
  const found = COMMANDS.filter(({ name, alias }) => {
    const [first, second] = name.split(' ');
    const typed = words.includes(first!) || (alias !== undefined && words.includes(alias));
    return typed && (second === undefined || words.includes(second));
  }).at(-1);
  return found === undefined ? '' : `${found.name} `;
}

export function build(terminal: Terminal, choose: (row: CommandRow, input: Input) => void): Command {
  const program = new Command('switchback')
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureOutput({
      writeOut: (text) => terminal.raw(text),
      // Complaints come back as errors, and are said in our own words.
      writeErr: () => {},
      getOutHelpWidth: () => Math.min(terminal.width, 110),
      getOutHasColors: () => false,
    })
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .description('Moves tenants from MySQL to Aurora MySQL, one by one, with a tested way back.')
    .version(version(), '--version', 'Print the version.')
    .helpOption('--help', 'Show help; every command has its own, with examples.')
    .helpCommand(false)
    .addHelpText('after', HELP_AFTER);
  for (const option of GLOBAL_OPTIONS) program.addOption(toOption(option));
  for (const row of COMMANDS) addCommand(program, row, choose);
  return program;
}

function addCommand(
  program: Command,
  row: CommandRow,
  choose: (row: CommandRow, input: Input) => void,
): void {
  const path = row.name.split(' ');
  const parent = path.length === 1 ? program : parentOf(program, path[0]!, row.group);
  const last = path.at(-1)!;
  const command = parent
    .command([last, ...row.args].join(' '))
    .summary(row.summary)
    .description(row.does ?? row.summary)
    .helpOption('--help', 'Show this help.')
    .helpGroup(row.group);
  if (row.alias !== undefined) command.alias(row.alias);
  for (const option of row.options) command.addOption(toOption(option));
  const examples = row.examples.map((example) => `  switchback ${example}`).join('\n');
  command.addHelpText('after', `\nExamples:\n${examples}`);
  command.action(() => choose(row, new Input(command.args, command.optsWithGlobals())));
}

function parentOf(program: Command, name: string, group: string): Command {
  return (
    program.commands.find((command) => command.name() === name) ??
    program
      .command(name)
      .summary(GROUP_SUMMARIES[name] ?? '')
      .description(GROUP_SUMMARIES[name] ?? '')
      .helpOption('--help', 'Show this help.')
      .helpCommand(false)
      .helpGroup(group)
  );
}

function toOption({ flags, does, parse }: OptionRow): Option {
  const option = new Option(flags, does);
  return parse === undefined ? option : option.argParser(parse);
}

/** Beside the sources, or one folder higher when built. */
function version(): string {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string })
        .version;
    } catch {
      continue; // the other layout
    }
  }
  return 'unknown';
}
