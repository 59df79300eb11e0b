/** `--dry-run` of every verb that changes something: says what would become of it, and leaves every table and history as it was. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, expect, it } from 'vitest';

import { COMMANDS } from '../../src/cli/commands.ts';
import { admitTenants } from '../../src/db/control.ts';
import { enroll } from '../../src/db/fleet.ts';
import { keyLiteral } from '../../src/db/journal-rows.ts';
import { admitStage, flipStage } from '../../src/db/stages.ts';
import { loadTracked } from '../../src/db/tracked.ts';
import { encodeKey } from '../../src/domain/key.ts';
import { fleetPlan } from '../../src/domain/plan.ts';
import type { Stage } from '../../src/domain/stage.ts';
import { fleetWorkflowId, taskQueue, tenantWorkflowId } from '../../src/domain/ids.ts';
import { useWorld, WAVE } from '../support/world.ts';
import { expectShape } from './shapes.ts';
import { switchbackHere, useFolder, writePlan } from './switchback.ts';

/** Whose run is open, and where its record stands; `umbrella` was not started, of `lost` the run is gone. */
const STANDING: Readonly<Record<string, readonly [phase: string, mode: string, stage: Stage]>> = {
  acme: ['ramp', 'running', 'read-target'],
  globex: ['ready', 'waiting', 'shadow-read'],
  initech: ['shadow', 'stopped', 'shadow-read'],
  hooli: ['shadow', 'paused', 'shadow-read'],
  lost: ['shadow', 'running', 'shadow-read'],
};
const TENANTS = [...Object.keys(STANDING), 'umbrella'];

const world = useWorld(TENANTS, {
  rows: 2,
  waves: [
    { ...WAVE, name: 'first', tenants: TENANTS, approval: true },
    { ...WAVE, name: 'second', tenants: ['zeta'] },
  ],
});
const folder = useFolder();

let files: Readonly<Record<'plan' | 'changed' | 'blocked' | 'renamed', string>>;

async function stand(tenant: string): Promise<void> {
  const { pair } = world();
  const [phase, mode, stage] = STANDING[tenant]!;
  await admitStage(pair.source, pair.control, tenant);
  await admitTenants(pair.target, pair.control, [tenant, '_unresolved']);
  await flipStage(pair.source, pair.control, {
    tenant, to: stage, from: ['source-only'], expectEpoch: null, actor: 'test', reason: 'test', requestId: null,
  }); // prettier-ignore
  await pair.source.run(
    `INSERT INTO \`${pair.control}\`.migration (tenant, phase, mode, reason, since, run_id, wave, started_at) VALUES (?, ?, ?, 'a test', NOW(6), 'run', 'first', NOW(6))`,
    [tenant, phase, mode],
  );
  if (tenant !== 'lost') await world().start(tenant);
}

beforeAll(async () => {
  const { plan, pair, client } = world();
  for (const tenant of Object.keys(STANDING)) await stand(tenant);
  const { id: tableId } = (await loadTracked(pair)).byName('customers');
  await pair.source.run(
    `INSERT INTO \`${pair.control}\`.drift (tenant, table_id, row_key, class) VALUES ('initech', ${tableId}, ${keyLiteral(encodeKey(['1']))}, 'different')`,
  );
  await enroll(pair, plan.waves);
  await client.workflow.start('fleetMigration', {
    workflowId: fleetWorkflowId(plan.name),
    taskQueue: taskQueue(plan.name, 'control'),
    args: [{ plan: fleetPlan(plan), by: { actor: 'test', reason: 'a test' } }],
  });
  await pair.source.run(
    `INSERT INTO \`${pair.control}\`.fleet (id, run_id, wave, mode, since) VALUES (1, 'run', 'first', 'running', NOW(6))`,
  );
  const [first, ...others] = plan.waves;
  const tables = [...plan.tables, { name: 'nowhere', tenancy: { kind: 'shared' } as const, time: null }];
  const waves = [{ ...first!, tenants: [...TENANTS, 'newco'] }, ...others];
  const write = async (name: string, given: typeof plan): Promise<string> =>
    writePlan(await folder(), given, `${name}.yaml`);
  files = {
    plan: await write('plan', plan),
    changed: await write('changed', {
      ...plan,
      waves,
      durations: { ...plan.durations, soak: 9_000 },
    }),
    blocked: await write('blocked', { ...plan, tables }),
    renamed: await write('renamed', { ...plan, name: `${plan.name}-renamed` }),
  };
}, 60_000);

interface Case {
  readonly words: string;
  readonly code: number;
  readonly plan?: 'changed' | 'blocked' | 'renamed';
  /** Lines such as `acme stage read-target → shadow-read`. */
  readonly changes?: readonly string[];
  readonly sends?: readonly string[];
  readonly says?: RegExp;
  /** Statement on the source before it, to stand somewhere else. */
  readonly given?: string;
}

/** A day within the year that a waiver may last. */
const SOON = new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10);

const mode = (fleet: string): string => `UPDATE CONTROL.fleet SET mode = '${fleet}'`;

// prettier-ignore
const CASES: Readonly<Record<string, readonly Case[]>> = {
  'plan apply': [
    { words: '', plan: 'changed', code: 0, changes: ['hooli durations.soak 1s → 9s'], sends: ['signal applyPlan'] },
    { words: 'acme', plan: 'changed', code: 0, changes: ['acme durations.soak 1s → 9s'], sends: ['signal applyPlan'] },
  ],
  install: [
    { words: '--target-schema', code: 0, says: /-- source\nCREATE DATABASE IF NOT EXISTS/ },
    { words: '', plan: 'blocked', code: 2, says: /-- In the way\n-- {3}.*nowhere/ },
  ],
  uninstall: [
    { words: '--confirm PLAN --force', code: 0, changes: ['acme stage read-target → shadow-read', 'globex dirty no → yes: read from the source'] },
    { words: '--confirm PLAN', code: 4, says: /In the way\n {2}5 tenants are on their way/ },
  ],
  start: [
    { words: 'umbrella', code: 0, changes: ['umbrella phase none → preflight'], sends: ['start tenantMigration'] },
    { words: 'umbrella', plan: 'blocked', code: 0, says: /Would then wait for\n {2}preflight: .*nowhere/ },
    { words: 'acme', code: 4, says: /In the way\n {2}acme is running already/ },
    { words: 'lost', code: 4, says: /its run is gone/ },
    { words: 'lost --adopt', code: 0, changes: ['lost run gone → has the tenant, held'], sends: ['start tenantMigration'] },
    { words: 'acme --adopt', code: 0, changes: ['acme run open → has the tenant, held'], sends: ['signal adopt'] },
  ],
  pause: [
    { words: 'acme', code: 0, changes: ['acme mode running → paused'], sends: ['update pause'] },
    { words: 'hooli', code: 4, says: /already paused/ },
    { words: 'lost', code: 3 },
  ],
  resume: [
    { words: 'hooli', code: 0, changes: ['hooli mode paused → running'], sends: ['update resume'], says: /Would then wait for\n(?: {2}.*\n)* {2}gate clean-time/ },
    { words: 'acme', code: 4, says: /not paused/ },
  ],
  advance: [
    { words: 'globex', code: 0, changes: ['globex approvals 0 of 1 → 1 of 1'], sends: ['update advance'], says: /Would then wait for\n(?: {2}.*\n)* {2}gate certificate/ },
    { words: 'acme', code: 4, says: /ramp is the last phase/ },
    { words: 'globex --expect-phase ramp', code: 4, says: /expected phase ramp/ },
  ],
  drill: [
    { words: 'globex', code: 0, changes: ['globex phase ready → drill'], sends: ['update drill'] },
    { words: 'acme', code: 4, says: /ramp has no drill to repeat/ },
  ],
  rollback: [
    { words: 'acme', code: 0, changes: ['acme phase ramp → shadow', 'acme stage read-target → shadow-read', 'acme mode running → paused'], sends: ['update rollback'] },
    { words: 'globex', code: 4, says: /reads are on the source/ },
    { words: 'acme --direct', code: 0, changes: ['acme stage read-target → shadow-read'], sends: [] },
    { words: 'acme globex --direct', code: 4, changes: ['acme stage read-target → shadow-read'], says: /In the way\n {2}globex: it is in shadow-read/ },
    { words: '--all --direct', code: 0, changes: ['acme stage read-target → shadow-read'] },
  ],
  retry: [
    { words: 'initech', code: 0, changes: ['initech mode stopped → running'], sends: ['update retry'], says: /gate open-drift/ },
    { words: 'acme', code: 4, says: /the line is not stopped/ },
  ],
  waive: [
    { words: `globex --gate certificate --until ${SOON}`, code: 0, changes: [`globex gate certificate not waived → waived until ${SOON}T00:00:00.000Z`], sends: ['update waive'] },
    { words: 'globex --gate copied --until 3d', code: 4, says: /has no gate "copied"/ },
  ],
  setPace: [{ words: 'acme --rows-per-second 500', code: 0, changes: ['acme pace of backfill no limit → 500 rows/s'], sends: ['update setPace'] }],
  abort: [
    { words: 'globex --expect-phase ready', code: 0, changes: ['globex phase ready → aborted', 'globex stage shadow-read → source-only'], sends: ['update abort'] },
    { words: 'acme --expect-phase ramp', code: 4, says: /rollback first/ },
    { words: 'acme', code: 2 },
  ],
  repair: [
    { words: 'initech', code: 0, changes: ['initech drift #1: customers id=1 on the target different → as on the source'] },
    { words: 'acme', code: 0, changes: [] },
    { words: 'initech --drift 4711', code: 3 },
  ],
  'fleet start': [
    { words: '', plan: 'renamed', code: 0, sends: ['start fleetMigration'], changes: ['(all) fleet its run is gone → taken up in first, held'] },
    { words: '', code: 4, says: /the fleet is running already/ },
  ],
  'fleet pause': [
    { words: '', code: 0, changes: ['(all) mode running → paused'], sends: ['update pause'] },
    { words: '', code: 4, given: mode('paused'), says: /already paused/ },
  ],
  'fleet resume': [
    { words: '', code: 0, given: mode('paused'), changes: ['(all) mode paused → running'], sends: ['update resume'] },
    { words: '', code: 4, given: mode('running'), says: /not paused/ },
  ],
  'fleet advance': [{ words: '', code: 0, changes: ['(all) wave under way first → second'], sends: ['update advance'] }],
  'fleet add': [
    { words: 'newco', plan: 'changed', code: 0, changes: ['newco wave none → first'], sends: ['update add'] },
    { words: 'acme', code: 4, says: /acme is in the fleet already/ },
  ],
  'fleet remove': [
    { words: 'umbrella', code: 0, changes: ['umbrella wave first → none'], sends: ['update remove'] },
    { words: 'acme', code: 4, says: /acme was started/ },
  ],
  'fleet hold': [{ words: 'umbrella', code: 0, changes: ['umbrella held none → held by ann: ...'], sends: ['update hold'] }],
  'fleet release': [
    { words: 'umbrella', code: 4, says: /is not held/ },
    { words: 'umbrella', code: 0, given: "UPDATE CONTROL.fleet_tenant SET held = 'by a test' WHERE tenant = 'umbrella'", changes: ['umbrella held by a test → none'], sends: ['update release'] },
  ],
  'fleet rollback': [
    { words: '--all', code: 0, changes: ['acme stage read-target → shadow-read'], sends: ['update pause'] },
    { words: '--wave first', code: 0, changes: ['acme stage read-target → shadow-read'], sends: ['update pause'] },
    { words: '--wave nobody', code: 3 },
  ],
};

/** Every table that Switchback may write, every trigger, and how long each history is. */
async function everything(): Promise<unknown> {
  const { pair, plan, client } = world();
  const schemas = [pair.control, plan.source.schema];
  const sides = await Promise.all(
    [pair.source, pair.target].map(async (db) => {
      const tables = await db.rows(
        `SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t FROM information_schema.TABLES WHERE TABLE_SCHEMA IN (?, ?) ORDER BY 1, 2`,
        schemas,
      );
      const triggers = await db.rows(
        `SELECT TRIGGER_NAME, CREATED FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA IN (?, ?) ORDER BY 1`,
        schemas,
      );
      const list = tables.map((row) => `\`${row['s']}\`.\`${row['t']}\``).join(', ');
      return { sums: await db.rows(`CHECKSUM TABLE ${list} EXTENDED`), triggers };
    }),
  );
  const ids = [
    ...[...TENANTS, '_shared', 'newco'].map((tenant) => tenantWorkflowId(plan.name, tenant)),
    fleetWorkflowId(plan.name),
    fleetWorkflowId(`${plan.name}-renamed`),
  ];
  const histories = await Promise.all(
    ids.map(async (id) => {
      const described = await client.workflow
        .getHandle(id)
        .describe()
        .catch(() => null);
      return described === null ? `${id}: none` : `${id}: ${described.runId} ${described.historyLength}`;
    }),
  );
  return { sides, histories };
}

interface Dry {
  readonly dryRun: true;
  readonly changes: readonly Record<'tenant' | 'what' | 'from' | 'to', string | null>[];
  readonly sends: readonly Record<'to' | 'as' | 'name', string>[];
  readonly next: readonly string[];
}

const CHANGING = COMMANDS.filter(({ options }) => options.some(({ flags }) => flags === '--dry-run'));

it('is an option of whatever takes a reason, and every such verb is in the table', () => {
  const withReason = COMMANDS.filter(({ options }) =>
    options.some(({ flags }) => flags.startsWith('--reason')),
  );

  expect(CHANGING).toEqual(expect.arrayContaining(withReason));
  expect(Object.keys(CASES).sort()).toEqual(withReason.map(({ name }) => name).sort());
});

it.each(CHANGING)('$name has a look of its own', async ({ load }) => {
  expect((await load()).dryRun).toBeTypeOf('function');
});

const rows = Object.entries(CASES).flatMap(([name, cases]) =>
  cases.map((one) => [`${name} ${one.words}`.trim(), name, one] as const),
);

it.sequential.each(rows)('%s: says what would be, and changes nothing', async (_, name, one) => {
  const { pair, plan } = world();
  if (one.given !== undefined) await pair.source.run(one.given.replace('CONTROL', `\`${pair.control}\``));
  const before = await everything();
  const words = [...name.split(' '), ...one.words.replace('PLAN', plan.name).split(' ').filter(Boolean)];
  const common = [...words, '--dry-run', '--plan', files[one.plan ?? 'plan']];

  const text = one.says === undefined ? null : await switchbackHere(common);
  const json = await switchbackHere([...common, '--json']);

  expect(await everything()).toEqual(before);
  expect(json.code, json.all).toBe(one.code);
  if (text !== null) {
    expect(text.code).toBe(one.code);
    expect(text.stdout).toContain('Dry run: nothing was changed.');
    expect(text.all).toMatch(one.says!);
  }
  expectShape(name, JSON.parse(json.stdout));
  if ('error' in JSON.parse(json.stdout)) return expect([2, 3]).toContain(one.code);
  const said = JSON.parse(json.stdout) as Dry;
  expect(said.dryRun).toBe(true);
  const changes = said.changes.map(
    ({ tenant, what, from, to }) => `${tenant ?? '(all)'} ${what} ${from ?? 'none'} → ${to ?? 'none'}`,
  );
  expect(changes).toEqual(expect.arrayContaining([...(one.changes ?? [])]));
  if (one.changes?.length === 0) expect(changes).toEqual([]);
  const sends = said.sends.map((send) => `${send.as} ${send.name}`);
  if (one.sends !== undefined) expect([...new Set(sends)]).toEqual(one.sends);
  if (one.code === 0) expect(said.next[0]).toMatch(/^switchback (?!.*--dry-run).*--reason "\.\.\."$/);
});

it('of a verb that has none is refused, and the verb is not run', async () => {
  const file = join(await folder(), 'nothing.yaml');
  await writeFile(file, '');

  expect(await switchbackHere(['status', '--dry-run', '--plan', file])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("unknown option '--dry-run'") as unknown,
  });
});
