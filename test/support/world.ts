/** One small migration on the shared servers with a real worker in this process: what workflow tests stand on. */
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll } from 'vitest';

import { registerTables } from '../../src/db/capture.ts';
import { installMode } from '../../src/db/capture-install.ts';
import { installControl } from '../../src/db/control.ts';
import { readMigration, type Migration } from '../../src/db/migrations.ts';
import { ident } from '../../src/db/sql.ts';
import { readStage, readStages, renewLease } from '../../src/db/stages.ts';
import type { Pair } from '../../src/db/tracked.ts';
import type { Capture } from '../../src/domain/capture.ts';
import type { CommandName } from '../../src/domain/command.ts';
import { taskQueue, tenantWorkflowId } from '../../src/domain/ids.ts';
import type { Mode, Phase } from '../../src/domain/phase.ts';
import { tenantPlan, type Durations, type Gates, type Plan, type Wave } from '../../src/domain/plan.ts';
import type { Probe } from '../../src/domain/probe.ts';
import { createLog } from '../../src/log.ts';
import { closePair, openPair } from '../../src/connect.ts';
import { installRuntime, startWorker, type RunningWorker, type WorkerOptions } from '../../src/worker.ts';
import type { tenantMigration } from '../../workflows/index.ts';
import {
  commandUpdate,
  status,
  type Receipt,
  type TenantInput,
  type TenantStatus,
} from '../../workflows/messages.ts';
import { stackInfo } from './stack.ts';

/** Seconds where a plan has days. */
export const QUICK: Durations = {
  shadow: 500,
  soak: 1_000,
  reconcileEvery: 300,
  reconcileRun: 20_000,
  gateEvery: 4_000,
  dirtyAfter: 1_000,
  mirrorBudget: 50,
  drill: 200,
  certificate: 60_000,
  missingAgain: 60_000,
  lease: 5_000,
  settle: 300,
};

/** What a plan that says nothing gets, with a soak of moments. */
export const WAVE: Omit<Wave, 'name' | 'tenants'> = {
  approval: false,
  approvals: 1,
  atOnce: 5,
  every: 0,
  soak: 500,
  maxStopped: 1,
  flips: null,
};

export interface World {
  readonly plan: Plan;
  readonly pair: Pair;
  readonly client: Client;
  readonly sql: (side: 'source' | 'target', statement: string) => Promise<unknown>;
  readonly rows: (
    side: 'source' | 'target',
    statement: string,
  ) => Promise<readonly Record<string, string | null>[]>;
  readonly work: (options?: Partial<WorkerOptions>) => RunningWorker;
  readonly start: (tenant: string, adopt?: boolean) => Promise<WorkflowHandle<typeof tenantMigration>>;
  readonly handle: (tenant: string) => WorkflowHandle<typeof tenantMigration>;
  readonly command: (tenant: string, name: CommandName, extra?: Record<string, unknown>) => Promise<Receipt>;
  readonly status: (tenant: string) => Promise<TenantStatus>;
  readonly record: (tenant: string) => Promise<Migration | null>;
  /** Waits for the control record, which says it also when no worker runs. */
  readonly until: (tenant: string, phase: Phase, mode?: Mode, withinMs?: number) => Promise<Migration>;
  /** An application node that follows every change, until the test file ends. */
  readonly followAsNode: () => void;
  readonly stage: (tenant: string) => Promise<string>;
  readonly stopWorkers: () => Promise<void>;
}

const TABLES = [
  `CREATE TABLE customers (tenant_id VARCHAR(64) NOT NULL, id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, email VARCHAR(190) NOT NULL, name VARCHAR(100) NULL, KEY (tenant_id), UNIQUE KEY email (email))`,
  `CREATE TABLE notes (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, customer_id BIGINT NOT NULL, body TEXT NOT NULL, KEY (customer_id))`,
];

export function useWorld(
  tenants: readonly string[],
  overrides: {
    durations?: Partial<Durations>;
    approval?: boolean;
    rows?: number;
    capture?: Capture;
    probe?: (plan: Plan) => Probe;
    /** Instead of one wave with all of them. */
    waves?: readonly Wave[];
    gates?: Partial<Gates>;
    /** Of a file that kills its own. */
    temporalAddress?: () => string;
  } = {},
): () => World {
  const suffix = randomBytes(4).toString('hex');
  const schema = `app_${suffix}`;
  let world: World | null = null;
  const workers: RunningWorker[] = [];
  const nodes = new AbortController();
  beforeAll(async () => {
    installRuntime(createLog('temporal', process.env['SWITCHBACK_LOG'] ?? 'silent'));
    const { sourceUrl, targetUrl, redisUrl } = stackInfo();
    const temporalAddress = overrides.temporalAddress?.() ?? stackInfo().temporalAddress;
    process.env['WORLD_SOURCE'] = sourceUrl;
    process.env['WORLD_TARGET'] = targetUrl;
    process.env['WORLD_REDIS'] = redisUrl;
    process.env['TEMPORAL_ADDRESS'] = temporalAddress;
    const named: Plan = {
      name: `world-${suffix}`,
      source: { urlEnv: 'WORLD_SOURCE', schema },
      target: { urlEnv: 'WORLD_TARGET', schema },
      redis: { urlEnv: 'WORLD_REDIS' },
      control: { schema: `ctl_${suffix}` },
      capture: overrides.capture ?? 'triggers',
      temporal: { namespace: 'default' },
      history: { folder: null, keep: 86_400_000 },
      tables: [
        { name: 'customers', tenancy: { kind: 'column', column: 'tenant_id' }, time: null },
        {
          name: 'notes',
          tenancy: { kind: 'parent', parent: 'customers', column: 'customer_id', references: 'id' },
          time: null,
        },
      ],
      waves: overrides.waves ?? [{ ...WAVE, name: 'first', tenants, approval: overrides.approval ?? false }],
      freeze: [],
      drill: { probe: null },
      durations: { ...QUICK, ...overrides.durations },
      limits: {
        windowTarget: 300,
        windowRows: 500,
        windowBytes: 8_388_608,
        reconcileRows: 500,
        backfillParallel: 2,
        threadsRunning: 500,
        rowsPerSecond: 0,
      },
      // Servers are killed and mirrors fail on purpose: an hour is longer than a test.
      gates: {
        shadowSamples: 0,
        cleanPasses: 1,
        nodes: 1,
        mirrorErrorPercent: 100,
        retention: 0,
        ...overrides.gates,
      },
    };
    const plan: Plan = { ...named, drill: { probe: overrides.probe?.(named) ?? null } };
    const pair = openPair(plan);
    for (const db of [pair.source, pair.target]) await db.run(`CREATE DATABASE ${ident(schema)}`);
    const connection = await Connection.connect({ address: temporalAddress });
    world = makeWorld(plan, pair, new Client({ connection }), workers, nodes.signal);
    for (const side of ['source', 'target'] as const)
      for (const table of TABLES) await world.sql(side, table);
    for (const tenant of tenants) await seed(world, tenant, overrides.rows ?? 200);
    await installControl(pair.source, pair.target, plan.control.schema);
    await registerTables(pair, plan.tables);
    await installMode(pair, plan.capture);
  });
  afterAll(async () => {
    nodes.abort();
    await Promise.allSettled(workers.map((worker) => worker.stop()));
    if (world === null) return;
    const { client, plan, pair } = world;
    const open = client.workflow.list({
      query: `ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH 'switchback/${plan.name}'`,
    });
    for await (const run of open)
      await client.workflow
        .getHandle(run.workflowId)
        .terminate('test is over')
        .catch(() => {});
    for (const db of [pair.source, pair.target]) {
      await db.run(`DROP DATABASE IF EXISTS ${ident(schema)}`).catch(() => {});
      await db.run(`DROP DATABASE IF EXISTS ${ident(plan.control.schema)}`).catch(() => {});
    }
    await closePair(pair);
    await client.connection.close();
  });
  return () => world!;
}

async function seed(world: World, tenant: string, rows: number): Promise<void> {
  const values = Array.from(
    { length: rows },
    (_, index) => `('${tenant}', '${tenant}-${index}@example.org', 'name ${index}')`,
  );
  for (let at = 0; at < values.length; at += 1_000) {
    await world.sql(
      'source',
      `INSERT INTO customers (tenant_id, email, name) VALUES ${values.slice(at, at + 1_000).join(', ')}`,
    );
  }
  await world.sql(
    'source',
    `INSERT INTO notes (customer_id, body) SELECT id, CONCAT('note of ', id) FROM customers WHERE tenant_id = '${tenant}'`,
  );
}

/** The record is written a moment before the run's own state: a test is faster than a person. */
async function settled(world: World, tenant: string): Promise<void> {
  for (let look = 0; look < 40; look += 1) {
    const [state, record] = await Promise.all([world.status(tenant), world.record(tenant)]);
    const still = (mode: string | undefined): string | undefined => (mode === 'waiting' ? 'running' : mode);
    if (state.phase === record?.phase && still(state.mode) === still(record.mode)) return;
    await sleep(50);
  }
}

function makeWorld(
  plan: Plan,
  pair: Pair,
  client: Client,
  workers: RunningWorker[],
  nodesEnd: AbortSignal,
): World {
  const inSchema = <T>(
    side: 'source' | 'target',
    use: (session: Parameters<Parameters<Pair['source']['session']>[0]>[0]) => Promise<T>,
  ) =>
    pair[side].session(async (session) => {
      await session.run(`USE ${ident(plan.source.schema)}`);
      return use(session);
    });
  const world: World = {
    plan,
    pair,
    client,
    sql: (side, statement) => inSchema(side, (session) => session.run(statement)),
    rows: (side, statement) => inSchema(side, (session) => session.rows(statement)),
    work(options = {}) {
      const worker = startWorker({
        plan,
        log: createLog('test-worker', process.env['SWITCHBACK_LOG'] ?? 'silent'),
        ...options,
      });
      workers.push(worker);
      return worker;
    },
    start(tenant, adopt = false) {
      const input: TenantInput = { tenant, plan: tenantPlan(plan, tenant), adopt };
      return client.workflow.start<typeof tenantMigration>('tenantMigration', {
        workflowId: tenantWorkflowId(plan.name, tenant),
        taskQueue: taskQueue(plan.name, 'control'),
        args: [input],
      });
    },
    handle: (tenant) =>
      client.workflow.getHandle<typeof tenantMigration>(tenantWorkflowId(plan.name, tenant)),
    async command(tenant, name, extra = {}) {
      await settled(world, tenant);
      return world.handle(tenant).executeUpdate(commandUpdate(name), {
        args: [{ requestId: randomUUID(), actor: 'test', reason: 'a test', ...extra }],
      });
    },
    status: (tenant) => world.handle(tenant).query(status),
    record: (tenant) => readMigration(pair.source, pair.control, tenant),
    async until(tenant, phase, mode, withinMs = 90_000) {
      const ends = Date.now() + withinMs;
      for (;;) {
        const found = await world.record(tenant);
        if (found?.phase === phase && (mode === undefined || found.mode === mode)) return found;
        if (Date.now() > ends)
          throw new Error(
            `${tenant} is in ${found?.phase} (${found?.mode}: ${found?.reason}), not in ${phase} (${mode})`,
          );
        await sleep(50);
      }
    },
    followAsNode() {
      const follow = async (): Promise<void> => {
        while (!nodesEnd.aborted) {
          const rows = await readStages(pair.source, pair.control, -1);
          const version = Math.max(0, ...rows.map((row) => row.version));
          await renewLease(pair.source, pair.control, {
            node: 'test-node',
            service: 'test',
            version,
            leaseMs: 5_000,
          });
          await sleep(50, undefined, { signal: nodesEnd }).catch(() => {});
        }
      };
      follow().catch(() => {});
    },
    stopWorkers: async () => void (await Promise.allSettled(workers.map((worker) => worker.stop()))),
    stage: async (tenant) => (await readStage(pair.source, pair.control, tenant))?.stage ?? 'none',
  };
  return world;
}
