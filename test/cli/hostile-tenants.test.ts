/** Tenant ids as they are found in the wild, from the plan to the application: nobody's row leaks to anybody. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Client, Connection } from '@temporalio/client';
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createRouter, type Router } from '../../src/app/index.ts';
import { closePair, openPair } from '../../src/connect.ts';
import { readMigration } from '../../src/db/migrations.ts';
import { readStages, renewLease } from '../../src/db/stages.ts';
import type { Pair } from '../../src/db/tracked.ts';
import { tenantWorkflowId } from '../../src/domain/ids.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { createLog } from '../../src/log.ts';
import { parsePlan } from '../../src/plan.ts';
import { installRuntime, startWorker, type RunningWorker } from '../../src/worker.ts';
import { stackInfo } from '../support/stack.ts';
import { switchbackHere, useFolder } from './switchback.ts';

const MOVING = [
  `o'hara "& co" \`x\``,
  String.raw`100%_\'; DROP TABLE rooms; #`,
  '😀'.repeat(255),
  '../../etc/passwd',
  'acme',
  'acme ',
  'x'.repeat(255),
];
/** Differ from one that moves only in case, in a space, in an accent, in their last character. */
const STAYING = ['ACME', 'acme  ', ' acme', 'ácme', `${'x'.repeat(254)}y`, `O'hara "& co" \`x\``];
const ALL = [...MOVING, ...STAYING];

const suffix = randomBytes(4).toString('hex');
const schema = `hostile_${suffix}`;
const control = `ctl_${suffix}`;
const EXACT = 'utf8mb4_0900_bin';

const PLAN = `
name: hostile-${suffix}
source: { urlEnv: HOSTILE_SOURCE, schema: ${schema} }
target: { urlEnv: HOSTILE_TARGET, schema: ${schema} }
control: { schema: ${control} }
tables: { rooms: { tenant: { column: tenant_id } }, beds: { tenant: { parent: rooms, column: room_id } } }
waves: [{ name: first, tenants: [${ALL.map((id) => JSON.stringify(id)).join(', ')}], approval: false }]
durations: { shadow: 300ms, soak: 60s, reconcileEvery: 300ms, gateEvery: 4s, drill: 100ms, certificate: 60s }
gates: { shadowSamples: 0, nodes: 1 }
limits: { windowRows: 50, threadsRunning: 500 }
`;

const folder = useFolder();
const nodes = new AbortController();
let pair: Pair;
let plan: Plan;
let client: Client;
let worker: RunningWorker | null = null;
let router: Router | null = null;

const bytes = (id: string): string => Buffer.from(id).toString('hex').toUpperCase();

beforeAll(async () => {
  installRuntime(createLog('temporal', 'silent'));
  const { sourceUrl, targetUrl, temporalAddress } = stackInfo();
  Object.assign(process.env, {
    HOSTILE_SOURCE: sourceUrl,
    HOSTILE_TARGET: targetUrl,
    TEMPORAL_ADDRESS: temporalAddress,
  });
  plan = parsePlan(PLAN, 'plan.yaml');
  pair = openPair(plan);
  client = new Client({ connection: await Connection.connect({ address: temporalAddress }) });
  await pair.source.run(`CREATE DATABASE ${schema}`);
  await sql(
    `CREATE TABLE rooms (id INT AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(255) COLLATE ${EXACT} NOT NULL, name VARCHAR(20) NOT NULL, KEY by_tenant (tenant_id, id))`,
  );
  await sql(
    'CREATE TABLE beds (id INT AUTO_INCREMENT PRIMARY KEY, room_id INT NOT NULL, n INT NOT NULL, KEY (room_id))',
  );
  for (const id of ALL)
    for (const name of ['one', 'two'])
      await sql(
        `INSERT INTO rooms (tenant_id, name) VALUES (CONVERT(X'${bytes(id)}' USING utf8mb4), '${name}')`,
      );
  await sql('INSERT INTO beds (room_id, n) SELECT id, id FROM rooms');
});

afterAll(async () => {
  nodes.abort();
  await router?.close();
  await worker?.stop();
  for (const id of ALL)
    await client.workflow
      .getHandle(tenantWorkflowId(plan.name, id))
      .terminate()
      .catch(() => {});
  await client.connection.close();
  for (const name of [control, schema])
    for (const db of [pair.source, pair.target]) await db.run(`DROP DATABASE IF EXISTS ${name}`);
  await closePair(pair);
});

const sql = (statement: string): Promise<unknown> =>
  pair.source.session(async (session) => {
    await session.run(`USE ${schema}`);
    return session.run(statement);
  });

async function say(...words: string[]) {
  const file = join(await folder(), 'switchback.yaml');
  await writeFile(file, PLAN);
  const said = await switchbackHere([...words, '--plan', file, '--json']);
  return { ...said, json: JSON.parse(said.stdout) as Record<string, unknown> };
}

const because = ['--reason', 'a test'];

/** Rooms and beds by the bytes of their tenant, as the server's own SQL finds them. */
async function held(side: 'source' | 'target', only: readonly string[] | null = null): Promise<string[]> {
  const where =
    only === null
      ? ''
      : `WHERE HEX(CONVERT(r.tenant_id USING utf8mb4)) IN (${only.map((id) => `'${bytes(id)}'`).join(', ')})`;
  const rows = await pair[side].rows(
    `SELECT CONCAT_WS('/', HEX(r.tenant_id), r.id, r.name, b.id, b.n) AS line FROM ${schema}.rooms r LEFT JOIN ${schema}.beds b ON b.room_id = r.id ${where} ORDER BY 1`,
  );
  return rows.map((row) => row['line']!);
}

async function equal(): Promise<void> {
  for (let look = 0; look < 100; look += 1) {
    if (JSON.stringify(await held('target')) === JSON.stringify(await held('source', MOVING))) break;
    await sleep(100);
  }
  // What is not mirrored at once could still come.
  await sleep(1_000);
  expect(await held('target')).toEqual(await held('source', MOVING));
}

function follow(): void {
  const renew = async (): Promise<void> => {
    while (!nodes.signal.aborted) {
      const rows = await readStages(pair.source, control, -1);
      const version = Math.max(0, ...rows.map((row) => row.version));
      await renewLease(pair.source, control, { node: 'n', service: 'test', version, leaseMs: 10_000 });
      await sleep(50, undefined, { signal: nodes.signal }).catch(() => {});
    }
  };
  renew().catch(() => {});
}

describe.sequential('hostile tenant ids', () => {
  it.each([
    ['utf8mb4_0900_ai_ci', ['ACME', 'ácme']],
    ['utf8mb4_bin', ['acme ', 'acme  ']],
  ])('under %s preflight refuses those that it calls equal', async (collation, twins) => {
    await sql(`ALTER TABLE rooms MODIFY tenant_id VARCHAR(255) COLLATE ${collation} NOT NULL`);

    const said = await say('plan', 'check');

    await sql(`ALTER TABLE rooms MODIFY tenant_id VARCHAR(255) COLLATE ${EXACT} NOT NULL`);
    expect(said.code, said.all).toBe(2);
    const { problems } = (
      said.json as { error: { problems: { field: string; value: string; problem: string }[] } }
    ).error;
    const found = problems.filter(({ problem }) => problem.includes('are different tenants, but one'));
    for (const twin of ['acme', ...twins])
      expect(
        found.some(
          ({ field, value }) =>
            field === 'tables.rooms.tenant.column' && value.split('" and "').includes(twin),
        ),
        twin,
      ).toBe(true);
  });

  it('are started by their exact text, each with a run and a search attribute of its own', async () => {
    const installed = await say('install', '--target-schema', ...because);
    expect(installed.code, installed.all).toBe(0);
    follow();

    for (const id of MOVING) {
      const said = await say('start', id, ...because);
      expect(said.code, said.all).toBe(0);
      expect(said.json).toMatchObject({ started: [{ tenant: id, how: 'started' }] });
    }

    const ids = MOVING.map((id) => tenantWorkflowId(plan.name, id));
    expect(new Set(ids).size).toBe(MOVING.length);
    for (const id of ids) expect(id).toMatch(/^[a-z0-9/-]{1,100}$/);
    for (const [index, id] of MOVING.entries()) {
      const { searchAttributes } = await client.workflow.getHandle(ids[index]!).describe();
      const [said] = searchAttributes['SwitchbackTenant'] as string[];
      expect(said).toBe(id);
    }
    const near = await say('start', 'acme   ', ...because);
    expect(near.code, near.all).toBe(3);
  }, 120_000);

  it('move with their own rows and no others, under writes', async () => {
    worker = startWorker({ plan, log: createLog('test-worker', 'silent') });
    for (const id of ALL)
      await sql(
        `UPDATE rooms SET name = CONCAT(name, '+') WHERE tenant_id = CONVERT(X'${bytes(id)}' USING utf8mb4)`,
      );
    const ends = Date.now() + 150_000;
    for (const id of MOVING) {
      for (;;) {
        const found = await readMigration(pair.source, control, id);
        if (found?.phase === 'ramp') break;
        if (Date.now() > ends)
          throw new Error(`${id.slice(0, 20)}: ${found?.phase} (${found?.mode}: ${found?.reason})`);
        await sleep(100);
      }
    }
    await equal();
    expect(await held('target', STAYING)).toEqual([]);
    const states = await readStages(pair.source, control, -1);
    for (const id of MOVING) expect(states.find(({ tenant }) => tenant === id)?.stage).toBe('read-target');
    for (const id of STAYING)
      expect(states.find(({ tenant }) => tenant === id)?.stage ?? 'source-only').toBe('source-only');
  }, 180_000);

  it('are written beside each other, and only those that move are mirrored', async () => {
    for (const id of ALL) {
      const owner = `CONVERT(X'${bytes(id)}' USING utf8mb4)`;
      await sql(`UPDATE rooms SET name = CONCAT(name, '*') WHERE tenant_id = ${owner}`);
      await sql(`INSERT INTO rooms (tenant_id, name) VALUES (${owner}, 'three')`);
      await sql(`INSERT INTO beds (room_id, n) SELECT MAX(id), 3 FROM rooms WHERE tenant_id = ${owner}`);
    }
    await equal();
  });

  it('change hands row by row', async () => {
    const to = (id: string): string => `CONVERT(X'${bytes(id)}' USING utf8mb4)`;
    await sql(
      `UPDATE rooms SET tenant_id = ${to('ACME')} WHERE tenant_id = ${to('acme')} AND name LIKE 'one%'`,
    );
    await sql(
      `UPDATE rooms SET tenant_id = ${to('acme ')} WHERE tenant_id = ${to('acme  ')} AND name LIKE 'two%'`,
    );
    await equal();
  });

  it('are read where their own stage says, by the application', async () => {
    const { sourceUrl, targetUrl } = stackInfo();
    const schemas = { source: schema, target: schema };
    router = await createRouter({
      source: sourceUrl,
      target: targetUrl,
      schema: schemas,
      control,
      service: 'test',
      sampleRate: 0,
    });
    for (const id of ALL) {
      const [rows] = await router
        .tenant(id)
        .read('rooms', (conn) =>
          conn.query<RowDataPacket[]>('SELECT tenant_id FROM rooms WHERE tenant_id = ?', [id]),
        );
      expect(rows.length).toBeGreaterThan(0);
      expect(rows.every((row) => row['tenant_id'] === id)).toBe(true);
    }
    expect(router.stats().reads).toEqual({ source: STAYING.length, target: MOVING.length });
    await router
      .tenant('acme ')
      .write((conn) => conn.execute('INSERT INTO rooms (tenant_id, name) VALUES (?, ?)', ['acme ', 'new']));
    await equal();
    const status = await say('status', MOVING[1]!);
    expect(status.code, status.all).toBe(0);
    expect(JSON.stringify(status.json)).toContain(JSON.stringify(MOVING[1]).slice(1, -1));
  });
});
