/** The real application: two portal processes under load while tenants move, with the target killed on the way. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { check } from '../../examples/demo/checker.ts';
import { startLoad } from '../../examples/demo/load.ts';
import { readParties } from '../../examples/demo/parties.ts';
import { TABLES, createTable } from '../../examples/sms-portal/schema.sql.ts';
import { seed } from '../../examples/sms-portal/seed.ts';
import { publishStage, type Stats } from '../../src/app/index.ts';
import { INSTRUMENTS, type Instrument } from '../../src/app/telemetry.ts';
import { copyTable, tablesOf } from '../../src/db/backfill.ts';
import { installCapture, registerTables } from '../../src/db/capture.ts';
import { admitTenants, installControl } from '../../src/db/control.ts';
import { Database } from '../../src/db/database.ts';
import { Mirror } from '../../src/db/mirror.ts';
import { MirrorLoop } from '../../src/db/mirror-loop.ts';
import { ident } from '../../src/db/sql.ts';
import { admitStage, flipStage } from '../../src/db/stages.ts';
import { loadTracked, type Pair } from '../../src/db/tracked.ts';
import type { Stage } from '../../src/domain/stage.ts';
import { parseProbeAnswer } from '../../src/domain/probe.ts';
import { loadPlan } from '../../src/plan.ts';
import { prometheusName } from '../support/metrics-doc.ts';
import { ownStack } from '../support/stack.ts';

const stack = ownStack({ only: ['source', 'target', 'redis'] });
const schema = `sms_${randomBytes(3).toString('hex')}`;
const control = `ctl_${schema}`;
const TENANTS = ['acme', 'globex', 'initech'];
const EVERYBODY = ['_shared', ...TENANTS];
const portals: ChildProcess[] = [];
let addresses: string[] = [];
let pair: Pair;
let redis: Redis;
let loop: MirrorLoop;

beforeAll(async () => {
  const { source, target } = stack();
  await seed({ url: source.url(), schema, messages: 3_000 });
  pair = {
    source: new Database({ side: 'source', url: source.url() }),
    target: new Database({ side: 'target', url: target.url() }),
    control,
    sourceSchema: schema,
    targetSchema: schema,
  };
  await pair.target.session(async (session) => {
    await session.run(`CREATE DATABASE ${ident(schema)} COLLATE utf8mb4_unicode_ci`);
    await session.run(`USE ${ident(schema)}`);
    for (const name of Object.keys(TABLES)) await session.run(createTable(name));
  });
  await installControl(pair.source, pair.target, control);
  const { tables } = await loadPlan('examples/sms-portal/plan.yaml');
  await registerTables(pair, tables);
  await installCapture(pair);
  await admitTenants(pair.target, control, [...EVERYBODY, '_unresolved']);
  for (const tenant of EVERYBODY) await admitStage(pair.source, control, tenant);
  redis = new Redis(stack().redis.url);
  loop = new MirrorLoop(pair, { info: () => {}, warn: () => {}, published: () => Promise.resolve() });
  loop.start();
  addresses = await Promise.all([openPortal(), openPortal()]);
});

afterAll(async () => {
  await loop?.stop();
  redis?.disconnect();
  for (const portal of portals) portal.kill('SIGKILL');
  await Promise.all([pair?.source.close(), pair?.target.close()]);
});

async function openPortal(): Promise<string> {
  const env = {
    PATH: process.env['PATH'],
    SWITCHBACK_SOURCE: stack().source.url(),
    SWITCHBACK_TARGET: stack().target.url(),
    REDIS_URL: stack().redis.url,
    SWITCHBACK_SCHEMA: schema,
    SWITCHBACK_CONTROL: control,
    // A busy machine needs more than the default to mirror a write; over budget, reads stay on the source.
    MIRROR_BUDGET_MS: '1000',
    METRICS: '1',
  };
  const portal = spawn(process.execPath, ['--import', 'tsx', 'examples/sms-portal/server.ts'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  portals.push(portal);
  for await (const line of createInterface({ input: portal.stdout })) {
    const found = /^portal listening on (http:\S+)$/.exec(line);
    if (found !== null) return found[1]!;
  }
  throw new Error('the portal ended before it listened');
}

async function move(tenants: readonly string[], to: Stage): Promise<void> {
  for (const tenant of tenants) {
    const row = await flipStage(pair.source, control, {
      tenant,
      to,
      expectEpoch: null,
      from: ['source-only', 'dual-write', 'shadow-read', 'read-target'],
      actor: 'test',
      reason: 'test',
      requestId: null,
    });
    await publishStage(redis, control, row);
  }
}

async function backfill(): Promise<void> {
  const tracked = await loadTracked(pair);
  const limits = {
    windowTarget: 300,
    windowRows: 1_000,
    windowBytes: 8_388_608,
    reconcileRows: 1_000,
    backfillParallel: 1,
    threadsRunning: 1_000,
    rowsPerSecond: 0,
  };
  for (const tenant of EVERYBODY) {
    for (const { id } of tablesOf(tracked, tenant)) {
      await copyTable(pair, tracked, {
        tenant,
        round: 1,
        tableId: id,
        limits,
        pace: () => Promise.resolve(0),
        progress: () => {},
        until: () => false,
      });
    }
  }
}

const stats = async (): Promise<Stats[]> =>
  Promise.all(addresses.map(async (address) => (await (await fetch(`${address}/stats`)).json()) as Stats));

/** Waits until it holds of each of them. */
async function everyPortal(holds: (stats: Stats) => boolean): Promise<void> {
  const ends = Date.now() + 60_000;
  await sleep(1_500);
  for (;;) {
    const found = await stats();
    if (found.every(holds)) return;
    if (Date.now() > ends) throw new Error(`not so of every portal: ${JSON.stringify(found)}`);
    await sleep(100);
  }
}

const post = (path: string, body: unknown) =>
  fetch(addresses[0]! + path, { method: 'POST', body: JSON.stringify(body) });

it('loses nothing and fails no request while three tenants move under load and the target dies twice', async () => {
  const parties = await readParties(stack().source.url(), schema, TENANTS);
  const load = startLoad({ portals: addresses, tenants: TENANTS, parties, requestsPerSecond: 60 });
  await sleep(3_000);

  await move(EVERYBODY, 'dual-write');
  await backfill();
  await stack().target.kill();
  await sleep(1_500);
  await stack().target.start();
  await sleep(1_500);
  await move(EVERYBODY, 'shadow-read');
  await sleep(3_000);
  await move(EVERYBODY, 'read-target');
  await everyPortal(({ reads }) => reads.target > 0);
  const failedBefore = Math.max(...(await stats()).map((portal) => portal['aurora.write.fail']));
  await stack().target.kill();
  await everyPortal((portal) => portal['aurora.write.fail'] > failedBefore);
  await stack().target.start();
  await sleep(3_000);
  await move(['globex'], 'shadow-read');
  await sleep(1_000);
  const before = await stats();
  const report = await load.stop();
  await loop.stop();
  const mirror = new Mirror(pair, await loadTracked(pair));
  for (const tenant of [...EVERYBODY, '_unresolved']) await mirror.drain(tenant);
  const checked = await check({
    sourceUrl: stack().source.url(),
    targetUrl: stack().target.url(),
    schema,
    tables: Object.keys(TABLES),
    acknowledged: report.acknowledged,
  });

  expect(report.failures).toEqual([]);
  expect(report.staleReads).toBe(0);
  expect(checked).toMatchObject({ rowsDiffering: 0, lostWrites: 0, firstDifferences: [], firstLost: [] });
  expect(checked.rowsCompared).toBeGreaterThan(6_000);
  expect(checked.acknowledgedWrites).toBeGreaterThan(200);
  for (const { reads, shadow, ...portal } of before) {
    expect(reads.target).toBeGreaterThan(0);
    expect(portal['aurora.write.fail']).toBeGreaterThan(0);
    expect(shadow).toMatchObject({ differing: 0 });
  }
});

it('has a checker that finds a changed row, a missing one, one too many and a lost write', async () => {
  const { sourceUrl, targetUrl } = { sourceUrl: stack().source.url(), targetUrl: stack().target.url() };
  const table = (name: string) => `${ident(schema)}.${ident(name)}`;
  await pair.target.run(
    `UPDATE ${table('customers')} SET name = CONCAT(name, ' '), updated_at = updated_at WHERE id = 5`,
  );
  await pair.target.run(`DELETE FROM ${table('deliveries')} WHERE id = 7`);
  await pair.target.run(`INSERT INTO ${table('countries')} VALUES ('zz', 'Nowhere', 0, 0)`);

  const checked = await check({
    sourceUrl,
    targetUrl,
    schema,
    tables: Object.keys(TABLES),
    acknowledged: [
      { tenant: 'acme', table: 'deliveries', id: '7', state: { attempt: '1' }, writes: 1 },
      { tenant: 'acme', table: 'messages', id: '999999999', state: null, writes: 2 },
    ],
  });

  expect(checked).toMatchObject({ rowsDiffering: 3, acknowledgedWrites: 3, lostWrites: 1 });
  expect(checked.firstDifferences).toEqual([
    { table: 'countries', key: 'zz', what: 'extra', columns: [] },
    { table: 'customers', key: '5', what: 'different', columns: ['name'] },
    { table: 'deliveries', key: '7', what: 'missing', columns: [] },
  ]);
  expect(checked.firstLost).toMatchObject([{ side: 'target', table: 'deliveries', id: '7' }]);
});

it('answers bad requests with a reason', async () => {
  const answers = await Promise.all([
    post('/tenants/acme/messages', { body: 'no customer' }),
    post('/tenants/acme/messages', 'no object'),
    post('/tenants/nobody/messages', { customerId: '1', body: 'of another tenant' }),
    post('/tenants/acme/messages/1/status', { status: 'nowhere' }),
    fetch(`${addresses[0]!}/tenants/acme/messages/999999999`),
    fetch(`${addresses[0]!}/nowhere`),
  ]);

  expect(answers.map(({ status }) => status)).toEqual([400, 400, 404, 400, 404, 404]);
});

it('says how it is, and serves its metrics to Prometheus', async () => {
  const health = await fetch(`${addresses[0]}/healthz`);
  expect(health.status).toBe(200);
  expect(await health.json()).toMatchObject({ isReady: true, stagesFrom: 'table', redis: 'answers' });

  await fetch(`${addresses[0]}/tenants/acme/senders`);
  const metrics = await (await fetch(`${addresses[0]}/metrics`)).text();
  const found = [...metrics.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, kind]) => `${name} ${kind}`);
  const known = Object.entries<Instrument>(INSTRUMENTS).map(
    // Prometheus has one word for what goes up and down.
    ([name, instrument]) =>
      `${prometheusName(name, instrument)} ${instrument.kind === 'level' ? 'gauge' : instrument.kind}`,
  );
  expect(known).toEqual(expect.arrayContaining(found.filter((name) => !name.startsWith('target_info'))));
  expect(found).toContain('db_client_operation_duration histogram');
  expect(metrics).toMatch(/^switchback_reads_total\{.*switchback_side="source".*\} \d+/m);
});

it("answers the drill's probe with what it read and a canary", async () => {
  const answer = await post('/drill', { tenant: 'acme', drill: 'd-1' });
  const parsed = parseProbeAnswer(await answer.text());

  if (!parsed.ok) throw new Error(parsed.why);
  expect(parsed.canaries).toMatchObject([{ table: 'messages' }]);
  const id = parsed.canaries[0]!.key['id']!;
  const [row] = await pair.source.rows(`SELECT body FROM ${ident(schema)}.messages WHERE id = ?`, [id]);
  expect(row).toEqual({ body: 'drill d-1' });
});

it('ends on SIGTERM under load: every answer that it gave holds on both sides, and its lease is back', async () => {
  const [portal] = portals;
  const [address] = addresses;
  const ended = new Promise((resolve) => portal!.once('exit', resolve));
  const [{ id: customerId }] = (await pair.source.rows(
    `SELECT id FROM ${ident(schema)}.customers WHERE tenant_id = 'acme' LIMIT 1`,
  )) as [{ id: string }];
  const acknowledged: string[] = [];
  const failures: number[] = [];
  let isUp = true;
  const lane = async (): Promise<void> => {
    while (isUp) {
      const body = JSON.stringify({ customerId, body: 'at the end', price: '0' });
      // Nobody answers any more: what was not taken is not promised.
      const answer = await fetch(`${address}/tenants/acme/messages`, { method: 'POST', body }).catch(
        () => null,
      );
      if (answer === null) return;
      if (answer.status !== 201) failures.push(answer.status);
      const { id } = (await answer.json()) as { id?: string };
      if (id !== undefined) acknowledged.push(id);
    }
  };
  const lanes = Array.from({ length: 8 }, lane);
  while (acknowledged.length < 100) await sleep(10);

  portal!.kill('SIGTERM');

  expect(await ended).toBe(0);
  isUp = false;
  await Promise.all(lanes);
  expect(failures).toEqual([]);
  const mirror = new Mirror(pair, await loadTracked(pair));
  for (const tenant of ['acme', '_unresolved']) await mirror.drain(tenant);
  for (const side of [pair.source, pair.target]) {
    const kept = await side.rows(`SELECT id FROM ${ident(schema)}.messages WHERE body = 'at the end'`);
    const ids = new Set(kept.map((row) => row['id']));
    expect(acknowledged.filter((id) => !ids.has(id))).toEqual([]);
  }
  const left = await pair.source.rows(`SELECT node FROM ${ident(control)}.node`);
  expect(left).toHaveLength(1);
});
