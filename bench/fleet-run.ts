/** One fleet for the `fleet` bench: its own servers, tiny tenants, worker processes, from `fleet start` to everybody's rollback. */
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Connection, Client } from '@temporalio/client';
import { stringify } from 'yaml';

import { createRouter, type Router } from '../src/app/index.ts';
import { Database } from '../src/db/database.ts';
import { tenantWorkflowId } from '../src/domain/ids.ts';
import { startStack } from '../src/stack/start.ts';
import { end, environment, memory, order, switchback } from './built.ts';
import { median } from './result.ts';
import { say } from './rounds.ts';

const SCHEMA = 'bench';
const PLAN = 'bench-fleet';
const ROWS = 10;
const POLL_MS = 100;
const PROGRESS_MS = 15_000;
/** A fleet that takes longer has starved somebody: two minutes, and three seconds more for each tenant. */
const giveUpMs = (size: number): number => 120_000 + size * 3_000;

export interface FleetFound {
  /** From `fleet start` until the last tenant is in ramp. */
  readonly seconds: number;
  /** Of each tenant, from its start to ramp. */
  readonly tenantSeconds: readonly number[];
  /** The most that one worker process ever held, until the last tenant is in ramp. */
  readonly workerRampMb: number;
  /** … and over everything, with everybody's rollback. */
  readonly workerPeakMb: number;
  /** Median of ten tenants' histories when all are in ramp. */
  readonly events: number;
  /** From the start of the CLI until no tenant reads from the target. */
  readonly rollbackMs: number;
  /** … until every tenant's workflow has taken it up. */
  readonly adoptedMs: number;
  readonly versions: Readonly<Record<string, string>>;
}

export async function runFleet(size: number, workers: number): Promise<FleetFound> {
  const folder = await mkdtemp(join(tmpdir(), 'switchback-bench-fleet-'));
  const tenants = Array.from({ length: size }, (_, at) => `tenant-${at}`);
  const stack = await startStack({ isPrivate: true });
  const ends = { source: stack.source.url(), target: stack.target.url(), redis: stack.redis.url };
  const plan = join(folder, 'switchback.yaml');
  const env = environment(stack, plan);
  const source = new Database({ side: 'source', url: ends.source });
  const running: ChildProcess[] = [];
  let node: Router | null = null;
  try {
    await writeFile(plan, stringify(planOf(tenants)));
    await fill(source, tenants);
    await order(env, 'install', '--target-schema');
    node = await createRouter({ ...ends, schema: { source: SCHEMA, target: SCHEMA }, service: 'bench' });
    for (let count = 0; count < workers; count += 1) running.push(switchback(env, 'worker'));
    const began = performance.now();
    await order(env, 'fleet', 'start');
    await everybody(source, size, "phase = 'ramp'", 'in ramp');
    const seconds = (performance.now() - began) / 1_000;
    const workerRampMb = await peak(running);
    const events = await eventsOf(stack.temporal.address, tenants);
    const asked = performance.now();
    const [, rollbackMs] = await Promise.all([
      order(env, 'fleet', 'rollback', '--all'),
      nobodyReads(source).then(() => performance.now() - asked),
    ]);
    await everybody(source, size, "phase = 'shadow' AND mode IN ('stopped', 'paused')", 'back in shadow');
    const adoptedMs = performance.now() - asked;
    return {
      seconds,
      tenantSeconds: await tenantSeconds(source),
      workerRampMb,
      workerPeakMb: await peak(running),
      events,
      rollbackMs,
      adoptedMs,
      versions: { node: process.version, source: (await source.server()).version },
    };
  } finally {
    for (const child of running) await end(child);
    await node?.close();
    await source.close();
    await stack.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

const peak = async (running: readonly ChildProcess[]): Promise<number> =>
  Math.max(...(await Promise.all(running.map(({ pid }) => memory(pid!, 'VmHWM')))));

/** Moments where a plan has days; what goes on in ramp stays rare, as it is beside a soak of days. */
const planOf = (tenants: readonly string[]) => ({
  name: PLAN,
  source: { urlEnv: 'SWITCHBACK_SOURCE', schema: SCHEMA },
  target: { urlEnv: 'SWITCHBACK_TARGET', schema: SCHEMA },
  redis: { urlEnv: 'REDIS_URL' },
  tables: {
    customers: { tenant: { column: 'tenant_id' } },
    notes: { tenant: { parent: 'customers', column: 'customer_id', references: 'id' } },
  },
  waves: [{ name: 'all', tenants, approval: false, atOnce: 50, soak: '1d' }],
  durations: {
    shadow: '0s',
    soak: '1d',
    reconcileRun: '30m',
    gateEvery: '1h',
    drill: '200ms',
    certificate: '1d',
  },
  gates: { shadowSamples: 0 },
});

async function fill(source: Database, tenants: readonly string[]): Promise<void> {
  await source.run(`CREATE DATABASE ${SCHEMA}`);
  await source.session(async (session) => {
    await session.run(`USE ${SCHEMA}`);
    await session.run(
      'CREATE TABLE customers (tenant_id VARCHAR(64) NOT NULL, id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100) NOT NULL, KEY (tenant_id))',
    );
    await session.run(
      'CREATE TABLE notes (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, customer_id BIGINT NOT NULL, body TEXT NOT NULL, KEY (customer_id))',
    );
    const rows = tenants.flatMap((tenant) =>
      Array.from({ length: ROWS }, (_, at) => `('${tenant}', 'customer ${at}')`),
    );
    await session.run(`INSERT INTO customers (tenant_id, name) VALUES ${rows.join(', ')}`);
    await session.run(
      "INSERT INTO notes (customer_id, body) SELECT id, CONCAT('note of ', id) FROM customers",
    );
  });
}

/** @throws Error that says where the others stand */
async function everybody(source: Database, size: number, where: string, what: string): Promise<void> {
  const ends = Date.now() + giveUpMs(size);
  for (let said = Date.now(); ; await sleep(POLL_MS)) {
    const [row] = await source.rows(`SELECT COUNT(*) AS n FROM switchback.migration WHERE ${where}`);
    if (Number(row!['n']) >= size) return;
    if (Date.now() > ends) {
      const stands = await source.rows(
        'SELECT phase, mode, reason, COUNT(*) AS n FROM switchback.migration GROUP BY phase, mode, reason',
      );
      throw new Error(`not all ${size} are ${what}: ${JSON.stringify(stands)}`);
    }
    if (Date.now() - said < PROGRESS_MS) continue;
    said = Date.now();
    say(`${row!['n']} of ${size} ${what}`);
  }
}

async function nobodyReads(source: Database): Promise<void> {
  const reading = "SELECT COUNT(*) AS n FROM switchback.stage WHERE stage = 'read-target'";
  while ((await source.rows(reading))[0]!['n'] !== '0') await sleep(20);
}

async function tenantSeconds(source: Database): Promise<number[]> {
  const rows = await source.rows(
    `SELECT TIMESTAMPDIFF(MICROSECOND, migration.started_at, MIN(audit.at)) / 1000000 AS took
     FROM switchback.migration JOIN switchback.audit USING (tenant)
     WHERE audit.event = 'phase' AND audit.after_value = 'ramp' GROUP BY tenant, migration.started_at`,
  );
  return rows.map((row) => Number(row['took']));
}

async function eventsOf(address: string, tenants: readonly string[]): Promise<number> {
  const connection = await Connection.connect({ address });
  const { workflow } = new Client({ connection });
  const step = Math.max(1, Math.floor(tenants.length / 10));
  const some = tenants.filter((_, at) => at % step === 0);
  const found = await Promise.all(
    some.map((tenant) => workflow.getHandle(tenantWorkflowId(PLAN, tenant)).describe()),
  );
  await connection.close();
  return median(found.map(({ historyLength }) => historyLength));
}
