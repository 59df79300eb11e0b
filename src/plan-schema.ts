/**
 * The plan's shape: one zod schema, from which the JSON schema for editors is made too.
 *
 * A message has two halves, `what is wrong; what to do`, which `plan.ts` takes apart. Rules that look at
 * more than one place of the file are in `plan-rules.ts`.
 */
import { z } from 'zod';

import { CAPTURES } from './domain/capture.ts';
import { WEEKDAYS, type FlipHours, type Freeze } from './domain/change-window.ts';
import { DAY, parseDuration, type Milliseconds } from './domain/duration.ts';
import type { Probe } from './domain/probe.ts';
import { GATE_DEFAULTS, THROTTLE, type Durations, type Tenancy, type ThrottleLimits } from './domain/plan.ts';

/** MySQL's bound of an identifier. */
const IDENTIFIER_MAX = 64;
const DURATION_MAX = 366 * DAY;
/** Upper case only, so that a secret which stands there by mistake is refused before anybody prints it. */
export const ENV_NAME = /^[A-Z_][A-Z0-9_]*$/;

const text = (remedy: string) => z.string({ error: `is not a text; ${remedy}` });

const identifier = (what: string) =>
  text(`write the ${what}'s name, in quotes if it looks like a number`)
    .min(1, { error: `is empty; write the ${what}'s name` })
    .max(IDENTIFIER_MAX, {
      error: `is longer than ${IDENTIFIER_MAX} characters; no ${what} can have this name`,
    });

const urlEnv = text('write the name of an environment variable that holds the address').regex(ENV_NAME, {
  error:
    'is not the name of an environment variable; put the address into a variable and write its name, in capitals, such as SWITCHBACK_SOURCE',
});

const endpoint = z.strictObject(
  {
    urlEnv: urlEnv.describe('Environment variable that holds mysql://user:password@host:port'),
    schema: identifier('schema').describe(
      'One schema; app_{tenant} where every tenant has a schema of its own',
    ),
    replicas: z
      .array(urlEnv, { error: 'is not a list; write the variables as [REPLICA_1_URL]' })
      .default([])
      .describe('Environment variables with the addresses of replicas whose lag holds the copy back'),
  },
  { error: 'is not an endpoint; write { urlEnv: NAME_OF_A_VARIABLE, schema: name }' },
);

const duration = (by: string, min: Milliseconds = 1) =>
  z
    .string({ error: `is not a duration; write a number and a unit such as ${by}` })
    .transform((given, context) => {
      const ms = parseDuration(given);
      const wrong =
        ms === null
          ? `is not a duration; write a number and ms, s, m, h or d, such as ${by}`
          : !Number.isInteger(ms)
            ? `is not a whole number of milliseconds; write for example ${by}`
            : ms < min
              ? `is too short; write at least ${min}ms, by default ${by}`
              : ms > DURATION_MAX
                ? `is too long; write at most 366d, by default ${by}`
                : null;
      if (wrong === null) return ms!;
      context.issues.push({ code: 'custom', message: wrong, input: given });
      return z.NEVER;
    })
    .meta({ pattern: String.raw`^\d+(\.\d+)?(ms|s|m|h|d)$` })
    .prefault(by);

const count = (by: number, min: number, max: number) =>
  z
    .int({ error: `is not a whole number; write one from ${min} to ${max}` })
    .min(min, { error: `is too small; write ${min} or more` })
    .max(max, { error: `is too large; write ${max} or less` })
    .default(by);

const block = <Shape extends z.ZodRawShape>(shape: Shape, example: string) =>
  z.strictObject(shape, { error: `is not a block of settings; write ${example}` });

const byColumn = z
  .strictObject({ column: identifier('column') })
  .transform(({ column }): Tenancy => ({ kind: 'column', column }));
const byParent = z
  .strictObject({
    parent: identifier('table'),
    column: identifier('column'),
    references: identifier('column').default('id'),
  })
  .transform((given): Tenancy => ({ kind: 'parent', ...given }));
const shared = z.literal('shared').transform((): Tenancy => ({ kind: 'shared' }));
const ownSchema = z.literal('schema').transform((): Tenancy => ({ kind: 'schema' }));

/** In this order: `plan.ts` picks the complaints of the alternative that was meant. */
const tenancy = z
  .union([shared, byColumn, byParent, ownSchema])
  .describe('Whose row is it? A column, a parent table, shared by all, or a schema for each tenant.');

const table = z.strictObject(
  {
    tenant: tenancy,
    time: identifier('column')
      .nullable()
      .default(null)
      .describe('Immutable time column, indexed after the tenant, by which reconcile cuts its windows'),
  },
  { error: 'is not a table; write { tenant: { column: tenant_id } }' },
);

const tenant = z
  .union([z.string(), z.int()], { error: 'is not a tenant id; write it in quotes' })
  .transform(String);

const clock = (by: string) =>
  z
    .string({ error: `is not a time of day; write it in quotes, such as "${by}"` })
    .regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, { error: `is not a time of day; write for example "${by}"` })
    .default(by);

const isTimeZone = (name: string): boolean => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
};

const flipHours = z
  .strictObject(
    {
      days: z
        .array(z.enum(WEEKDAYS, { error: `is no weekday; write ${WEEKDAYS.join(', ')}` }), {
          error: 'is not a list; write the weekdays as [mon, tue]',
        })
        .min(1, { error: 'is empty; name a weekday, or take flips out' })
        .default(['mon', 'tue', 'wed', 'thu', 'fri']),
      from: clock('09:00'),
      to: clock('17:00'),
      timeZone: text('write a time zone such as Europe/Berlin')
        .refine(isTimeZone, { error: 'is no time zone; write a name such as Europe/Berlin or UTC' })
        .default('UTC'),
    },
    { error: 'is no block of hours; write { days: [mon, tue], from: "09:00", to: "17:00" }' },
  )
  .refine(({ from, to }) => from < to, {
    error: 'ends before it begins; let from be earlier than to',
    path: ['to'],
  })
  .transform((given): FlipHours => given);

const day = (what: string) =>
  z
    .string({ error: `is not a date; write ${what} in quotes, such as "2026-12-20"` })
    .transform((given, context) => {
      const at = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}Z)?$/.test(given) ? Date.parse(given) : Number.NaN;
      if (!Number.isNaN(at)) return at;
      const message = 'is not a date; write for example "2026-12-20", or "2026-12-20T18:00Z"';
      context.issues.push({ code: 'custom', message, input: given });
      return z.NEVER;
    });

const freeze = z
  .strictObject(
    {
      from: day('the first day'),
      to: day('the first day after'),
      why: text('write why').default('a freeze of the plan'),
    },
    { error: 'is no freeze; write { from: "2026-12-20", to: "2027-01-02", why: the holidays }' },
  )
  .refine(({ from, to }) => from < to, {
    error: 'ends before it begins; let from be earlier than to',
    path: ['to'],
  })
  .transform((given): Freeze => given);

const wave = z.strictObject(
  {
    name: text('give the wave a name').min(1, { error: 'is empty; give the wave a name' }).max(128, {
      error: 'is longer than 128 characters; shorten it',
    }),
    tenants: z
      .array(tenant, { error: 'is not a list; write the tenants as [acme, globex]' })
      .min(1, { error: 'is empty; name a tenant, or take the wave out' }),
    approval: z
      .boolean({ error: 'is neither true nor false; write one of them' })
      .default(true)
      .describe('Does `ready` wait for an operator?'),
    approvals: count(1, 1, 5).describe('How many different people have to say it'),
    atOnce: count(5, 1, 100_000).describe('Tenants between their start and ramp at once'),
    trafficAtOnce: z
      .int({ error: 'is not a whole number; write one from 1 to 100' })
      .min(1, { error: 'is too small; write 1 or more' })
      .max(100, { error: 'is too large; write 100 or less' })
      .optional()
      .describe(
        "Percent of the application's reads of a week, of tenants between their start and ramp at once",
      ),
    every: duration('0s', 0).describe('Pause between two starts of the fleet'),
    soak: duration('7d', 0).describe('Clean time in ramp of all its tenants before the next wave begins'),
    maxStopped: count(1, 0, 100_000).describe('One more stopped tenant, and the fleet stops itself'),
    flips: flipHours
      .nullable()
      .default(null)
      .describe('When reads may be flipped to the target; without it at any time'),
  },
  { error: 'is not a wave; write { name: internal, tenants: [acme] }' },
);

const probe = z
  .strictObject(
    {
      command: z
        .array(text('write each word of the command as a text'), {
          error: 'is not a list of words; write [node, probe.mjs]',
        })
        .min(1, { error: 'is empty; write the program and its words' })
        .nullable()
        .default(null)
        .describe(
          'A program that the worker runs, with SWITCHBACK_TENANT and SWITCHBACK_DRILL in its environment',
        ),
      urlEnv: urlEnv
        .nullable()
        .default(null)
        .describe('Environment variable with the address that the worker posts {tenant, drill} to'),
      timeout: duration('20s').refine((ms) => ms <= 45_000, { error: 'is too long; write at most 45s' }),
    },
    { error: 'is no probe; write { command: [node, probe.mjs] } or { urlEnv: PROBE_URL }' },
  )
  .refine(({ command, urlEnv: url }) => (command === null) !== (url === null), {
    error: 'names neither a command nor a urlEnv, or both; write one of them',
  })
  .transform((given): Probe => given);

// prettier-ignore
const DURATIONS = {
  shadow: duration('3d', 0), soak: duration('7d', 0), reconcileEvery: duration('15m'), reconcileRun: duration('1d'),
  gateEvery: duration('1d'), dirtyAfter: duration('1s'), mirrorBudget: duration('50ms', 0), drill: duration('10s', 0),
  certificate: duration('14d'), missingAgain: duration('1d', 0), lease: duration('5s', 100),
  settle: duration('5s', 50),
} satisfies Record<keyof Durations, unknown>;

// prettier-ignore
const THROTTLES = {
  historyList: count(THROTTLE.historyList, 0, 1_000_000_000), redoPercent: count(THROTTLE.redoPercent, 0, 100),
  replicaLag: duration('5s', 0),
} satisfies Record<keyof ThrottleLimits, unknown>;

export const planSchema = z
  .strictObject(
    {
      name: text('give the migration a name').regex(/^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$/, {
        error: 'is no name for a migration; use up to 100 letters, digits, dots and dashes',
      }),
      source: endpoint,
      target: endpoint,
      redis: block({ urlEnv }, '{ urlEnv: REDIS_URL }').nullable().default(null),
      control: block(
        { schema: identifier('schema').default('switchback') },
        '{ schema: switchback }',
      ).prefault({}),
      capture: z
        .enum(CAPTURES, { error: 'is no mode of capture; write triggers or application' })
        .default('triggers')
        .describe(
          'Who brings writes to the target? Triggers, or the application, which writes both sides itself',
        ),
      temporal: block(
        {
          namespace: text('write the namespace')
            .min(1, { error: 'is empty; write the namespace' })
            .default('default'),
        },
        '{ namespace: default }',
      ).prefault({}),
      history: block(
        {
          folder: text('write the path of a folder')
            .min(1, { error: 'is empty; name a folder, or take folder out' })
            .nullable()
            .default(null)
            .describe('Folder to which every worker exports the history of each run as it ends'),
          keep: duration('7d', 0).describe(
            'Retention that the namespace must have beyond the time that the waves take',
          ),
        },
        '{ folder: /var/lib/switchback/histories }',
      ).prefault({}),
      tables: z.record(identifier('table'), table, {
        error: 'is not a block of tables; write messages: { tenant: { column: tenant_id } }',
      }),
      waves: z
        .array(wave, { error: 'is not a list of waves; write - { name: internal, tenants: [acme] }' })
        .default([]),
      drill: block(
        {
          probe: probe
            .nullable()
            .default(null)
            .describe('What the drill asks the application for while reads come from the target'),
        },
        '{ probe: { urlEnv: PROBE_URL } }',
      ).prefault({}),
      freeze: z
        .array(freeze, {
          error: 'is not a list; write - { from: "2026-12-20", to: "2027-01-02", why: the holidays }',
        })
        .default([])
        .describe('Spans in which no reads are flipped to the target; times are UTC'),
      durations: block(DURATIONS, '{ soak: 7d }').prefault({}),
      limits: block(
        {
          windowTarget: duration('300ms', 10),
          windowRows: count(5_000, 50, 1_000_000),
          windowBytes: count(8_388_608, 65_536, 1_073_741_824),
          reconcileRows: count(100_000, 50, 10_000_000),
          backfillParallel: count(4, 1, 64),
          threadsRunning: count(50, 1, 100_000),
          rowsPerSecond: count(0, 0, 1_000_000_000),
          throttle: block(THROTTLES, '{ historyList: 100000 }')
            .prefault({})
            .describe('Bounds on either server above which work pauses; 0: not watched'),
        },
        '{ windowRows: 5000 }',
      ).prefault({}),
      gates: block(
        {
          shadowSamples: count(100, 0, 1_000_000_000),
          cleanPasses: count(1, 1, 1_000),
          nodes: count(1, 0, 100_000),
          mirrorErrorPercent: count(GATE_DEFAULTS.mirrorErrorPercent, 0, 100).describe(
            "Mirrors of a tenant in the last hour that may have failed; 100: it isn't asked",
          ),
          replicaLag: duration('5s', 0).describe('Of the replicas that source and target name'),
        },
        '{ nodes: 1 }',
      ).prefault({}),
    },
    { error: 'is not a plan; start with name:, source:, target:, tables: and waves:' },
  )
  .describe('A Switchback plan');

export type PlanFile = z.output<typeof planSchema>;

/** JSON Schema of the file, for editors; `docs/plan.schema.json` is this text. */
export const jsonSchema = (): JsonSchema =>
  z.toJSONSchema(planSchema, { io: 'input', reused: 'inline' }) as JsonSchema;

export interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
}

let cached: JsonSchema | null = null;

/** Keys that may stand at a place of the file. */
export function knownKeys(path: readonly PropertyKey[]): string[] {
  cached ??= jsonSchema();
  let here: readonly JsonSchema[] = [cached];
  for (const part of path) {
    here = here.flatMap(alternatives).flatMap((schema) => inside(schema, part));
  }
  return [...new Set(here.flatMap(alternatives).flatMap(({ properties = {} }) => Object.keys(properties)))];
}

const alternatives = (schema: JsonSchema): readonly JsonSchema[] =>
  schema.anyOf?.flatMap(alternatives) ?? [schema];

function inside(
  { properties, additionalProperties, items }: JsonSchema,
  part: PropertyKey,
): readonly JsonSchema[] {
  if (typeof part === 'number') return items === undefined ? [] : [items];
  const own = properties?.[String(part)];
  if (own !== undefined) return [own];
  return typeof additionalProperties === 'object' ? [additionalProperties] : [];
}
