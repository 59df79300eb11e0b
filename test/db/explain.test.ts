/**
 * Every statement that the product sends to a table, captured while real flows run, and its plan on tables of
 * some size: a key is used, and no more is read than a window. On MySQL and on MariaDB as the source.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { copyTable, tablesOf } from '../../src/db/backfill.ts';
import { captureInput } from '../../src/db/capture.ts';
import { lostCapture } from '../../src/db/capture-loss.ts';
import { readEvidence } from '../../src/db/evidence.ts';
import { abandonPass, markRepaired, readDrift, supersedeDrift } from '../../src/db/ledger.ts';
import { MirrorLoop } from '../../src/db/mirror-loop.ts';
import { purgeJournal } from '../../src/db/mirror.ts';
import { claimTenant, readMigration, readMigrations } from '../../src/db/migrations.ts';
import { reconcileSlice } from '../../src/db/reconcile.ts';
import { ident } from '../../src/db/sql.ts';
import {
  endLease,
  flipStage,
  markDirty,
  readNodes,
  readStage,
  readStages,
  renewLease,
} from '../../src/db/stages.ts';
import { gatherTimeChanges } from '../../src/db/time-windows.ts';
import { homeOf, loadTracked } from '../../src/db/tracked.ts';
import { planTriggers } from '../../src/db/triggers.ts';
import { readJournalAges } from '../../src/app/journal-ages.ts';
import { startMariadb } from '../../src/stack/mariadb.ts';
import { onPath } from '../../src/stack/programs.ts';
import type { DatabaseServer } from '../../src/stack/database-server.ts';
import { limits } from '../support/limits.ts';
import { child, column, shared, useFixture, type Fixture, type PairUrls } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';
import {
  faultsOf,
  planOf,
  readsOf,
  recordStatements,
  shapeOf,
  type Recorded,
} from '../support/statements.ts';

const ROWS = 20_000;
const TENANTS = 2_000;
const WINDOW = 1_000;
/** Estimates of a range are up to four times too high. */
const ROWS_MAX = 4 * WINDOW;
/** Rows of a window, of two parents each, and of one temporary table. */
const READS_MAX = 6 * WINDOW;

const TABLES = {
  ahead: '(tenant_id VARCHAR(40) NOT NULL, id BIGINT NOT NULL, n INT NOT NULL, PRIMARY KEY (tenant_id, id))',
  owned:
    '(id BIGINT PRIMARY KEY, tenant_id VARCHAR(40) NOT NULL, email VARCHAR(80) NOT NULL, n INT NOT NULL, KEY (tenant_id), UNIQUE KEY (email))',
  timed:
    '(id BIGINT PRIMARY KEY, tenant_id VARCHAR(40) NOT NULL, at DATETIME(6) NOT NULL, n INT NOT NULL, KEY (tenant_id, at))',
  notes: '(id BIGINT PRIMARY KEY, owned_id BIGINT NOT NULL, n INT NOT NULL, KEY (owned_id))',
  items: '(note_id BIGINT NOT NULL, line INT NOT NULL, n INT NOT NULL, PRIMARY KEY (note_id, line))',
  codes: '(code VARCHAR(40) COLLATE utf8mb4_general_ci PRIMARY KEY, n INT NOT NULL)',
  uuids: '(id BINARY(16) PRIMARY KEY, tenant_id VARCHAR(40) NOT NULL, n INT NOT NULL, KEY (tenant_id, id))',
  texts:
    "(kind ENUM('a','b') NOT NULL, id CHAR(36) CHARACTER SET latin1 NOT NULL, tenant_id VARCHAR(40) NOT NULL, n INT NOT NULL, PRIMARY KEY (kind, id), KEY (tenant_id))",
} as const;

/** Of row `i`: nine tenths are the ant's; ids go below zero and leave a hole of 10^12. */
const TENANT = `IF(i % 10 > 0, 'ant', CONCAT('t', i % 50))`;
const ID = `IF(i % 2 = 0, i, IF(i < 5000, -i, 1000000000000 + i))`;
const FILL: Readonly<Record<keyof typeof TABLES, string>> = {
  ahead: `SELECT ${TENANT}, ${ID}, 0`,
  owned: `SELECT ${ID}, ${TENANT}, CONCAT(i, '@example.org'), 0`,
  timed: `SELECT ${ID}, ${TENANT}, IF(i % 4 = 0, '2026-01-01', TIMESTAMP('2026-01-01') + INTERVAL i SECOND), 0`,
  notes: `SELECT i, ${ID}, 0`,
  items: 'SELECT i, 1, 0',
  codes: "SELECT CONCAT('code-', i), 0",
  uuids: `SELECT UNHEX(MD5_), ${TENANT}, 0`,
  texts: `SELECT 1 + i % 2, INSERT(INSERT(MD5_, 9, 0, '-'), 14, 0, '-'), ${TENANT}, 0`,
};

/** Statements that read through a table on purpose: a part of their shape, and why. */
const ALLOWED: readonly (readonly [shape: RegExp, why: string])[] = [
  [/information_schema/i, 'exempt: the server keeps it'],
  [/FROM `ctl`\.`(?:tracked_table|capture_trigger|version)`/, 'a row per tracked table, trigger or schema'],
  [/FROM `ctl`\.`node`/, 'a row per application node'],
  [/^SELECT COUNT\(\*\) AS n FROM `app`/, 'once for each table and run: how many parts, what of how much'],
  [/`ctl`\.`migration` ORDER BY started_at/, 'status lists every tenant'],
  [/FROM `ctl`\.`stage` WHERE version > -\?/, 'status, and lost capture: every tenant'],
];

/** A SELECT on the application's tables: it can be run once more, and what it reads be counted. */
const isMeasured = (sql: string): boolean => /^SELECT .*\bFROM `app_/s.test(sql);

const isAllowed = (shape: string): boolean => ALLOWED.some(([allowed]) => allowed.test(shape));

function fill(fixture: Fixture): Promise<void> {
  const digits =
    '(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)';
  const numbers = `(SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d AS i, LEFT(SHA2(a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d, 256), 32) AS MD5_
    FROM ${digits} a, ${digits} b, ${digits} c, ${digits} e, (SELECT 0 d UNION ALL SELECT 1) f)`;
  return (async () => {
    for (const [name, select] of Object.entries(FILL))
      await fixture.sql('source', `INSERT INTO ${name} ${select} FROM ${numbers} x WHERE i <= ${ROWS}`);
  })();
}

const SIDES = ['source', 'target'] as const;

/** What a fleet leaves behind in six weeks. */
async function age({ pair, sql }: Fixture): Promise<void> {
  const control = ident(pair.control);
  await sql(
    'source',
    `INSERT IGNORE INTO ${control}.stage (tenant, stage, epoch, version) SELECT CONCAT('t', ABS(id)), IF(id % 3, 'source-only', 'dual-write'), 1, ABS(id) FROM owned WHERE id BETWEEN 1 AND ${2 * TENANTS}`,
  );
  await sql(
    'source',
    `INSERT INTO ${control}.journal (tenant, table_id, row_key) SELECT tenant_id, 2, CONCAT(LENGTH(id), ':', id) FROM owned`,
  );
  await sql(
    'source',
    `INSERT INTO ${control}.journal (tenant, table_id, row_key) SELECT CONCAT('t', ABS(id)), 4, CONCAT(LENGTH(id), ':', id) FROM owned WHERE id BETWEEN 1 AND ${2 * TENANTS}`,
  );
  await sql(
    'source',
    `INSERT INTO ${control}.audit (tenant, event, actor, reason) SELECT CONCAT('t', ABS(id) % ${TENANTS}), 'stage', 'a', 'b' FROM owned WHERE id > 0`,
  );
  await sql(
    'source',
    `INSERT INTO ${control}.pass (tenant, started_at, ended_at, clean) SELECT CONCAT('t', ABS(id) % ${TENANTS}), NOW(6), NOW(6), 1 FROM owned`,
  );
  await sql(
    'source',
    `INSERT INTO ${control}.pass_window (pass_id, seq, table_id, bounds, source_rows, target_rows, source_digest, target_digest, executor, at) SELECT 9 + ABS(id) % 100, ABS(id) % 4096 + 1000, 1, '', 0, 0, '', '', 'sql', NOW(6) FROM owned WHERE id BETWEEN 1 AND 4000`,
  );
  await sql(
    'source',
    `INSERT INTO ${control}.drift (tenant, table_id, row_key, class, repaired_at, verified_at) SELECT CONCAT('t', ABS(id) % ${TENANTS}), 2, CONCAT(LENGTH(id), ':', id), 'missing', NOW(6), NOW(6) FROM owned`,
  );
  await sql(
    'source',
    `INSERT IGNORE INTO ${control}.migration (tenant, phase, mode, since, run_id, wave, started_at) SELECT CONCAT('t', ABS(id)), 'shadow', 'running', NOW(6), 'r', 'w', NOW(6) FROM owned WHERE id BETWEEN 1 AND ${2 * TENANTS}`,
  );
  await sql(
    'source',
    `INSERT INTO ${control}.shadow SELECT CONCAT('t', ABS(id) % ${TENANTS}), 'read', id, 1, 0, NOW(6), NOW(6), NULL FROM owned`,
  );
  await sql(
    'source',
    `INSERT INTO ${control}.shadow_difference SELECT CONCAT('t', ABS(id) % ${TENANTS}), 'read', id, 'value', 1, 0, NOW(6) FROM owned`,
  );
  await sql(
    'source',
    `INSERT INTO ${control}.certificate (tenant, content) SELECT CONCAT('t', ABS(id) % ${TENANTS}), '' FROM owned WHERE id > 0`,
  );
  await sql('source', `INSERT INTO ${control}.time_change (table_id) SELECT 3 FROM owned LIMIT 5000`);
  await sql(
    'target',
    `INSERT IGNORE INTO ${control}.tenant_lock SELECT CONCAT('t', ABS(id)), 'forward', 0 FROM owned WHERE id BETWEEN 1 AND ${2 * TENANTS}`,
  );
  await sql(
    'target',
    `INSERT IGNORE INTO ${control}.mirror_turn SELECT CONCAT('t', ABS(id)), NOW(6) FROM owned WHERE id BETWEEN 1 AND ${2 * TENANTS}`,
  );
  await sql(
    'target',
    `INSERT IGNORE INTO ${control}.backfill_cursor SELECT CONCAT('t', ABS(id)), 2, 0, 1, NULL, NULL, 0, 0, 1, NOW(6) FROM owned WHERE id BETWEEN 1 AND ${2 * TENANTS}`,
  );
  for (const side of SIDES) {
    const tables = await pair[side].rows(
      'SELECT CONCAT(TABLE_SCHEMA, "`.`", TABLE_NAME) AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA IN (?, ?)',
      [pair.control, pair.sourceSchema],
    );
    for (const { name } of tables) await pair[side].rows(`ANALYZE TABLE \`${name}\``);
  }
}

const LIMITS = limits({
  windowTarget: 60_000,
  windowRows: WINDOW,
  reconcileRows: WINDOW,
  throttle: { historyList: 0, redoPercent: 0, replicaLag: 0 },
});

const COPY = {
  limits: LIMITS,
  pace: () => Promise.resolve(0),
  progress: () => {},
  until: () => false,
};
const PASS = { limits: LIMITS, missingAgain: 60_000, progress: () => {}, until: () => false };

async function flows(fixture: Fixture): Promise<void> {
  const { pair, tracked, mirror, sql } = fixture;
  const pass = (tenant: string) => reconcileSlice(pair, tracked, { ...PASS, tenant });
  for (const tenant of ['ant', 't10', '_shared']) {
    for (const { id } of tablesOf(tracked, tenant))
      await copyTable(pair, tracked, { ...COPY, tenant, round: 1, tableId: id });
  }
  // Touched, moved, deleted; unique values that change hands.
  for (const name of Object.keys(TABLES)) await sql('source', `UPDATE ${name} SET n = n + 1 LIMIT 200`);
  await sql('source', "UPDATE owned SET email = CONCAT('x', email) WHERE id IN (2, 4)");
  await sql('source', "UPDATE owned SET email = '2@example.org' WHERE id = 4");
  await sql('source', 'DELETE FROM items WHERE note_id BETWEEN 20 AND 40');
  await sql('source', 'INSERT INTO notes VALUES (-1, 999, 0)');
  await mirror.mirrorTenant('ant', 0);
  await mirror.mirrorTogether(['ant', 't10']);
  await mirror.reachTogether(['ant', 't10', '_shared']);
  for (const tenant of ['ant', '_shared', '_unresolved']) await mirror.drain(tenant);
  await purgeJournal(pair, 't20');
  // Drift of all three classes, and something in flight.
  await sql('target', 'UPDATE owned SET n = 77 WHERE id = 8');
  await sql('target', 'DELETE FROM timed WHERE id = 8');
  await sql('target', "INSERT INTO ahead VALUES ('ant', -77777, 0)");
  await sql('source', 'UPDATE uuids SET n = n + 1 LIMIT 3');
  for (const tenant of ['ant', 'ant', 't10', '_shared']) await pass(tenant);
  await control(fixture);
}

/** The same tables where the application writes both sides: ranges held on the source, verdicts that settle. */
async function flowsOfApplication(fixture: Fixture): Promise<void> {
  const { pair, sql } = fixture;
  await pair.source.run(`UPDATE ${ident(pair.control)}.version SET capture = 'application' WHERE id = 1`);
  const tracked = await loadTracked(pair);
  expect(tracked.capture).toBe('application');
  for (const [tenant, name] of [
    ['ant', 'owned'],
    ['ant', 'items'],
    ['ant', 'texts'],
    ['t10', 'notes'],
    ['t10', 'timed'],
    ['_shared', 'codes'],
  ] as const)
    // prettier-ignore
    await copyTable(pair, tracked, { ...COPY, tenant, round: 2, tableId: tracked.byName(name).id });
  await sql('target', 'UPDATE owned SET n = 78 WHERE id = 12');
  await sql('target', 'DELETE FROM timed WHERE id IN (12, 14)');
  await sql('target', 'DELETE FROM items WHERE note_id IN (12, 13)');
  await sql('target', "INSERT INTO ahead VALUES ('ant', -77778, 0)");
  for (const tenant of ['ant', 't10', '_shared'])
    await reconcileSlice(pair, tracked, { ...PASS, tenant, settle: 50 });
  await pair.source.run(`UPDATE ${ident(pair.control)}.version SET capture = 'triggers' WHERE id = 1`);
}

/** The polls, gates and reports. */
async function control({ pair, tracked, sql }: Fixture): Promise<void> {
  const { source } = pair;
  const name = pair.control;
  await claimTenant(pair, { tenant: 'ant', runId: 'r1', wave: 'first', adopt: false });
  await readMigration(source, name, 'ant');
  await readMigrations(source, name);
  await renewLease(source, name, { node: 'n', service: 's', version: 1, leaseMs: 1_000 });
  await readNodes(source, name);
  await endLease(source, name, 'n');
  await readStage(source, name, 'ant');
  await readStages(source, name, 1_000_000);
  await readJournalAges(source, name, ['ant', 't10', 't20']);
  await readJournalAges(source, name, ['ant', ...Array.from({ length: 40 }, (_, n) => `t${n}`)]);
  await readEvidence(pair, tracked, {
    tenant: 'ant',
    since: 0,
    round: 1,
    replicas: { named: 0, lag: null },
  });
  await readDrift(pair, 'ant', true);
  await markDirty(source, name, ['ant'], true, { actor: 'a', reason: 'r' });
  await markDirty(source, name, ['ant'], false, { actor: 'a', reason: 'r' });
  await flipStage(source, name, {
    tenant: 'ant',
    to: 'shadow-read',
    expectEpoch: null,
    from: ['dual-write'],
    actor: 'a',
    reason: 'r',
    requestId: null,
  });
  await markRepaired(pair, [1, 2]);
  await supersedeDrift(pair, 'ant');
  await abandonPass(pair, 'ant');
  await gatherTimeChanges(pair);
  await lostCapture(pair);
  const quiet = { info: () => {}, warn: () => {}, published: () => Promise.resolve() };
  const loop = new MirrorLoop(pair, quiet);
  loop.start();
  await sql('source', 'UPDATE owned SET n = n + 1 WHERE id BETWEEN 1 AND 300');
  await sleep(1_500);
  await loop.stop();
}

/** What a trigger reads: the parent of a row, and the children that it takes along. */
async function triggerReads({ pair }: Fixture): Promise<Recorded[]> {
  const bodies = planTriggers(await captureInput(homeOf(pair, ''))).map(({ body }) => body);
  return bodies
    .flatMap((body) => [...body.matchAll(/(?:CURSOR FOR )?(SELECT (?:(?!;).)*);/g)].map(([, sql]) => sql!))
    .map((sql) =>
      sql
        .replace(/ INTO owner /, ' ')
        .replaceAll(/(?:OLD|NEW)\.`(\w+)`/g, (_, name: string) => (name === 'tenant_id' ? "'ant'" : '8')),
    )
    .map((sql) => ({ side: 'source', shape: shapeOf(sql), sql }));
}

async function faults(fixture: Fixture, recorded: readonly Recorded[]): Promise<string[]> {
  const found: string[] = [];
  for (const { side, shape, sql } of recorded) {
    if (isAllowed(shape)) continue;
    const plan = await planOf(fixture.pair[side], sql);
    for (const fault of plan === null ? [] : faultsOf(sql, plan, isMeasured(sql) ? Infinity : ROWS_MAX))
      found.push(`${side} ${fault} in ${shape.slice(0, 400)}`);
  }
  return found;
}

function suite(urls: () => PairUrls): void {
  const fixture = useFixture(
    Object.entries(TABLES).map(
      ([name, body]) => `CREATE TABLE ${name} ${body} DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_unicode_ci`,
    ),
    urls,
  );
  let recorded: Recorded[] = [];

  beforeAll(async () => {
    const { install, start } = fixture();
    await fill(fixture());
    await install({
      ahead: column(),
      owned: column(),
      timed: { tenancy: column(), time: 'at' },
      notes: child('owned', 'owned_id'),
      items: child('notes', 'note_id'),
      codes: shared,
      uuids: column(),
      texts: column(),
    });
    for (const tenant of ['ant', 't10', '_shared']) await start(tenant);
    const recording = recordStatements();
    await flows(fixture());
    await flowsOfApplication(fixture());
    recorded = recording.stop();
    await age(fixture());
  }, 300_000);

  it('every plan uses a key and reads no more than a window', async () => {
    expect(recorded.length).toBeGreaterThan(60);
    expect(await faults(fixture(), recorded)).toEqual([]);
  });

  it('what the second mode of capture holds still on the source is among them', () => {
    const locking = recorded.filter(({ sql }) => sql.includes('LOCK IN SHARE MODE'));
    for (const name of ['owned', 'items', 'texts', 'notes', 'timed', 'codes'])
      expect(locking.filter(({ sql }) => sql.includes(`.\`${name}\``)).length, name).toBeGreaterThan(0);
    expect(new Set(locking.map(({ side }) => side))).toEqual(new Set(['source']));
  });

  it('and what is read in fact is no more, whatever was estimated', async () => {
    const found: string[] = [];
    for (const { side, shape, sql } of recorded) {
      if (!isMeasured(sql) || isAllowed(shape)) continue;
      const reads = await readsOf(fixture().pair[side], sql);
      if (reads > READS_MAX) found.push(`${side} ${reads} reads: ${shape.slice(0, 400)}`);
    }
    expect(found).toEqual([]);
  });

  it('a tenant with few rows is read through their parents', () => {
    const small = recorded.filter(({ sql }) => sql.includes(`X'${Buffer.from('t10').toString('hex')}'`));
    const digests = small.filter(({ shape }) => /digest FROM .*`(?:notes|items)`/.test(shape));
    const indexes = digests.map(({ shape }) => /FORCE INDEX \(`(\w+)`\)/.exec(shape)?.[1] ?? '');
    expect(new Set(indexes)).toEqual(new Set(['PRIMARY', 'owned_id']));
    for (const { sql } of digests) expect(sql).not.toMatch(/t\.`(?:id|line)` [<>]/);
  });

  it('what triggers read, they find by a key', async () => {
    const reads = await triggerReads(fixture());
    expect(reads.length).toBeGreaterThan(4);
    expect(await faults(fixture(), reads)).toEqual([]);
  });

  it('no statement compares rows', () => {
    const tuple = /(?<!\w)\((?:[^()]|\([^()]*\))*,(?:[^()]|\([^()]*\))*\) *(?:[<>=]|IN *\()/;
    expect(recorded.map(({ shape }) => shape).filter((shape) => tuple.test(shape))).toEqual([]);
  });
}

describe('from MySQL', () => {
  suite(stackInfo);
});

describe.skipIf(onPath('mariadbd').length === 0)('from MariaDB', () => {
  let server: DatabaseServer | null = null;
  beforeAll(async () => {
    server = await startMariadb({ name: 'explain' });
  });
  afterAll(() => server?.stop());
  suite(() => ({ sourceUrl: server!.url(), targetUrl: stackInfo().targetUrl }));
});
