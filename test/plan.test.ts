/** The plan file: read whole, refused whole, and never quoted where it holds a secret. */
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';

import { ConfigError, type Problem } from '../src/domain/errors.ts';
import type { Plan } from '../src/domain/plan.ts';
import { jsonSchema, loadPlan, parsePlan, resolveUrl, resolveUrls } from '../src/plan.ts';

const HEAD = `name: sms-portal
source: { urlEnv: SWITCHBACK_SOURCE, schema: portal }
target: { urlEnv: SWITCHBACK_TARGET, schema: portal }
`;
const TABLES = 'tables: { messages: { tenant: { column: tenant_id } } }\n';
/** Of a wave that says nothing more. */
const WAVE = {
  approval: true,
  approvals: 1,
  atOnce: 5,
  every: 0,
  soak: 604_800_000,
  maxStopped: 1,
  flips: null,
};
const WAVES = 'waves: [{ name: first, tenants: [acme] }]\n';

function problemsOf(use: () => unknown): readonly Problem[] {
  try {
    use();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

const problems = (text: string): readonly Problem[] => problemsOf(() => parsePlan(text, 'plan.yaml'));
const lines = (text: string): string[] =>
  problems(text).map(({ field, problem, remedy }) => `${field} ${problem}; ${remedy}`);

describe('a plan', () => {
  test('gets every default', () => {
    const plan = parsePlan(HEAD + TABLES + WAVES, 'plan.yaml');

    expect(plan).toEqual<Plan>({
      name: 'sms-portal',
      source: { urlEnv: 'SWITCHBACK_SOURCE', schema: 'portal', replicas: [] },
      target: { urlEnv: 'SWITCHBACK_TARGET', schema: 'portal', replicas: [] },
      redis: null,
      control: { schema: 'switchback' },
      capture: 'triggers',
      temporal: { namespace: 'default' },
      tables: [{ name: 'messages', tenancy: { kind: 'column', column: 'tenant_id' }, time: null }],
      waves: [{ ...WAVE, name: 'first', tenants: ['acme'] }],
      freeze: [],
      history: { folder: null, keep: 7 * 24 * 3_600_000 },
      drill: { probe: null },
      durations: {
        shadow: 259_200_000,
        soak: 604_800_000,
        reconcileEvery: 900_000,
        reconcileRun: 86_400_000,
        gateEvery: 86_400_000,
        dirtyAfter: 1_000,
        mirrorBudget: 50,
        drill: 10_000,
        certificate: 1_209_600_000,
        missingAgain: 86_400_000,
        lease: 5_000,
        settle: 5_000,
      },
      limits: {
        windowTarget: 300,
        windowRows: 5_000,
        windowBytes: 8_388_608,
        reconcileRows: 100_000,
        backfillParallel: 4,
        threadsRunning: 50,
        rowsPerSecond: 0,
        throttle: { historyList: 100_000, redoPercent: 90, replicaLag: 5_000 },
      },
      gates: {
        shadowSamples: 100,
        cleanPasses: 1,
        nodes: 1,
        mirrorErrorPercent: 1,
        replicaLag: 5_000,
      },
    });
  });

  test('says what it says', () => {
    const plan = parsePlan(
      `${HEAD}redis: { urlEnv: REDIS_URL }
control: { schema: sb }
temporal: { namespace: moves }
tables:
  customers:  { tenant: { column: tenant_id } }
  messages:   { tenant: { column: tenant_id }, time: created_at }
  deliveries: { tenant: { parent: messages, column: message_id } }
  receipts:   { tenant: { parent: deliveries, column: delivery_no, references: no } }
  countries:  { tenant: shared }
waves:
  - name: internal
    tenants: [acme, 42]
    approval: false
    atOnce: 2
    every: 1m
    soak: 1d
    maxStopped: 0
    flips: { days: [mon, sun], to: "18:30", timeZone: Europe/Berlin }
  - { name: first, tenants: ["Ünï 🚀"] }
freeze: [{ from: "2026-12-20", to: "2027-01-02T06:00Z", why: the holidays }]
durations: { soak: 1.5s, shadow: 0s }
limits: { rowsPerSecond: 100 }
`,
      'plan.yaml',
    );

    expect(plan.tables).toEqual([
      { name: 'customers', tenancy: { kind: 'column', column: 'tenant_id' }, time: null },
      { name: 'messages', tenancy: { kind: 'column', column: 'tenant_id' }, time: 'created_at' },
      {
        name: 'deliveries',
        tenancy: { kind: 'parent', parent: 'messages', column: 'message_id', references: 'id' },
        time: null,
      },
      {
        name: 'receipts',
        tenancy: { kind: 'parent', parent: 'deliveries', column: 'delivery_no', references: 'no' },
        time: null,
      },
      { name: 'countries', tenancy: { kind: 'shared' }, time: null },
    ]);
    expect(plan.waves).toEqual([
      {
        name: 'internal',
        tenants: ['acme', '42'],
        approval: false,
        approvals: 1,
        atOnce: 2,
        every: 60_000,
        soak: 86_400_000,
        maxStopped: 0,
        flips: { days: ['mon', 'sun'], from: '09:00', to: '18:30', timeZone: 'Europe/Berlin' },
      },
      { ...WAVE, name: 'first', tenants: ['Ünï 🚀'] },
    ]);
    expect(plan.freeze).toEqual([
      { from: Date.UTC(2026, 11, 20), to: Date.UTC(2027, 0, 2, 6), why: 'the holidays' },
    ]);
    expect(plan.durations).toMatchObject({ soak: 1_500, shadow: 0, lease: 5_000 });
    expect([plan.redis, plan.control.schema, plan.temporal.namespace]).toEqual([
      { urlEnv: 'REDIS_URL' },
      'sb',
      'moves',
    ]);
  });

  test('of shared tables alone needs no wave', () => {
    expect(parsePlan(`${HEAD}tables: { countries: { tenant: shared } }`, 'plan.yaml').waves).toEqual([]);
  });
});

describe('a wrong plan', () => {
  test('is told everything at once, each with its line', () => {
    const said = lines(`name: x
source: { urlEnv: SOURCE }
target: { urlEnv: TARGET, schema: portal, shema: x }
tables:
  messages:
    tenant:
      column: 12
    tiem: created_at
  deliveries: { tenant: { parent: mesages, column: message_id } }
  other: { tenant: nobody }
waves:
  - { name: a, tenants: [acme, acme] }
  - { name: a, tenants: [acme, _shared, "", true] }
durations: { soak: 7, lease: 10ms, drill: soon }
limits: { windowRows: 1.5 }
`);

    expect(said).toEqual([
      "source.schema (line 2) is missing; write the schema's name, in quotes if it looks like a number",
      'target.shema (line 3) is not a known key; did you mean schema?',
      "tables.messages.tenant.column (line 7) is not a text; write the column's name, in quotes if it looks like a number",
      'tables.messages.tiem (line 8) is not a known key; did you mean time?',
      'tables.other.tenant (line 10) does not say whose a row is; write { column: tenant_id }, { parent: messages, column: message_id }, shared or schema',
      'waves[1].tenants[3] (line 13) is not a tenant id; write it in quotes',
      'durations.soak (line 14) is not a duration; write a number and a unit such as 7d',
      'durations.drill (line 14) is not a duration; write a number and ms, s, m, h or d, such as 10s',
      'durations.lease (line 14) is too short; write at least 100ms, by default 5s',
      'limits.windowRows (line 15) is not a whole number; write one from 50 to 1000000',
      'tables.deliveries.tenant.parent (line 9) is not among the tables of the plan; did you mean messages? else add it to tables',
      'waves[0].tenants[1] (line 12) is named twice in its wave; a tenant moves once: leave it in one wave',
      'waves[1].name (line 13) is the name of wave 1 too; rename one of the two, or merge them',
      'waves[1].tenants[0] (line 13) is in wave a too; a tenant moves once: leave it in one wave',
      'waves[1].tenants[1] (line 13) is a reserved name; take it out: Switchback keeps _shared and _unresolved for itself, and shared tables move without being named',
      'waves[1].tenants[2] (line 13) is empty; write the id as it stands in the tenant column',
    ]);
  });

  test.each([
    ['nothing in it', '', 'plan.yaml (line 1) is not a plan'],
    ['no table', `${HEAD}tables: {}\n${WAVES}`, 'tables (line 4) is empty'],
    ['no wave', HEAD + TABLES, 'waves (line 1) is missing'],
    [
      'hours that end before they begin',
      `${HEAD}${TABLES}waves: [{ name: a, tenants: [acme], flips: { from: "18:00", to: "09:00" } }]`,
      'waves[0].flips.to (line 5) ends before it begins',
    ],
    [
      'an unknown time zone',
      `${HEAD}${TABLES}waves: [{ name: a, tenants: [acme], flips: { timeZone: Berlin } }]`,
      'waves[0].flips.timeZone (line 5) is no time zone',
    ],
    [
      'a freeze without a date',
      `${HEAD}${TABLES}${WAVES}freeze: [{ from: soon, to: "2027-01-02" }]`,
      'freeze[0].from (line 6) is not a date',
    ],
    ['empty waves', `${HEAD}${TABLES}waves: []`, 'waves (line 5) is empty'],
    [
      'a wave without tenants',
      `${HEAD}${TABLES}waves: [{ name: a, tenants: [] }]`,
      'waves[0].tenants (line 5) is empty',
    ],
    [
      'a circle of parents',
      `${HEAD}tables:\n  a: { tenant: { parent: b, column: x } }\n  b: { tenant: { parent: a, column: x } }\n${WAVES}`,
      'tables.a.tenant.parent (line 5) leads in a circle (a → b → a)',
    ],
    [
      'a parent of its own',
      `${HEAD}tables: { a: { tenant: { parent: a, column: x } } }\n${WAVES}`,
      'tables.a.tenant.parent (line 4) leads in a circle (a → a)',
    ],
    [
      'a parent that is shared',
      `${HEAD}tables:\n  a: { tenant: { parent: b, column: x } }\n  b: { tenant: shared }\n${WAVES}`,
      'tables.a.tenant.parent (line 5) leads to b, which is shared',
    ],
    [
      'a tenant of 256 characters',
      `${HEAD}${TABLES}waves: [{ name: a, tenants: [${'x'.repeat(256)}] }]`,
      'waves[0].tenants[0] (line 5) is longer than 255 characters',
    ],
    [
      'a tenant that YAML would renumber',
      `${HEAD}${TABLES}waves: [{ name: a, tenants: [007] }]`,
      'waves[0].tenants[0] (line 5) is a number to YAML',
    ],
    [
      'a control schema that is data',
      `${HEAD}control: { schema: portal }\n${TABLES}${WAVES}`,
      'source.schema (line 2) is the control schema too',
    ],
    [
      'one place for both sides',
      HEAD.replace('SWITCHBACK_TARGET', 'SWITCHBACK_SOURCE') + TABLES + WAVES,
      'target (line 3) is the same place as the source',
    ],
    [
      'a key given twice',
      `${HEAD}${HEAD}${TABLES}${WAVES}`,
      'plan.yaml (line 4) holds a key that was given before',
    ],
    ['broken YAML', 'name: [unclosed\nsource: {', 'plan.yaml (line 2) is not valid YAML (BAD_INDENT)'],
  ])('with %s is refused', (_, text, expected) => {
    expect(lines(text)[0]).toContain(expected);
  });

  test('that does not exist is a problem, not a crash', async () => {
    await expect(loadPlan('/nowhere/plan.yaml')).rejects.toThrow(
      /plan: "\/nowhere\/plan.yaml" does not exist/,
    );
  });
});

describe('a secret', () => {
  const SECRET = 'hunter2';

  test.each([
    ['an address as a urlEnv', `source: { urlEnv: "mysql://root:${SECRET}@db:3306/x", schema: portal }`],
    ['an address as an endpoint', `source: "mysql://root:${SECRET}@db:3306/x"`],
    ['an address as a key', `? "mysql://root:${SECRET}@db"\n: 1`],
    ['an address as a schema', `source: { urlEnv: SOURCE, schema: "mysql://root:${SECRET}@db" }`],
    [
      'an address with a slash in its password',
      `source: { urlEnv: "mysql://root:${SECRET}/a@db", schema: portal }`,
    ],
    ['a password key', `source: { urlEnv: SOURCE, schema: portal, password: ${SECRET} }`],
    ['a password in capitals', `target: { urlEnv: TARGET, PASSWORD: ${SECRET} }`],
    ['a bare password as a urlEnv', `redis: { urlEnv: ${SECRET} }`],
    ['an address as a tenant', `waves: [{ name: a, tenants: ["redis://:${SECRET}@cache"] }]`],
    ['an address in broken YAML', `source: [ "mysql://root:${SECRET}@db" "again:${SECRET}"`],
    ['an address behind an alias', `source: &${SECRET} { urlEnv: A }\ntarget: *${SECRET}`],
  ])('as %s is a problem that does not repeat it', (_, text) => {
    const said = problems(`name: x\n${text}\n`);

    expect(said).not.toEqual([]);
    expect(JSON.stringify(said)).not.toContain(SECRET);
  });

  test('is no reason to refuse a table or column called token', () => {
    const text = `${HEAD}tables: { tokens: { tenant: shared }, password: { tenant: { column: token } } }\n${WAVES}`;

    expect(problems(text)).toEqual([]);
  });
});

describe('a hostile file', () => {
  test.each([
    [
      'aliases that multiply',
      `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'
        .split('')
        .map((name, index) => `${name}: &${name} [${`*${'abcdefgh'[index]!},`.repeat(9)}]`)
        .join('\n')}`,
    ],
    ['fifty thousand keys', Array.from({ length: 50_000 }, (_, index) => `k${index}: 1`).join('\n')],
    ['deep brackets', '['.repeat(100_000)],
    ['deep blocks', '- '.repeat(20_000)],
    ['a megabyte', 'x'.repeat(1_000_001)],
    [
      'fifty thousand wrong tenants',
      `${HEAD}${TABLES}waves: [{ name: a, tenants: [${'true, '.repeat(50_000)}] }]`,
    ],
  ])('with %s is refused within seconds', (_, text) => {
    const started = performance.now();

    const said = problems(text);

    expect(said.length).toBeGreaterThan(0);
    expect(said.length).toBeLessThanOrEqual(51);
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  test('does not pollute prototypes', () => {
    expect(problems(`${HEAD}${WAVES}tables: { __proto__: { tenant: shared } }`)).not.toEqual([]);
  });
});

describe('an address', () => {
  const plan = {
    source: { urlEnv: 'SOURCE', schema: 'a' },
    target: { urlEnv: 'TARGET', schema: 'a' },
    redis: null,
  };

  test('comes from the environment', () => {
    const env = { SOURCE: 'mysql://a:b@one', TARGET: 'mysql://a:b@two:3307' };

    expect(resolveUrl(plan.source, env)).toBe('mysql://a:b@one');
    expect(resolveUrls(plan, env)).toEqual({
      source: 'mysql://a:b@one',
      target: 'mysql://a:b@two:3307',
      redis: null,
    });
    expect(resolveUrl({ urlEnv: 'R' }, { R: 'rediss://:x@cache' })).toBe('rediss://:x@cache');
  });

  test('that is missing names field, variable and remedy, on both sides at once', () => {
    expect(problemsOf(() => resolveUrls(plan, {}))).toEqual([
      {
        field: 'source.urlEnv',
        value: 'SOURCE',
        problem: 'names an environment variable that is not set',
        remedy: 'set it in the environment: SOURCE=mysql://user:password@host:3306',
      },
      {
        field: 'target.urlEnv',
        value: 'TARGET',
        problem: 'names an environment variable that is not set',
        remedy: 'set it in the environment: TARGET=mysql://user:password@host:3306',
      },
    ]);
  });

  test.each([
    'hunter2',
    'postgres://a:hunter2@b',
    'mysql://a:%hunter2@b',
    'mysql://:hunter2@',
    'mysql://b:hunter2/x@c:y',
  ])('that is malformed is not shown', (value) => {
    const said = problemsOf(() => resolveUrl(plan.source, { SOURCE: value }));

    expect(said).toHaveLength(1);
    expect(JSON.stringify(said)).not.toContain('hunter2');
  });
});

test('docs/plan.schema.json is the schema of this version (else run the command in its first line of this test)', async () => {
  // node --import tsx -e "import('./src/plan.ts').then(p => console.log(JSON.stringify(p.jsonSchema())))" > docs/plan.schema.json
  const file = new URL('../docs/plan.schema.json', import.meta.url);

  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(jsonSchema());
});
