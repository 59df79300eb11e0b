/**
 * Every command of `switchback`, one row each: what is typed, what it says of itself, and the file that does it.
 * Handlers are loaded when they are chosen, so that `--help` and a typing slip cost no driver.
 */
import { COMMAND_NAMES, COMMANDS as VERBS, PACED, type CommandName } from '../domain/command.ts';
import { GATES } from '../domain/gate.ts';
import { REQUEST_ID, WHO, WITHOUT_PAYLOAD, type CommandRow, type OptionRow } from './command-row.ts';
import { EXITS } from './exit.ts';
import { FLEET_ROWS } from './fleet-commands.ts';
import { HISTORY_ROWS } from './history-commands.ts';
import { buildId, count, oneOf, phase, until } from './input.ts';

export type { Handler, OptionRow, CommandRow } from './command-row.ts';

const PREPARE = 'Prepare:';
const LOOK = 'Look:';
const MOVE = 'Move a tenant:';
const RUN = 'Run and keep:';

export const GLOBAL_OPTIONS: readonly OptionRow[] = [
  { flags: '--plan <file>', does: 'The plan; default $SWITCHBACK_PLAN, else ./switchback.yaml.' },
  { flags: '--json', does: 'Print one JSON object; errors as {"error": {"kind", "code", "message", …}}.' },
];

/** Groups of two words, as the list of commands shows them. */
export const GROUP_SUMMARIES: Readonly<Record<string, string>> = {
  plan: 'Begin, check or apply the plan: plan example, plan check, plan schema, plan apply.',
  fleet: 'Move the waves of the plan, one after the other: fleet start, fleet status, fleet pause …',
  drift: 'Look at drift: drift list, drift show.',
  history: 'Keep what happened, check it, tell it: history export, history verify, history show.',
};

const ORDER: readonly OptionRow[] = [
  ...WHO,
  {
    flags: '--expect-phase <phase>',
    does: 'Refuse when the tenant is in another phase by then.',
    parse: phase,
  },
  REQUEST_ID,
];

interface VerbExtras {
  readonly alias?: string;
  readonly args?: readonly string[];
  readonly options?: readonly OptionRow[];
  readonly more?: string;
  readonly examples: readonly string[];
  readonly load?: CommandRow['load'];
}

// prettier-ignore
const VERB_EXTRAS: Readonly<Record<CommandName, VerbExtras>> = {
  pause: { examples: ['pause acme --reason "month end"'] },
  resume: { examples: ['resume acme --reason "month end is over"'] },
  advance: { examples: ['advance acme --reason "approved in CHG-1042"', 'advance acme --expect-phase ready --reason "approved"'] },
  drill: {
    more: 'The probe of the plan is asked on both sides, as the first time; a new certificate is written, and approvals are asked for again.',
    examples: ['drill acme --reason "its wave is two weeks late"'],
  },
  rollback: {
    args: ['[tenants...]'],
    options: [
      { flags: '--direct', does: 'Flip in the database, though Temporal and Redis be down; the workflow adopts it.' },
      { flags: '--all', does: 'With --direct: every tenant that reads from the target.' },
    ],
    more: 'Then waits until the last application node has followed, and prints how long that took. With --direct it needs nothing but the source: only tenants in read-target are flipped, the others are listed with the reason; their workflows take it up as a stop in shadow.',
    examples: ['rollback acme --reason "errors in the portal"', 'rollback acme globex --direct --reason "Temporal is down"', 'rollback --all --direct --reason "Aurora is slow"'],
    load: () => import('./rollback.ts'),
  },
  retry: { examples: ['retry acme --reason "the row was repaired"'] },
  waive: {
    options: [
      { flags: '--gate <gate>', does: 'The gate, as `why` lists it.', parse: oneOf(Object.keys(GATES)) },
      { flags: '--until <when>', does: 'A time such as 2026-12-01T00:00:00Z, or a duration such as 3d; at most a year ahead.', parse: until },
    ],
    examples: ['waive acme --gate shadow-samples --until 3d --reason "a quiet tenant"'],
  },
  setPace: {
    alias: 'set-pace',
    options: [
      { flags: '--rows-per-second <n>', does: 'Rows a second; 0 removes the limit.', parse: count(0) },
      { flags: '--of <work>', does: 'What is limited: backfill, or reconcile; default backfill.', parse: oneOf(PACED) },
    ],
    examples: ['set-pace acme --rows-per-second 5000 --reason "office hours"', 'set-pace acme --rows-per-second 0 --reason "night"', 'set-pace acme --of reconcile --rows-per-second 9000 --reason "office hours"'],
  },
  abort: { examples: ['abort acme --expect-phase shadow --reason "the tenant leaves us"'] },
};

function verb(name: CommandName): CommandRow {
  const { alias, args, options = [], more, examples, load } = VERB_EXTRAS[name];
  const summary = VERBS[name].does.replace(WITHOUT_PAYLOAD, '').replace('expectPhase', '--expect-phase');
  return {
    name,
    ...(alias === undefined ? {} : { alias }),
    group: MOVE,
    args: args ?? ['<tenant>'],
    options: [...options, ...ORDER],
    summary,
    does: `${summary}${more === undefined ? '' : ` ${more}`}\n\nSent as an update, answered at once; when no worker answers within 3 s, as a signal with the same request id.`,
    examples,
    load:
      load ??
      (() =>
        import('./verb.ts').then(({ verb: run, verbPreview }) => ({
          run: run(name),
          dryRun: verbPreview(name),
        }))),
  };
}

// prettier-ignore
export const COMMANDS: readonly CommandRow[] = [
  {
    name: 'plan check', group: PREPARE, args: [], options: [],
    summary: 'Read the plan and both databases, and list every problem at once.',
    does: 'Read the plan and both databases, and list every problem at once, each with its remedy. Looks at the Temporal cluster too. Changes nothing.',
    examples: ['plan check', 'plan check --plan fleet.yaml --json'],
    load: () => import('./plan-check.ts'),
  },
  {
    name: 'plan example', group: PREPARE, args: [], options: [],
    summary: 'Print a plan to begin with, with comments.',
    does: 'Print a plan to begin with, with comments: write your schemas, tables and tenants in its place, then plan check.',
    examples: ['plan example > switchback.yaml'],
    load: () => import('./plan-example.ts'),
  },
  {
    name: 'plan schema', group: PREPARE, args: [], options: [],
    summary: 'Print the JSON Schema of a plan, for editors.',
    examples: ['plan schema > switchback.schema.json'],
    load: () => import('./plan-schema-print.ts'),
  },
  {
    name: 'plan apply', group: PREPARE, args: ['[tenant]'], options: WHO,
    summary: 'Give running migrations the durations, limits and gates of the plan.',
    does: 'Give running migrations the durations, limits and gates of the plan, and print what changes. All of them, or one tenant.',
    examples: ['plan apply --reason "soak for 5 days"', 'plan apply acme --reason "smaller windows"'],
    load: () => import('./plan-apply.ts'),
  },
  {
    name: 'install', group: PREPARE, args: [],
    options: [
      { flags: '--target-schema', does: "Create missing tables on the target from the source's definitions." },
      ...WHO,
    ],
    summary: 'Install the control schemas and the capture triggers.',
    does: 'Install the control schemas on both sides and the capture triggers on the source. Safe to repeat: puts back what is missing. A table that stays locked is waited for a second at a time, and whoever is in the way is named.',
    examples: ['install --dry-run --target-schema', 'install --target-schema --reason "first install"'],
    load: () => import('./install.ts'),
  },
  {
    name: 'uninstall', group: PREPARE, args: [],
    options: [
      { flags: '--confirm <plan>', does: "The plan's name, typed by hand." },
      { flags: '--force', does: 'Though tenants are on their way: their reads go to the source first, and they start again.' },
      ...WHO,
    ],
    summary: 'Take the capture triggers away. Gives up every tenant on its way.',
    does: 'Take the capture triggers away: from then on writes are journaled no more, the target falls behind, and a tenant needs a new backfill and a new clean pass. The control schemas and all target rows stay.',
    examples: ['uninstall --confirm sms-portal --reason "done"'],
    load: () => import('./uninstall.ts'),
  },
  {
    name: 'status', group: LOOK, args: ['[tenant]'],
    options: [{ flags: '--watch', does: 'Keep looking; redraws on a terminal, prints changes elsewhere.' }],
    summary: 'Where every tenant stands; the stopped ones first.',
    does: "Where every tenant stands, from the source's control schema; the stopped ones first. Needs neither Temporal nor a worker.",
    examples: ['status', 'status acme', 'status --watch', "status --json | jq '.tenants[].phase'"],
    lasts: true,
    load: () => import('./status.ts'),
  },
  {
    name: 'why', group: LOOK, args: ['<tenant>'], options: [],
    summary: 'What blocks a tenant, since when, and the next command.',
    does: 'What blocks a tenant: its gates with the numbers that they see now, since when each is closed and who can clear it, open drift row by row (keys and hashes, never values), the last entries of the audit, and the exact next command.',
    examples: ['why acme', 'why acme --json'],
    load: () => import('./why.ts'),
  },
  {
    name: 'waivers', group: LOOK, args: ['[tenant]'], options: [],
    summary: 'Every gate that was ever opened by decision: who, why, until when.',
    examples: ['waivers', 'waivers acme', "waivers --json | jq '.waivers[] | select(.state == \"standing\")'"],
    load: () => import('./waivers.ts'),
  },
  {
    name: 'drift list', group: LOOK, args: ['[tenant]'],
    options: [{ flags: '--all', does: 'What was repaired too.' }],
    summary: 'Rows that a verdict proved to differ; of one tenant or of all.',
    does: 'Rows that a verdict proved to differ, the latest first: keys and hashes, never values. Open ones; with --all those that were repaired too.',
    examples: ['drift list', 'drift list acme --all', "drift list acme --json | jq '.drift[].key'"],
    load: () => import('./drift-list.ts'),
  },
  {
    name: 'drift show', group: LOOK, args: ['<drift>'],
    options: [{ flags: '--show-values', does: 'Read both rows now and print their values, here only.' }],
    summary: 'One drift: key, columns, hashes, what the verdict stood on, what was done.',
    does: 'One drift, by its number or as TENANT#NUMBER: key, class, columns and hashes, what the verdict stood on, what was done since, and the exact next command. Values are read only with --show-values, and printed here only.',
    examples: ['drift show 12', "drift show 'acme#12' --show-values"],
    load: () => import('./drift-show.ts'),
  },
  {
    name: 'verify', group: LOOK, args: ['<tenant>'],
    options: [
      { flags: '--full', does: 'Read every row on both sides now and compare the values.' },
      { flags: '--keys <n>', does: 'With --full: differing rows that are named; default 20.', parse: count(0) },
    ],
    summary: 'The evidence of the latest passes; with --full every row again.',
    does: 'The evidence of the latest reconcile passes: windows, rows, digests, by which executor. With --full: every row of every table is read on both sides now and compared by value, by code that trusts neither the copy nor the digests. Reads only (SELECT is all it needs) and takes no lock; what is on its way is looked at again. Exit 5 when the sides differ.',
    examples: ['verify acme', 'verify acme --full', "verify acme --full --json | jq '.result'"],
    lasts: true,
    load: () => import('./verify.ts'),
  },
  {
    name: 'report', group: LOOK, args: ['[tenant]'],
    options: [{ flags: '--out <file>', does: 'Where to write; default ./switchback-report.html, with --json nowhere.' }],
    summary: 'Write everything that is known as one HTML page.',
    does: "Write everything that is known of the fleet and its tenants, or of one tenant, as one HTML page that needs no network: phases over time, flips and rollbacks, rows, drift, shadow comparison, read load and latency, gates, waivers, certificates, events. From the source's control schema; with the target or Temporal down it is written all the same, and says what is missing. --json gives the same data.",
    examples: ['report --out report.html', 'report acme --out acme.html', "report acme --json | jq '.tenants[0].flips'"],
    load: () => import('./report.ts'),
  },
  {
    name: 'flags', group: LOOK, args: ['[tenant]'], options: [],
    summary: 'What the application obeys: stages, and which nodes follow.',
    examples: ['flags', 'flags acme', 'flags watch'],
    load: () => import('./flags.ts'),
  },
  {
    name: 'flags watch', group: LOOK, args: [], options: [],
    summary: 'Keep looking at stages and nodes.',
    examples: ['flags watch'],
    lasts: true,
    load: () => import('./flags-watch.ts'),
  },
  {
    name: 'start', group: MOVE, args: ['<tenant>'],
    options: [
      { flags: '--adopt', does: 'Take the tenant up where its record stands, held, after its run was lost, reset or terminated.' },
      ...WHO,
    ],
    summary: "Start a tenant's migration, or take up one whose run is gone.",
    does: "Start a tenant's migration as one Temporal workflow. Shared tables of the plan move first, as the tenant _shared.",
    examples: ['start acme --reason "first wave"', 'start acme --adopt --reason "the run was terminated"'],
    load: () => import('./start.ts'),
  },
  ...COMMAND_NAMES.map(verb),
  {
    name: 'repair', group: MOVE, args: ['<tenant>'],
    options: [
      { flags: '--drift <id>', does: 'One open drift, by the number that `why` shows.', parse: count(1) },
      { flags: '--all', does: 'Every open drift; the default.' },
      ...WHO,
    ],
    summary: 'Mirror drifted rows from the source again.',
    does: "Mirror the rows of open drift from the source again, under the tenant's lock, and mark them repaired. A later pass has to read them equal.",
    examples: ['repair acme --reason "a manual UPDATE on the target"', 'repair acme --drift 12 --reason "seen in review"'],
    load: () => import('./repair.ts'),
  },
  ...FLEET_ROWS,
  {
    name: 'worker', group: RUN, args: [],
    options: [
      { flags: '--data-slots <n>', does: 'Windows that this process copies at once.', parse: count(1) },
      { flags: '--build-id <id>', does: 'Switch worker versioning on: this process is of that build.', parse: buildId },
      { flags: '--set-current', does: 'With --build-id: give the work to this build as soon as the worker is up.' },
      { flags: '--metrics <host:port>', does: "Serve metrics to Prometheus there, under /metrics, Temporal's own too; default $SWITCHBACK_METRICS, else not at all." },
    ],
    summary: 'Run a worker: the workflows, their activities and the mirror loop.',
    does: 'Run a worker: the workflows, their activities and the mirror loop, which goes on while Temporal is down. Start two or more. Ctrl-C or SIGTERM ends it between two windows. With --build-id it says which build of the workers is current; nothing runs while none is (docs/upgrade.md).',
    examples: ['worker', 'worker --data-slots 4', 'worker --metrics 0.0.0.0:9464', 'worker --build-id v2 --set-current'],
    lasts: true,
    load: () => import('./worker.ts'),
  },
  ...HISTORY_ROWS,
  {
    name: 'completion', group: RUN, args: ['<shell>'], options: [],
    summary: 'Print the script that completes words at a Tab: bash, zsh, fish.',
    does: 'Print the script that completes verbs, options and the names of the plan at a Tab, for bash, zsh or fish. It asks this very command, so it need not be printed again.',
    examples: ['completion bash', 'completion zsh > ~/.zfunc/_switchback', 'completion fish | source'],
    load: () => import('./completion.ts'),
  },
];

const exits = Object.values(EXITS)
  .map(({ code, means }) => `  ${code}  ${means}`)
  .join('\n');

export const HELP_AFTER = `
Examples:
  switchback plan example > switchback.yaml           a plan to begin with
  switchback plan check                               everything that is in the way, at once
  switchback install --target-schema --reason "…"     triggers, control schemas, target tables
  switchback worker                                   in another terminal; two or more in production
  switchback start acme --reason "first wave"         one tenant on its way
  switchback status --watch                           where everybody stands
  switchback why acme                                 what blocks it, and what to type next
  switchback rollback acme --reason "…"               reads back on the source, at once
  switchback rollback acme --direct --reason "…"      the same, with Temporal and Redis down

Exit codes:
${exits}

Environment:
  SWITCHBACK_PLAN, SWITCHBACK_ACTOR, TEMPORAL_ADDRESS (and TEMPORAL_…, as for the temporal command), NO_COLOR,
  FORCE_COLOR, and the variables that the plan names for the addresses of its databases.`;
