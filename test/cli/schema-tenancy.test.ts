/** A schema for each tenant, as an operator moves it: checked, installed, started, and read by an application. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Connection, Client } from '@temporalio/client';
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createRouter, type Router } from '../../src/app/index.ts';
import { closePair, openPair } from '../../src/connect.ts';
import { readMigration } from '../../src/db/migrations.ts';
import { readStages, renewLease } from '../../src/db/stages.ts';
import type { Pair } from '../../src/db/tracked.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { createLog } from '../../src/log.ts';
import { parsePlan } from '../../src/plan.ts';
import { installRuntime, startWorker, type RunningWorker } from '../../src/worker.ts';
import { stackInfo } from '../support/stack.ts';
import { switchbackHere, useFolder } from './switchback.ts';

const suffix = randomBytes(4).toString('hex');
const control = `ctl_${suffix}`;
const schemaOf = (tenant: string): string => `s${suffix}_${tenant}`;
const TENANTS = ['acme', 'Globex-2'];

/** No tenant column anywhere; the same keys and unique values in every schema. */
const TABLES = [
  'CREATE TABLE orders (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, code VARCHAR(40) NOT NULL, total DECIMAL(12,2) NOT NULL, UNIQUE KEY code (code))',
  'CREATE TABLE items (order_id INT NOT NULL, line INT NOT NULL, what VARCHAR(100) NULL, PRIMARY KEY (order_id, line), CONSTRAINT items_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE)',
];

const PLAN = `
name: schemas-${suffix}
source: { urlEnv: SCHEMAS_SOURCE, schema: 's${suffix}_{tenant}' }
target: { urlEnv: SCHEMAS_TARGET, schema: 's${suffix}_{tenant}' }
redis: { urlEnv: SCHEMAS_REDIS }
control: { schema: ${control} }
tables: { orders: { tenant: schema }, items: { tenant: schema } }
waves: [{ name: first, tenants: [${TENANTS.join(', ')}], approval: false }]
durations: { shadow: 500ms, soak: 60s, reconcileEvery: 300ms, gateEvery: 4s, drill: 200ms, certificate: 60s }
gates: { shadowSamples: 0, nodes: 1 }
limits: { windowRows: 50, threadsRunning: 500 }
`;

const folder = useFolder();
const nodes = new AbortController();
let pair: Pair;
let plan: Plan;
let worker: RunningWorker | null = null;
let router: Router | null = null;

beforeAll(async () => {
  installRuntime(createLog('temporal', 'silent'));
  const { sourceUrl, targetUrl, redisUrl, temporalAddress } = stackInfo();
  Object.assign(process.env, {
    SCHEMAS_SOURCE: sourceUrl,
    SCHEMAS_TARGET: targetUrl,
    SCHEMAS_REDIS: redisUrl,
    TEMPORAL_ADDRESS: temporalAddress,
  });
  plan = parsePlan(PLAN, 'plan.yaml');
  pair = openPair(plan);
  for (const tenant of TENANTS) {
    await pair.source.run(`CREATE DATABASE \`${schemaOf(tenant)}\``);
    for (const table of TABLES) await sql('source', tenant, table);
    const rows = Array.from({ length: 300 }, (_, n) => `('c${n}', ${n}.25)`).join(', ');
    await sql('source', tenant, `INSERT INTO orders (code, total) VALUES ${rows}`);
    await sql('source', tenant, `INSERT INTO items SELECT id, 1, '${tenant}' FROM orders`);
  }
});

afterAll(async () => {
  nodes.abort();
  await router?.close();
  await worker?.stop();
  const client = new Client({
    connection: await Connection.connect({ address: stackInfo().temporalAddress }),
  });
  const open = client.workflow.list({
    query: `ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH 'switchback/${plan.name}'`,
  });
  for await (const run of open)
    await client.workflow
      .getHandle(run.workflowId)
      .terminate()
      .catch(() => {});
  await client.connection.close();
  for (const name of [control, ...TENANTS.map(schemaOf)])
    for (const db of [pair.source, pair.target]) await db.run(`DROP DATABASE IF EXISTS \`${name}\``);
  await closePair(pair);
});

const sql = (side: 'source' | 'target', tenant: string, statement: string): Promise<unknown> =>
  pair[side].session(async (session) => {
    await session.run(`USE \`${schemaOf(tenant)}\``);
    return session.run(statement);
  });

/** Every row of both tables as the server prints it: shares no code with the product's encodings. */
async function everything(side: 'source' | 'target', tenant: string): Promise<string[]> {
  const name = (table: string): string => `\`${schemaOf(tenant)}\`.${table}`;
  const rows = await pair[side].rows(
    `SELECT CONCAT_WS('/', 'o', id, code, total) AS line FROM ${name('orders')} UNION ALL
     SELECT CONCAT_WS('/', 'l', order_id, line, what) FROM ${name('items')} ORDER BY 1`,
  );
  return rows.map((row) => row['line']!);
}

async function say(...words: string[]) {
  const file = join(await folder(), 'switchback.yaml');
  await writeFile(file, PLAN);
  const said = await switchbackHere([...words, '--plan', file, '--json']);
  return { ...said, json: JSON.parse(said.stdout) as Record<string, unknown> };
}

const because = ['--reason', 'a test'];

async function reached(tenant: string, phase: string, withinMs = 60_000): Promise<void> {
  const ends = Date.now() + withinMs;
  for (;;) {
    const found = await readMigration(pair.source, pair.control, tenant);
    if (found?.phase === phase) return;
    if (Date.now() > ends) throw new Error(`${tenant}: ${found?.phase} (${found?.mode}: ${found?.reason})`);
    await sleep(50);
  }
}

async function equal(tenant: string): Promise<void> {
  const source = await everything('source', tenant);
  for (let look = 0; look < 100; look += 1) {
    if (JSON.stringify(await everything('target', tenant)) === JSON.stringify(source)) break;
    await sleep(100);
  }
  expect(await everything('target', tenant)).toEqual(source);
}

function follow(): void {
  const renew = async (): Promise<void> => {
    while (!nodes.signal.aborted) {
      const rows = await readStages(pair.source, control, -1);
      const version = Math.max(0, ...rows.map((row) => row.version));
      await renewLease(pair.source, control, { node: 'n', service: 'test', version, leaseMs: 5_000 });
      await sleep(50, undefined, { signal: nodes.signal }).catch(() => {});
    }
  };
  renew().catch(() => {});
}

describe.sequential('a schema for each tenant', () => {
  it('is checked in every schema: what one tenant lacks is said with its name', async () => {
    await sql('source', 'Globex-2', 'RENAME TABLE items TO itemz');

    const said = await say('plan', 'check');

    expect(said.code, said.all).toBe(2);
    const problems = JSON.stringify(said.json);
    expect(problems).toContain(`Globex-2: tables.items`);
    expect(problems).not.toContain(`acme: tables.items`);
    await sql('source', 'Globex-2', 'RENAME TABLE itemz TO items');
  });

  it('refuses a foreign key that leaves the schema', async () => {
    const outside = `\`${schemaOf('Globex-2')}\``;
    await sql(
      'source',
      'acme',
      `ALTER TABLE orders ADD CONSTRAINT away FOREIGN KEY (code) REFERENCES ${outside}.orders (code)`,
    );

    const said = await say('install', '--target-schema', ...because);

    expect(said.code, said.all).toBe(2);
    expect(JSON.stringify(said.json)).toContain(
      `is a foreign key to ${schemaOf('Globex-2')}.orders, outside the tenant's schema`,
    );
    await sql('source', 'acme', 'ALTER TABLE orders DROP FOREIGN KEY away');
  });

  it('prints what an install would do, and does it: schemas, tables and triggers of every tenant', async () => {
    const dry = await say('install', '--target-schema', '--dry-run');
    const statements = JSON.stringify(dry.json);
    for (const tenant of TENANTS) {
      expect(statements).toContain(`CREATE DATABASE IF NOT EXISTS \`${schemaOf(tenant)}\``);
      expect(statements).toContain(`ON \`${schemaOf(tenant)}\`.\`orders\` FOR EACH ROW`);
    }

    const said = await say('install', '--target-schema', ...because);
    const again = await say('install', '--target-schema', ...because);

    expect([said.code, again.code], said.all + again.all).toEqual([0, 0]);
    const triggers = await pair.source.rows(
      `SELECT TRIGGER_SCHEMA AS name, COUNT(*) AS n FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA LIKE 's${suffix}%' GROUP BY 1 ORDER BY 1`,
    );
    expect(triggers.map((row) => row['name'])).toEqual(TENANTS.map(schemaOf).sort());
    expect(new Set(triggers.map((row) => row['n'])).size).toBe(1);
  });

  it('moves one tenant from the command to its reads, and leaves the other where it is', async () => {
    follow();
    worker = startWorker({ plan, log: createLog('test-worker', 'silent') });

    const said = await say('start', 'acme', ...because);
    expect(said.code, said.all).toBe(0);
    await sql(
      'source',
      'acme',
      "UPDATE orders SET total = total + 1, code = CONCAT(code, 'x') WHERE id % 7 = 0",
    );
    await sql('source', 'acme', 'DELETE FROM orders WHERE id % 11 = 0');
    await sql('source', 'Globex-2', 'UPDATE orders SET total = total + 1 WHERE id % 7 = 0');
    await reached('acme', 'ramp');

    await equal('acme');
    expect(await everything('target', 'Globex-2')).toEqual([]);
    expect(await readMigration(pair.source, control, 'Globex-2')).toBeNull();
  }, 120_000);

  it('reads and writes with the schema of the tenant, on the side that its stage says', async () => {
    const schema = { source: plan.source.schema, target: plan.target.schema };
    const { sourceUrl, targetUrl } = stackInfo();
    router = await createRouter({
      source: sourceUrl,
      target: targetUrl,
      schema,
      control,
      service: 'test',
      connections: 1,
      sampleRate: 1,
    });
    const who = (tenant: string) =>
      router!.tenant(tenant).read('who', async (conn) => {
        const [rows] = await conn.query<RowDataPacket[]>(
          'SELECT DATABASE() AS here, MAX(what) AS what FROM items',
        );
        return { ...rows[0] };
      });

    // One connection a pool: each tenant gets the session that another just had.
    for (let turn = 0; turn < 3; turn += 1)
      for (const tenant of TENANTS)
        expect(await who(tenant)).toEqual({ here: schemaOf(tenant), what: tenant });
    expect(router.stage('acme')).toBe('read-target');
    expect(router.stats().reads).toMatchObject({ target: 3, source: 3 });

    for (const tenant of TENANTS)
      await router
        .tenant(tenant)
        .write((conn) => conn.execute("INSERT INTO orders (code, total) VALUES ('app', 1)"));
    const codes = (tenant: string) =>
      router!
        .tenant(tenant)
        .read(
          'codes',
          async (conn) =>
            (await conn.query<RowDataPacket[]>("SELECT id FROM orders WHERE code = 'app'"))[0].length,
        );
    expect([await codes('acme'), await codes('Globex-2')]).toEqual([1, 1]);
    await equal('acme');
    expect(await everything('target', 'Globex-2')).toEqual([]);
  });

  it('refuses another tenant inside a write, and an id that names no schema', async () => {
    const inner = router!
      .tenant('acme')
      .write(async () => router!.tenant('Globex-2').write(() => Promise.resolve(1)));
    await expect(inner).rejects.toMatchObject({ name: 'OtherSchemaError' });
    const read = router!
      .tenant('acme')
      .write(async () => router!.tenant('Globex-2').read('r', () => Promise.resolve(1)));
    await expect(read).rejects.toMatchObject({ name: 'OtherSchemaError' });
    await expect(router!.tenant('../mysql').read('r', () => Promise.resolve(1))).rejects.toMatchObject({
      name: 'SchemaMismatchError',
    });
  });

  it('marks only the tenant whose capture was lost, and trips only its reads back', async () => {
    const said = await say('start', 'Globex-2', ...because);
    expect(said.code, said.all).toBe(0);
    await reached('Globex-2', 'ramp');
    await equal('Globex-2');

    await sql('source', 'Globex-2', 'TRUNCATE TABLE items');
    for (let look = 0; look < 100; look += 1) {
      const rows = await readStages(pair.source, control, -1);
      // A pass may find the extra rows, and trip back, before the watch finds the cause.
      const found = rows.find(({ tenant }) => tenant === 'Globex-2');
      if (found?.stage === 'shadow-read' && found.dirty) break;
      await sleep(100);
    }

    const stages = new Map((await readStages(pair.source, control, -1)).map((row) => [row.tenant, row]));
    expect(stages.get('Globex-2')).toMatchObject({ stage: 'shadow-read', dirty: true });
    expect(stages.get('acme')).toMatchObject({ stage: 'read-target', dirty: false });
  }, 120_000);

  it("holds up nobody else when a tenant's schema is gone", async () => {
    await pair.source.run(`DROP DATABASE \`${schemaOf('Globex-2')}\``);
    await sql('source', 'acme', "INSERT INTO orders (code, total) VALUES ('after', 2)");
    await sleep(1_500);

    await equal('acme');
    const status = await say('status', 'acme');
    expect(status.code, status.all).toBe(0);
  }, 60_000);
});
