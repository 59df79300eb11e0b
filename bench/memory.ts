/**
 * Memory of a worker that moves 10 million rows and a table of 16 MB LONGBLOBs, over the same worker idle.
 *
 * The built worker with its pre-built bundle, on a real Temporal server and two MySQL servers; its resident
 * memory is read from /proc while preflight, backfill and reconcile run, until the tenant stands in `shadow`.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { createConnection, type Connection } from 'mysql2/promise';

import { startStack } from '../src/stack/start.ts';
import type { Stack } from '../src/stack/servers.ts';
import { end, environment, memory, order, switchback } from './built.ts';
import { machine, median, rounded, type Result } from './result.ts';

const ROWS = Number(process.env['BENCH_ROWS'] ?? 10_000_000);
const BLOBS = Number(process.env['BENCH_BLOBS'] ?? 40);
const RUNS = Number(process.env['BENCH_RUNS'] ?? 1);
const SCHEMA = 'bench_memory';

const PLAN = `name: bench-memory
source: { urlEnv: SWITCHBACK_SOURCE, schema: ${SCHEMA} }
target: { urlEnv: SWITCHBACK_TARGET, schema: ${SCHEMA} }
tables:
  many: { tenant: { column: tenant_id } }
  large: { tenant: { column: tenant_id } }
waves:
  - { name: all, tenants: [acme], approval: false }
durations: { shadow: 1h }
gates: { nodes: 0 }
`;

// prettier-ignore
const TABLES = [
  `CREATE TABLE ${SCHEMA}.many (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, text VARCHAR(100) NOT NULL, KEY (tenant_id, id))`,
  `CREATE TABLE ${SCHEMA}.large (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, body LONGBLOB NOT NULL, KEY (tenant_id, id))`,
];

export async function run(): Promise<Result> {
  const measured: Awaited<ReturnType<typeof moved>>[] = [];
  for (let round = 0; round < RUNS; round += 1) measured.push(await moved());
  const of = (name: 'idle' | 'peak' | 'grown' | 'seconds'): number =>
    rounded(median(measured.map((one) => one[name])));
  return {
    name: 'memory',
    machine: machine(),
    versions: measured[0]!.versions,
    runs: RUNS,
    medians: {
      rows: ROWS,
      blobs: BLOBS,
      idleMiB: of('idle'),
      peakMiB: of('peak'),
      grownMiB: of('grown'),
      seconds: of('seconds'),
    },
    ratios: { peakVsIdle: rounded(of('peak') / of('idle')) },
  };
}

async function moved() {
  const stack = await startStack({ isPrivate: true, log: (line) => process.stderr.write(`${line}\n`) });
  const folder = await mkdtemp(join(tmpdir(), 'switchback-memory-'));
  const plan = join(folder, 'plan.yaml');
  try {
    await writeFile(plan, PLAN);
    await fill(stack);
    const env = environment(stack, plan);
    await order(env, 'install');
    const worker = switchback(env, 'worker');
    try {
      await sleep(10_000);
      const idle = await memory(worker.pid!, 'VmRSS');
      await order(env, 'start', 'acme');
      const started = Date.now();
      const peak = await watch(worker.pid!, stack);
      return {
        idle,
        peak,
        grown: peak - idle,
        seconds: (Date.now() - started) / 1_000,
        versions: await versions(stack),
      };
    } finally {
      await end(worker);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
    await stack.stop();
  }
}

/** Without triggers yet, so that no journal is written for what stands there before. */
async function fill(stack: Stack): Promise<void> {
  for (const url of [stack.source.rootUrl(), stack.target.rootUrl()]) {
    const connection = await createConnection(url);
    await connection.query(`CREATE DATABASE ${SCHEMA}`);
    for (const table of TABLES) await connection.query(table);
    if (url === stack.source.rootUrl()) await fillSource(connection);
    await connection.end();
  }
}

async function fillSource(connection: Connection): Promise<void> {
  await connection.query('SET SESSION sql_log_bin = 0');
  const into = `INSERT INTO ${SCHEMA}.many (tenant_id, n, text)`;
  await connection.query(`${into} VALUES ('acme', 1, REPEAT('text ', 12))`);
  for (let rows = 1; rows < ROWS;) {
    const more = Math.min(rows, ROWS - rows, 200_000);
    await connection.query(`${into} SELECT tenant_id, n + 1, text FROM ${SCHEMA}.many LIMIT ${more}`);
    rows += more;
  }
  for (let blob = 0; blob < BLOBS; blob += 1)
    await connection.query(
      `INSERT INTO ${SCHEMA}.large (tenant_id, body) VALUES ('acme', LEFT(REPEAT(RANDOM_BYTES(1000), 16778), 16777215))`,
    );
}

/** The peak until a clean pass has been read and the tenant shadows. */
async function watch(pid: number, stack: Stack): Promise<number> {
  const connection = await createConnection(stack.source.rootUrl());
  let peak = 0;
  for (let look = 0; ; look += 1) {
    peak = Math.max(peak, await memory(pid, 'VmRSS'));
    await sleep(20);
    if (look % 50 !== 0) continue;
    const [rows] = await connection.query(
      'SELECT phase, mode, reason FROM switchback.migration WHERE tenant = ?',
      [Buffer.from('acme')],
    );
    const [state] = rows as { phase: string; mode: string; reason: string | null }[];
    if (state?.mode === 'stopped')
      throw new Error(`the line stopped in ${state.phase}: ${state.reason ?? ''}`);
    process.stderr.write(`${state?.phase ?? 'not started'}: peak ${Math.round(peak)} MiB\n`);
    if (state?.phase === 'shadow') break;
  }
  await connection.end();
  return peak;
}

async function versions(stack: Stack): Promise<Record<string, string>> {
  const connection = await createConnection(stack.source.rootUrl());
  const [rows] = await connection.query('SELECT VERSION() AS version');
  await connection.end();
  return { node: process.version, mysql: (rows as { version: string }[])[0]!.version };
}
