/**
 * A whole sample schema moves: Sakila's structure, more rows than the original, under writes. Install, target
 * schema, backfill, mirror, reconcile to a clean pass; then compared by a checker that shares nothing with the
 * product, and by `verify --full`'s code.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { createConnection, type Connection } from 'mysql2/promise';
import { expect, it, onTestFinished } from 'vitest';

import { copyTables, tablesOf } from '../../src/db/backfill.ts';
import { compareTable } from '../../src/db/compare.ts';
import { isTransient } from '../../src/db/faults.ts';
import { preflight } from '../../src/db/preflight.ts';
import { reconcileSlice, type SliceResult } from '../../src/db/reconcile.ts';
import { createTargetSchema } from '../../src/db/target-schema.ts';
import { formatProblem } from '../../src/domain/errors.ts';
import { SHARED } from '../../src/domain/stage.ts';
import { parsePlan } from '../../src/plan.ts';
import { limits } from '../support/limits.ts';
import { useFixture } from '../support/pair.ts';
import { SAKILA, SAKILA_KEYS, SAKILA_PLAN, sakilaRows, sakilaWrite, STORES } from '../support/sakila.ts';
import { stackInfo, urlWithSchema } from '../support/stack.ts';
import { seeded } from './protocol/random.ts';

const SEED = Number(process.env['SAKILA_SEED'] ?? 1_812);
const TENANTS = [SHARED, ...STORES.map(String)];
const LIMITS = limits({ windowRows: 2_000, reconcileRows: 20_000, backfillParallel: 2 });

const fixture = useFixture([]);

const plan = () => {
  const { pair } = fixture();
  return parsePlan(
    `name: sakila
source: { urlEnv: SOURCE, schema: ${pair.sourceSchema} }
target: { urlEnv: TARGET, schema: ${pair.targetSchema} }
control: { schema: ${pair.control} }
tables: ${SAKILA_PLAN}
waves: [{ name: first, tenants: ['1', '2', '3'] }]`,
    'sakila.yaml',
  );
};

const onSource = (): Promise<Connection> =>
  createConnection(urlWithSchema(stackInfo().sourceUrl, fixture().pair.sourceSchema));

async function fill(): Promise<void> {
  const connection = await onSource();
  await connection.query("SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ALLOW_INVALID_DATES'");
  for (const statement of SAKILA) await connection.query(statement);
  for (const statement of sakilaRows(seeded(SEED))) await connection.query(statement);
  await connection.end();
}

/** Duplicate key, deadlock, lock wait, no such parent: what random writes meet. */
const EXPECTED = new Set([1062, 1213, 1205, 1452, 1451]);

async function write(seed: number, over: () => boolean): Promise<number> {
  const connection = await onSource();
  const random = seeded(seed);
  let commits = 0;
  while (!over()) {
    try {
      await connection.query(sakilaWrite(random));
      commits += 1;
      await sleep(20);
    } catch (error) {
      if (!EXPECTED.has((error as { errno: number }).errno)) throw error;
    }
  }
  await connection.end();
  return commits;
}

/** As the loop does it: a transient fault is tried again. */
async function mirrorAll(over: () => boolean): Promise<void> {
  const { mirror } = fixture();
  while (!over())
    for (const tenant of ['_unresolved', ...TENANTS])
      await mirror.mirrorTenant(tenant, null).catch((error: unknown) => {
        if (!isTransient(error)) throw error;
      });
}

/** As an activity does it: a transient fault is tried again from the cursor. */
async function backfill(tenant: string): Promise<{ rows: number; retries: number }> {
  const { pair, tracked } = fixture();
  for (let retries = 0; ; retries += 1) {
    try {
      const tables = await copyTables(pair, tracked, tablesOf(tracked, tenant), {
        tenant,
        round: 1,
        limits: LIMITS,
        pace: () => Promise.resolve(0),
        progress: () => {},
        until: () => false,
      });
      expect(tables.every(({ finished }) => finished)).toBe(true);
      return { rows: tables.reduce((sum, { copiedRows }) => sum + copiedRows, 0), retries };
    } catch (error) {
      if (!isTransient(error) || retries > 50) throw error;
      await sleep(200);
    }
  }
}

const reconcile = (tenant: string): Promise<SliceResult> =>
  reconcileSlice(fixture().pair, fixture().tracked, {
    tenant,
    limits: LIMITS,
    missingAgain: 60_000,
    progress: () => {},
    until: () => false,
  });

/** Every row of a table as the bytes that the server sends. */
async function contents(url: string, table: string): Promise<string[]> {
  const connection = await createConnection(urlWithSchema(url, fixture().pair.sourceSchema));
  await connection.query("SET SESSION time_zone = '+00:00'");
  const [rows] = await connection.query({
    sql: `SELECT * FROM ${table} ORDER BY ${SAKILA_KEYS[table]!}`,
    rowsAsArray: true,
    typeCast: (field) => field.buffer()?.toString('latin1') ?? null,
  });
  await connection.end();
  return (rows as (string | null)[][]).map((row) => JSON.stringify(row));
}

it('Sakila moves completely, under writes', async () => {
  const { pair, install, start } = fixture();
  console.log(`sakila: seed ${SEED}`);
  await fill();
  const made = await createTargetSchema(plan(), pair);
  expect(made.create).toHaveLength(16);
  expect(made.differences).toEqual([]);
  expect((await preflight(plan(), pair)).map(formatProblem)).toEqual([]);
  await install(Object.fromEntries(plan().tables.map(({ name, tenancy }) => [name, tenancy])));
  for (const tenant of TENANTS) await start(tenant);

  const end = new AbortController();
  const over = (): boolean => end.signal.aborted;
  const running = [1, 2].map((n) => write(SEED + n, over));
  const mirroring = mirrorAll(over);
  onTestFinished(async () => {
    end.abort();
    await Promise.allSettled([...running, mirroring]);
  });
  const started = Date.now();
  let copied = 0;
  let retried = 0;
  for (const tenant of TENANTS) {
    const { rows: own, retries } = await backfill(tenant);
    copied += own;
    retried += retries;
  }
  const took = Date.now() - started;
  const underWrites: SliceResult[] = [];
  for (const tenant of TENANTS) underWrites.push(await reconcile(tenant));
  end.abort();
  const commits = (await Promise.all(running)).reduce((sum, n) => sum + n, 0);
  await mirroring;
  expect(underWrites.map(({ pass }) => [pass.clean, pass.counts.drifted])).toEqual(
    TENANTS.map(() => [true, 0]),
  );

  for (const tenant of ['_unresolved', ...TENANTS, '_unresolved', ...TENANTS])
    await fixture().mirror.drain(tenant);
  let rows = 0;
  for (const tenant of TENANTS) {
    const { pass } = await reconcile(tenant);
    expect([tenant, pass.clean, pass.counts.suspects]).toEqual([tenant, true, 0]);
    rows += pass.counts.rows;
  }

  let checked = 0;
  for (const table of Object.keys(SAKILA_KEYS)) {
    const [source, target] = await Promise.all(
      [stackInfo().sourceUrl, stackInfo().targetUrl].map((url) => contents(url, table)),
    );
    expect([table, target!.length]).toEqual([table, source!.length]);
    expect(target!.filter((row, index) => row !== source![index]).slice(0, 3)).toEqual([]);
    checked += source!.length;
  }
  for (const tenant of TENANTS)
    for (const table of tablesOf(fixture().tracked, tenant)) {
      const compared = await compareTable(pair, fixture().tracked, {
        tenant,
        table,
        named: 3,
        progress: () => {},
        signal: new AbortController().signal,
      });
      expect(compared).toMatchObject({
        rows: [],
        inFlight: 0,
        equal: compared.sourceRows,
        targetRows: compared.sourceRows,
      });
    }
  console.log(
    `sakila: ${copied} rows copied in ${took} ms with ${retried} retries, ${commits} writes meanwhile, ${rows} rows in clean passes, ${checked} compared`,
  );
  expect(checked).toBe(rows);
  expect(checked).toBeGreaterThan(100_000);
  expect(commits).toBeGreaterThan(300);
}, 400_000);
