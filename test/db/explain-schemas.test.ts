/** A schema for each tenant: the statements of copy, mirror, verdict and reconcile find their rows by a key there too. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { closePair, openPair } from '../../src/connect.ts';
import { copyTable, tablesOf } from '../../src/db/backfill.ts';
import { admitTenants } from '../../src/db/control.ts';
import { Mirror } from '../../src/db/mirror.ts';
import { reconcileSlice } from '../../src/db/reconcile.ts';
import { admitStage, flipStage } from '../../src/db/stages.ts';
import { loadTracked, type Pair } from '../../src/db/tracked.ts';
import { parsePlan } from '../../src/plan.ts';
import { switchbackHere, useFolder } from '../cli/switchback.ts';
import { limits } from '../support/limits.ts';
import { stackInfo } from '../support/stack.ts';
import { faultsOf, planOf, recordStatements, type Recorded } from '../support/statements.ts';

const suffix = randomBytes(4).toString('hex');
const TENANTS = ['ant', 'bee'];
const schemaOf = (tenant: string): string => `app_${suffix}_${tenant}`;
const ROWS = 6_000;
const WINDOW = 500;

const TABLES = [
  'CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, code VARCHAR(40) NOT NULL, n INT NOT NULL DEFAULT 0, UNIQUE KEY code (code))',
  'CREATE TABLE items (order_id BIGINT NOT NULL, line INT NOT NULL, n INT NOT NULL DEFAULT 0, PRIMARY KEY (order_id, line), KEY (order_id), FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE)',
];

const PLAN = `
name: explain-${suffix}
source: { urlEnv: EXPLAIN_SOURCE, schema: 'app_${suffix}_{tenant}' }
target: { urlEnv: EXPLAIN_TARGET, schema: 'app_${suffix}_{tenant}' }
control: { schema: ctl_${suffix} }
tables: { orders: { tenant: schema }, items: { tenant: schema } }
waves: [{ name: first, tenants: [${TENANTS.join(', ')}] }]
`;

const folder = useFolder();
let pair: Pair;
let recorded: readonly Recorded[] = [];

const sql = (side: 'source' | 'target', tenant: string, statement: string) =>
  pair[side].session(async (session) => {
    await session.run(`USE \`${schemaOf(tenant)}\``);
    return session.run(statement);
  });

async function analyze(): Promise<void> {
  for (const side of ['source', 'target'] as const)
    for (const tenant of TENANTS)
      for (const table of ['orders', 'items'])
        await pair[side].rows(`ANALYZE TABLE \`${schemaOf(tenant)}\`.${table}`);
}

beforeAll(async () => {
  const { sourceUrl, targetUrl } = stackInfo();
  Object.assign(process.env, { EXPLAIN_SOURCE: sourceUrl, EXPLAIN_TARGET: targetUrl });
  pair = openPair(parsePlan(PLAN, 'plan.yaml'));
  for (const tenant of TENANTS) {
    await pair.source.run(`CREATE DATABASE \`${schemaOf(tenant)}\``);
    for (const table of TABLES) await sql('source', tenant, table);
    // Negative ids, and a hole of 10^12.
    const ids = Array.from({ length: ROWS }, (_, n) =>
      n % 2 === 0 ? n : n < 3_000 ? -n : 1_000_000_000_000 + n,
    );
    await sql(
      'source',
      tenant,
      `INSERT INTO orders (id, code) VALUES ${ids.map((id) => `(${id}, 'c${id}')`).join(', ')}`,
    );
    await sql('source', tenant, 'INSERT INTO items (order_id, line) SELECT id, 1 FROM orders');
  }
  const plan = join(await folder(), 'plan.yaml');
  await writeFile(plan, PLAN);
  const said = await switchbackHere(['install', '--target-schema', '--plan', plan, '--reason', 'a test']);
  expect(said.code, said.all).toBe(0);
  for (const tenant of TENANTS) {
    await admitStage(pair.source, pair.control, tenant);
    await admitTenants(pair.target, pair.control, [tenant, '_unresolved']);
    await flipStage(pair.source, pair.control, {
      tenant,
      to: 'dual-write',
      from: ['source-only'],
      expectEpoch: null,
      actor: 'test',
      reason: 'test',
      requestId: null,
    });
  }
  await analyze();
  recorded = await flows();
  await analyze();
});

afterAll(async () => {
  for (const side of ['source', 'target'] as const)
    for (const schema of [`ctl_${suffix}`, ...TENANTS.map(schemaOf)])
      await pair?.[side].run(`DROP DATABASE IF EXISTS \`${schema}\``);
  if (pair !== undefined) await closePair(pair);
});

async function flows(): Promise<Recorded[]> {
  const tracked = await loadTracked(pair);
  const mirror = new Mirror(pair, tracked);
  const bounds = limits({ windowTarget: 60_000, windowRows: WINDOW, reconcileRows: WINDOW });
  const idle = { limits: bounds, progress: () => {}, until: () => false };
  const recording = recordStatements();
  for (const { id } of tablesOf(tracked, 'ant'))
    await copyTable(pair, tracked, {
      ...idle,
      pace: () => Promise.resolve(0),
      tenant: 'ant',
      round: 1,
      tableId: id,
    });
  await sql('source', 'ant', 'UPDATE orders SET n = n + 1 LIMIT 300');
  await sql('source', 'ant', "UPDATE orders SET code = CONCAT('x', code) WHERE id IN (2, 4)");
  await sql('source', 'ant', "UPDATE orders SET code = 'c2' WHERE id = 4");
  await sql('source', 'ant', 'DELETE FROM orders WHERE id BETWEEN 20 AND 60');
  await mirror.mirrorTenant('ant', 0);
  await mirror.drain('ant');
  await sql('target', 'ant', 'UPDATE orders SET n = 77 WHERE id = 8');
  await sql('target', 'ant', 'DELETE FROM items WHERE order_id = 10');
  await sql('target', 'ant', "INSERT INTO orders (id, code) VALUES (-77777, 'ghost')");
  for (let pass = 1; pass <= 2; pass += 1)
    await reconcileSlice(pair, tracked, { ...idle, missingAgain: 60_000, settle: 50, tenant: 'ant' });
  return recording.stop();
}

/** The application's tables; those of the control schema are the same as in `explain.test.ts`. */
const own = (): Recorded[] =>
  recorded.filter(
    ({ sql: text }) => text.includes(`\`${schemaOf('ant')}\``) && !text.startsWith('SELECT COUNT(*) AS n'),
  );

it('every plan uses a key and reads no more than a window', async () => {
  const found: string[] = [];
  for (const { side, shape, sql: text } of own()) {
    const plan = await planOf(pair[side], text);
    for (const fault of plan === null ? [] : faultsOf(text, plan, 4 * WINDOW))
      found.push(`${side} ${fault} in ${shape.slice(0, 300)}`);
  }
  expect(found).toEqual([]);
});

it('copy, mirror, verdict and reconcile are among them, and none reads another tenant', () => {
  const shapes = own().map(({ side, shape }) => `${side} ${shape}`);
  expect(shapes.length).toBeGreaterThan(15);
  for (const kind of [
    /^source SELECT .*FORCE INDEX/,
    /^target DELETE/,
    /^source SELECT .*SHA2/,
    /^target SELECT .*SHA2/,
  ])
    expect(
      shapes.some((shape) => kind.test(shape)),
      String(kind),
    ).toBe(true);
  expect(
    recorded.filter(({ sql: text }) => text.includes(schemaOf('bee'))).map(({ shape }) => shape),
  ).toEqual([]);
});
