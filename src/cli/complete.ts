/**
 * What a shell offers at a Tab: `switchback complete SHELL …`, asked by the scripts of `completion.ts`.
 * Everything comes from the table of commands and, for names, from the plan; no server is asked.
 */
import { PHASES } from '../domain/phase.ts';
import { PHASE_GATES } from '../domain/gate.ts';
import { PACED } from '../domain/command.ts';
import { planWords, type PlanWords } from '../plan-words.ts';
import { COMMANDS, GLOBAL_OPTIONS, GROUP_SUMMARIES, type CommandRow, type OptionRow } from './commands.ts';
import { SHELLS, type Shell } from './completion.ts';
import { typedLine } from './typed-line.ts';

export interface Candidate {
  readonly word: string;
  readonly does: string;
}

/** The shell completes the names of files itself. */
export const FILES = 'files';

type Env = Readonly<Record<string, string | undefined>>;

/** What is asked for by its placeholder, in arguments and options alike. */
// prettier-ignore
const VALUES: Readonly<Record<string, (plan: () => PlanWords) => readonly string[] | typeof FILES>> = {
  tenant: (plan) => plan().tenants,
  tenants: (plan) => plan().tenants,
  wave:   (plan) => plan().waves,
  plan:   (plan) => [plan().name ?? []].flat(),
  phase:  () => Object.keys(PHASES),
  gate:   () => [...new Set(Object.values(PHASE_GATES).flat())],
  work:   () => PACED,
  shell:  () => SHELLS,
  file:   () => FILES,
  dir:    () => FILES,
};

/** @param words what follows `switchback`, the last one as far as it is typed */
export function candidates(words: readonly string[], env: Env = process.env): Candidate[] | typeof FILES {
  const current = words.at(-1) ?? '';
  const { positional, pending, plan: file } = walk(words.slice(0, -1));
  const names = (): PlanWords => planWords(file ?? (env['SWITCHBACK_PLAN'] || './switchback.yaml'));
  if (pending !== null) return valuesOf(placeholderOf(pending), current, names);
  const assigned = /^(--[\w-]+)=(.*)$/s.exec(current);
  const row = rowOf(positional);
  if (assigned !== null) {
    const option = optionsOf(row).find(({ flags }) => flags.startsWith(`${assigned[1]} <`));
    const values = option === undefined ? [] : valuesOf(placeholderOf(option), assigned[2]!, names);
    return values === FILES
      ? FILES
      : values.map(({ word, does }) => ({ word: `${assigned[1]}=${word}`, does }));
  }
  if (current.startsWith('-')) return optionWords(row, words).filter(startsWith(current));
  const next = nextWords(positional).filter(startsWith(current));
  if (row === null) return next;
  const argument = row.args[positional.length - row.name.split(' ').length] ?? lastIfMany(row);
  const values = argument === undefined ? [] : valuesOf(argument.replaceAll(/[^\w]/g, ''), current, names);
  return values === FILES ? FILES : [...next, ...values];
}

interface Walked {
  readonly positional: readonly string[];
  /** The option whose value comes next. */
  readonly pending: OptionRow | null;
  readonly plan: string | null;
}

function walk(words: readonly string[]): Walked {
  const positional: string[] = [];
  let pending: OptionRow | null = null;
  let plan: string | null = null;
  for (const word of words) {
    if (pending !== null) {
      if (pending.flags.startsWith('--plan ')) plan = word;
      pending = null;
    } else if (word.startsWith('--plan=')) plan = word.slice('--plan='.length);
    else if (word.startsWith('-')) pending = takesValue(rowOf(positional), word);
    else positional.push(word);
  }
  return { positional, pending, plan };
}

const takesValue = (row: CommandRow | null, word: string): OptionRow | null =>
  optionsOf(row).find(({ flags }) => flags.startsWith(`${word} <`)) ?? null;

const namesOf = ({ name, alias }: CommandRow): string[] => [name, ...(alias === undefined ? [] : [alias])];

/** `flags watch` before `flags`, whose argument `watch` might be. */
const rowOf = (words: readonly string[]): CommandRow | null =>
  COMMANDS.find((row) => row.name.includes(' ') && row.name === words.slice(0, 2).join(' ')) ??
  COMMANDS.find((row) => namesOf(row).includes(words[0] ?? '')) ??
  null;

const optionsOf = (row: CommandRow | null): readonly OptionRow[] => [
  ...(row?.options ?? []),
  ...GLOBAL_OPTIONS,
];

const placeholderOf = ({ flags }: OptionRow): string => /<([\w-]+)>/.exec(flags)?.[1] ?? '';

const lastIfMany = ({ args }: CommandRow): string | undefined =>
  args.at(-1)?.includes('...') ? args.at(-1) : undefined;

function nextWords(positional: readonly string[]): Candidate[] {
  const found = new Map<string, string>();
  for (const row of COMMANDS)
    for (const name of namesOf(row)) {
      const path = name.split(' ');
      const word = path[positional.length];
      if (word === undefined || positional.some((typed, place) => typed !== path[place])) continue;
      const isWhole = path.length === positional.length + 1;
      if (!found.has(word)) found.set(word, isWhole ? row.summary : (GROUP_SUMMARIES[word] ?? row.summary));
    }
  return [...found].map(([word, does]) => ({ word, does }));
}

function optionWords(row: CommandRow | null, typed: readonly string[]): Candidate[] {
  const help = { word: '--help', does: 'Show help.' };
  return [...optionsOf(row).map(({ flags, does }) => ({ word: flags.split(' ')[0]!, does })), help].filter(
    ({ word }) => !typed.slice(0, -1).includes(word),
  );
}

function valuesOf(placeholder: string, current: string, names: () => PlanWords): Candidate[] | typeof FILES {
  const values = VALUES[placeholder]?.(names) ?? [];
  if (values === FILES) return FILES;
  // A name with a control character can't be typed in a line.
  return [...new Set(values)]
    .filter((word) => !/\p{Cc}/u.test(word))
    .map((word) => ({ word, does: '' }))
    .filter(startsWith(current));
}

const startsWith =
  (current: string) =>
  ({ word }: Candidate): boolean =>
    word.startsWith(current);

/** Bash gives the line, since it cuts words at `:` and `=`; the others give the words. */
export function answer(shell: Shell, given: readonly string[], env: Env = process.env): string[] {
  if (shell !== 'bash') {
    const found = candidates(given, env);
    return found === FILES ? [`:${FILES}`] : found.map(({ word, does }) => `${word}\t${does}`);
  }
  const line = typedLine(given[0] ?? '');
  const found = candidates(line.words.slice(1), env);
  return found === FILES ? [`:${FILES}`] : found.map(({ word }) => line.insert(word));
}

export function complete(
  [shell = '', ...given]: readonly string[],
  write: (text: string) => unknown,
): number {
  if (!(SHELLS as readonly string[]).includes(shell)) return 2;
  write(
    answer(shell as Shell, given)
      .map((line) => `${line}\n`)
      .join(''),
  );
  return 0;
}
