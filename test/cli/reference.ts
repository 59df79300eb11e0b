/** docs/cli.md, from the table of commands, the exit codes and the shapes of `--json`. */
import { z } from 'zod';

import { COMMANDS, GLOBAL_OPTIONS, type CommandRow, type OptionRow } from '../../src/cli/commands.ts';
import { WHO } from '../../src/cli/command-row.ts';
import { EXITS } from '../../src/cli/exit.ts';
import { DRY_RUN_SHAPE, ERROR_SHAPE, SHAPES } from './shapes.ts';

const cell = (text: string): string => text.replaceAll('|', String.raw`\|`).replaceAll('\n', ' ');
const code = (text: string): string => `\`${text}\``;

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n');

const options = (rows: readonly OptionRow[]): string =>
  table(['option', 'does'], rows.map(({ flags, does }) => [code(flags), does])); // prettier-ignore

/** What a verb is about: its group, or what it takes. */
const nounOf = ({ name, args }: CommandRow): string =>
  name.includes(' ') ? name.split(' ')[0]! : args.some((arg) => arg.includes('tenant')) ? 'tenant' : 'alone';

const NOUNS = ['plan', 'tenant', 'fleet', 'drift', 'flags', 'history', 'alone'];

function matrix(): string {
  const verbs = [...new Set(COMMANDS.map(({ name }) => name.split(' ').at(-1)!))];
  const nouns = [...new Set([...NOUNS, ...COMMANDS.map(nounOf)])];
  const rows = verbs.map((verb) => [
    code(verb),
    ...nouns.map((noun) => {
      const row = COMMANDS.find((one) => one.name.split(' ').at(-1) === verb && nounOf(one) === noun);
      return row === undefined ? '' : `[${row.name}](#${anchor(row)})`;
    }),
  ]);
  return table(['verb', ...nouns], rows);
}

const anchor = ({ name }: CommandRow): string => `switchback-${name.toLowerCase().replaceAll(' ', '-')}`;

const isChange = (row: CommandRow): boolean => WHO.every((option) => row.options.includes(option));

/** A shape as one reads it: `{ "tenant": text, "reason": text | null }`. */
function shown(schema: JsonSchema, depth = 0): string {
  if (Array.isArray(schema.type))
    return schema.type.map((type: string) => shown({ ...schema, type }, depth)).join(' | ');
  if (schema.anyOf !== undefined) return schema.anyOf.map((one) => shown(one, depth)).join(' | ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.type === 'array') return `[ ${shown(schema.items!, depth)}, … ]`;
  if (schema.type === 'object') return shownObject(schema, depth);
  if (schema.format === 'date-time') return 'time';
  return TYPES[String(schema.type)] ?? 'any';
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  boolean: 'true | false',
  number: 'number',
  null: 'null',
};

function shownObject({ properties = {}, required = [] }: JsonSchema, depth: number): string {
  const fields = Object.entries(properties).map(
    ([name, schema]) => `"${name}"${required.includes(name) ? '' : '?'}: ${shown(schema, depth + 1)}`,
  );
  if (fields.length === 0) return '{ … }';
  const line = `{ ${fields.join(', ')} }`;
  if (line.length + depth * 2 <= 100 && !line.includes('\n')) return line;
  const indent = '  '.repeat(depth + 1);
  return `{\n${fields.map((field) => `${indent}${field}`).join(',\n')}\n${'  '.repeat(depth)}}`;
}

interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly format?: string;
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
}

const shape = (schema: z.ZodType): string =>
  `\`\`\`text\n${shown(z.toJSONSchema(schema, { unrepresentable: 'any' }) as JsonSchema)}\n\`\`\``;

function verb(row: CommandRow): string {
  const { name, alias, args, does, summary, examples } = row;
  const own = row.options.filter((option) => !WHO.includes(option));
  const shapes = SHAPES[name] ?? [];
  return [
    `### switchback ${name}`,
    [code(['switchback', alias ?? name, ...args].join(' ')), ...(alias === undefined ? [] : [`(also ${code(name)})`])].join(' '),
    does ?? summary,
    ...(own.length === 0 ? [] : [options(own)]),
    ...(isChange(row) ? ['A change: takes `--reason`, `--actor` and `--dry-run` too.'] : []),
    `\`\`\`sh\n${examples.map((example) => `switchback ${example}`).join('\n')}\n\`\`\``,
    ...shapes.flatMap((one) => [`\`--json\`${one.when === undefined ? '' : ` ${one.when}`} prints`, shape(one.shape)]),
  ].join('\n\n'); // prettier-ignore
}

export const reference = (): string =>
  [
    '# The `switchback` command',
    'Made from the table of commands by `UPDATE_GOLDEN=1 npm test -- test/cli/reference.test.ts`; a test holds it to that table, and what `--json` prints to the shapes below.',
    '## Verbs and nouns',
    matrix(),
    '## Options of every command',
    options(GLOBAL_OPTIONS),
    '## Options of every change',
    'Who changed something and why is kept in the audit. On a terminal a missing reason is asked for; elsewhere it is an error (exit 2) and nothing is changed.',
    options(WHO),
    '## Exit codes',
    table(['code', 'kind', 'means'], Object.entries(EXITS).map(([kind, { code: number, means }]) => [String(number), code(kind), means])),
    '## Environment',
    table(['variable', 'is'], ENVIRONMENT.map(([name, is]) => [code(name), is])),
    '## Words at a Tab',
    '`source <(switchback completion bash)` in `~/.bashrc`; `source <(switchback completion zsh)` after `compinit` in `~/.zshrc`; `switchback completion fish | source` in `~/.config/fish/config.fish`. Verbs, options and what they take come from the table of commands, tenants and waves from the plan (`--plan`, else `SWITCHBACK_PLAN`, else `./switchback.yaml`); no server is asked.',
    '## JSON',
    'With `--json` a command prints one object in one line on standard output, and nothing on standard error but notes. Fields are only ever added: read them by name. `next` holds the commands to type next. `time` is ISO 8601 in UTC; a `?` marks a field that may be missing. What watches (`status --watch`, `flags watch`) prints one such object for each change.',
    'An error is printed as',
    shape(ERROR_SHAPE),
    '`--dry-run` of any verb prints as below: `changes` is what would be another, `sends` what would go to Temporal, `blocks` why it would be refused (then the exit code is not 0), `waits` what would hold what follows from it. `tenant` is null where it concerns them all.',
    shape(DRY_RUN_SHAPE),
    '## Each verb',
    ...COMMANDS.map(verb),
    '',
  ].join('\n\n').trimEnd() + '\n'; // prettier-ignore

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ['SWITCHBACK_PLAN', 'the plan file, where `--plan` is not given'],
  ['SWITCHBACK_ACTOR', 'who you are: set by your single sign-on; else the user of this machine'],
  ['TEMPORAL_ADDRESS, TEMPORAL_…', 'as the `temporal` command reads them'],
  ['NO_COLOR', 'no colours, whatever else is said'],
  ['FORCE_COLOR', 'colours although nobody looks; 0 for none'],
  ['what the plan names', 'addresses of the databases and of Redis (`urlEnv`)'],
];
