/** A private pair of MySQL servers, set up like servers that carry a load; peers meet the same ones. */
import { installCapture, registerTables } from '../src/db/capture.ts';
import { admitTenants, installControl } from '../src/db/control.ts';
import { Database } from '../src/db/database.ts';
import { admitStage, flipStage } from '../src/db/stages.ts';
import type { Pair } from '../src/db/tracked.ts';
import type { Limits } from '../src/domain/plan.ts';
import type { Stage } from '../src/domain/stage.ts';
import type { DatabaseServer } from '../src/stack/database-server.ts';
import { startMysql } from '../src/stack/mysql.ts';

export const SCHEMA = 'bench';
export const CONTROL = 'switchback';

/** What a plan has that names none. */
export const LIMITS: Limits = {
  windowTarget: 300,
  windowRows: 5_000,
  windowBytes: 8_388_608,
  reconcileRows: 100_000,
  backfillParallel: 4,
  threadsRunning: 50,
  rowsPerSecond: 0,
};

const MEMORY = Number(process.env['BENCH_BUFFER_MB'] ?? 2_048);

const COMMON = [
  `--innodb-buffer-pool-size=${MEMORY}M`,
  '--innodb-redo-log-capacity=2G',
  '--innodb-flush-method=O_DIRECT',
  '--innodb-flush-log-at-trx-commit=1',
  '--max-allowed-packet=64M',
  // pt-table-sync reads EXPLAIN by column; MySQL 9 answers with a tree by default, and the peer would take the table as one chunk.
  '--explain-format=TRADITIONAL',
];
/** As on a plain Aurora cluster: the source replicates, the target doesn't. */
const SOURCE = ['--binlog-format=ROW', '--sync-binlog=1', '--max-binlog-size=1G'];
const TARGET = ['--skip-log-bin', '--local-infile=ON'];

export interface Servers {
  readonly pair: Pair;
  readonly source: DatabaseServer;
  readonly target: DatabaseServer;
  readonly versions: Readonly<Record<string, string>>;
  readonly stop: () => Promise<void>;
}

export const openPair = (source: string, target: string): Pair => ({
  source: new Database({ side: 'source', url: source }),
  target: new Database({ side: 'target', url: target }),
  control: CONTROL,
  sourceSchema: SCHEMA,
  targetSchema: SCHEMA,
});

export async function startServers(): Promise<Servers> {
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  const [source, target] = await Promise.all([
    startMysql({ name: 'bench-source', log, options: [...COMMON, ...SOURCE] }),
    startMysql({ name: 'bench-target', log, options: [...COMMON, ...TARGET] }),
  ]);
  const pair = openPair(source.url(), target.url());
  const [sourceVersion, targetVersion] = await Promise.all([pair.source.server(), pair.target.server()]);
  return {
    pair,
    source,
    target,
    versions: { node: process.version, source: sourceVersion.version, target: targetVersion.version },
    async stop() {
      await Promise.all([pair.source.close(), pair.target.close()]);
      await Promise.all([source.stop(), target.stop()]);
    },
  };
}

/** Runs `use` on servers that are stopped again, whatever comes of it. */
export async function withServers<T>(use: (servers: Servers) => Promise<T>): Promise<T> {
  const servers = await startServers();
  try {
    return await use(servers);
  } finally {
    await servers.stop();
  }
}

/** Control schemas and triggers for tables by tenant column. */
export async function install(pair: Pair, tables: readonly string[]): Promise<void> {
  await installControl(pair.source, pair.target, pair.control);
  await registerTables(
    pair,
    tables.map((name) => ({ name, tenancy: { kind: 'column', column: 'tenant_id' }, time: null })),
  );
  await installCapture(pair);
}

export async function startTenants(
  pair: Pair,
  tenants: readonly string[],
  stage: Stage = 'dual-write',
): Promise<void> {
  await admitTenants(pair.target, pair.control, [...tenants, '_unresolved']);
  for (const tenant of tenants) {
    await admitStage(pair.source, pair.control, tenant);
    await flipStage(pair.source, pair.control, {
      tenant,
      to: stage,
      expectEpoch: null,
      from: ['source-only'],
      actor: 'bench',
      reason: 'bench',
      requestId: null,
    });
  }
}
