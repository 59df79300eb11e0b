/**
 * How long after a commit on the source is the write on the target, at 1,250 writes a second, in `read-target`?
 *
 * `router`: the writes go through the application's router, whose node mirrors after its own commits, beside a worker's loop.
 * `foreign`: they bypass it, and the worker's loop is all there is. `snapshot`: both again while an old snapshot is held open on the
 * source and 500,000 journal rows are deleted but not purged. Then backlogs of updated rows: keys a second of one tenant, and of two at once.
 *
 * A latency begins right before COMMIT is sent and ends when a poll of the target has seen the row: never understated, and
 * overstated by up to one commit and one poll (`pollP50Ms`).
 */
import { createConnection } from 'mysql2/promise';

import { createRouter } from '../src/app/index.ts';
import { keySql } from '../src/db/keys.ts';
import { Mirror } from '../src/db/mirror.ts';
import { loadTracked } from '../src/db/tracked.ts';
import { wallClock, watchArrivals } from './arrivals.ts';
import { coresDuring } from './cpu.ts';
import { fill, TABLE, tenantNames } from './dataset.ts';
import { openLoop, percentile } from './load.ts';
import { machine, median, rounded, type Result } from './result.ts';
import { ratioOf, ROUNDS, say, seconds } from './rounds.ts';
import { CONTROL, install, SCHEMA, startTenants, withServers, type Servers } from './servers.ts';
import { startWorker } from './worker-run.ts';

const RATE = Number(process.env['BENCH_RATE'] ?? 1_250);
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 10);
const DEAD = Number(process.env['BENCH_DEAD'] ?? 500_000);
const BACKLOG = Number(process.env['BENCH_BACKLOG'] ?? 1_000_000);
const TENANTS = tenantNames(10);
const PROBES = 'probes';
const PROBE_ROWS = 20_000;
const [BIG, OTHER] = ['tenant-01', 'tenant-02'] as const;

type Way = 'router' | 'foreign';
type Found = Record<string, number[]>;

export async function run(): Promise<Result> {
  return withServers(async (servers) => {
    await prepare(servers);
    const found: Found = {};
    const note = (name: string, value: number): void => {
      (found[name] ??= []).push(value);
      say(`${name}: ${rounded(value)}`);
    };
    for (let round = 1; round <= ROUNDS; round += 1)
      for (const way of ['router', 'foreign'] as const) await latencies(servers, way, '', note);
    const release = await holdSnapshot(servers);
    for (let round = 1; round <= ROUNDS; round += 1)
      for (const way of ['router', 'foreign'] as const) await latencies(servers, way, 'Snapshot', note);
    await release();
    await emptyJournal(servers);
    await backlogs(servers, note);
    return result(servers, found);
  });
}

async function prepare(servers: Servers): Promise<void> {
  const { source, target, pair } = servers;
  const rows = Math.ceil(BACKLOG * 1.6);
  say(`filling both servers with ${rows} rows`);
  for (const [name, options] of [
    [PROBES, { rows: PROBE_ROWS, tenants: TENANTS.length }],
    [TABLE, { rows, tenants: 2 }],
  ] as const) {
    await Promise.all([source, target].map((server) => fill(server.url(), { name, ...options })));
  }
  for (const db of [pair.source, pair.target])
    await db.run(`ALTER TABLE ${SCHEMA}.${PROBES} ADD COLUMN seq BIGINT NOT NULL DEFAULT 0, ADD KEY (seq)`);
  await install(pair, [TABLE, PROBES]);
  await startTenants(pair, TENANTS, 'read-target');
}

let sequence = 0;

/** Of the writes of one phase. Each updates a row of its own, and rows come again only after 16 s. */
async function latencies(
  servers: Servers,
  way: Way,
  phase: string,
  note: (name: string, value: number) => void,
): Promise<void> {
  const { source, target, pair } = servers;
  const owners = new Map(
    (await pair.source.rows(`SELECT id, tenant_id FROM ${SCHEMA}.${PROBES}`)).map((row) => [
      Number(row['id']),
      row['tenant_id']!,
    ]),
  );
  const sent = new Map<number, number>();
  const refusals = new Map<string, number>();
  const stopWorker = await startWorker(servers);
  const router = await createRouter({
    source: source.url(),
    target: target.url(),
    schema: { source: SCHEMA, target: SCHEMA },
    service: 'bench',
    connections: 32,
  });
  const arrivals = await watchArrivals(
    target.url(SCHEMA),
    `SELECT seq FROM ${PROBES} WHERE seq > ?`,
    sequence,
  );
  const update = (number: number, id: number): string =>
    `UPDATE ${SCHEMA}.${PROBES} SET seq = ${number}, amount = ${number % 1_000}, updated_at = NOW(6) WHERE id = ${id}`;
  const writes = await openLoop(
    source.url(SCHEMA),
    {
      rate: RATE,
      write: async (pool) => {
        const number = (sequence += 1);
        const id = 1 + (number % PROBE_ROWS);
        if (way === 'foreign') {
          sent.set(number, wallClock());
          await pool.query(update(number, id));
          return;
        }
        const tenant = router.tenant(owners.get(id)!);
        const written = tenant.write(async (conn) => {
          await conn.query(update(number, id));
          sent.set(number, wallClock());
        });
        await written.catch((error: unknown) => {
          // What was not committed is not waited for; of an unknown COMMIT nobody can say, and it is.
          const { name } = error as Error;
          refusals.set(name, (refusals.get(name) ?? 0) + 1);
          if (name !== 'CommitUnknownError') sent.delete(number);
          throw error;
        });
      },
    },
    (elapsed) => elapsed > SECONDS * 1_000,
  );
  await waitFor(() => [...sent.keys()].every((number) => arrivals.seen.has(number)));
  await arrivals.stop();
  await router.close();
  await stopWorker();
  const late = [...sent].filter(([number]) => !arrivals.seen.has(number)).length;
  // The first seconds start processes and fill caches.
  const counted = [...sent].slice(RATE * Math.min(2, SECONDS / 4));
  const times = counted.flatMap(([number, at]) => (arrivals.seen.get(number) ?? Infinity) - at);
  note(`${way}${phase}P50Ms`, percentile(times, 0.5));
  note(`${way}${phase}P99Ms`, percentile(times, 0.99));
  note(`${way}${phase}WriteP50Ms`, writes.p50);
  // Apart: what was refused was never written, what was written and does not come is lost.
  note(`${way}${phase}Refused`, writes.failed);
  if (refusals.size > 0) say(JSON.stringify(Object.fromEntries(refusals)));
  note(`${way}${phase}Lost`, late);
  note('pollP50Ms', median(arrivals.polls));
}

async function waitFor(isDone: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1_200 && !isDone(); tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 100));
}

/** Journal rows that are deleted while a snapshot still sees them: every scan from the beginning passes them. */
async function holdSnapshot({ source, pair }: Servers): Promise<() => Promise<void>> {
  say(`${DEAD} dead journal rows under an open snapshot`);
  const { id, table } = (await loadTracked(pair)).byName(TABLE);
  const holder = await createConnection(source.rootUrl());
  const writer = await createConnection(source.rootUrl());
  const journal = `${CONTROL}.journal`;
  for (let from = 0; from < DEAD; from += 50_000) {
    await writer.query(
      `INSERT INTO ${journal} (tenant, table_id, row_key) SELECT ELT(1 + t.id % ${TENANTS.length}, ${TENANTS.map((name) => `'${name}'`).join(', ')}), ${id}, ${keySql(table, 't')} FROM ${SCHEMA}.${TABLE} t WHERE t.id > ${from} AND t.id <= ${Math.min(DEAD, from + 50_000)}`,
    );
  }
  await holder.query('SET SESSION wait_timeout = 28800');
  await holder.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
  await holder.query('START TRANSACTION WITH CONSISTENT SNAPSHOT');
  for (let gone = 1; gone > 0;) {
    const [done] = await writer.query(`DELETE FROM ${journal} LIMIT 50000`);
    gone = (done as { affectedRows: number }).affectedRows;
  }
  await writer.end();
  return async () => {
    await holder.query('COMMIT');
    await holder.end();
  };
}

const emptyJournal = ({ pair }: Servers): Promise<unknown> =>
  pair.source.run(`TRUNCATE TABLE ${CONTROL}.journal`);

/** A part of the whole backlog, for what two tenants do beside each other. */
const SHARE = 20;

/** The whole backlog is one, and each fifth of it a run; a process that mirrors is `behind` until it is through. */
async function backlogs(servers: Servers, note: (name: string, value: number) => void): Promise<void> {
  const { pair } = servers;
  const tracked = await loadTracked(pair);
  await pile(servers, BIG, BACKLOG);
  const mirror = new Mirror(pair, tracked);
  let applied = 0;
  let counted = 0;
  let since = performance.now();
  for (let kind = 'behind'; kind === 'behind';) {
    const result = await mirror.mirrorTenant(BIG, null);
    kind = result.kind;
    applied += result.applied;
    if (applied === counted || (applied - counted < BACKLOG / ROUNDS && kind === 'behind')) continue;
    const now = performance.now();
    note('backlogKeysPerSecond', ((applied - counted) * 1_000) / (now - since));
    [counted, since] = [applied, now];
  }
  const drained = async (name: string, tenants: readonly string[]): Promise<void> => {
    const keys = Math.ceil(BACKLOG / SHARE);
    for (const tenant of tenants) await pile(servers, tenant, keys);
    const { value: took, cores } = await coresDuring(servers, () =>
      seconds(() => Promise.all(tenants.map((tenant) => mirror.drain(tenant)))),
    );
    note(`${name}KeysPerSecond`, (keys * tenants.length) / took);
    note(`${name}SourceCores`, cores.source);
    note(`${name}TargetCores`, cores.target);
    note(`${name}MirrorCores`, cores.bench);
  };
  for (let round = 1; round <= ROUNDS; round += 1) {
    await drained('oneTenant', [BIG]);
    await drained('twoTenants', [BIG, OTHER]);
  }
}

const PILED_AT_ONCE = 50_000;

/** Changes the tenant's first `keys` rows, each once: the triggers journal them. */
async function pile({ source }: Servers, tenant: string, keys: number): Promise<void> {
  const connection = await createConnection(source.rootUrl());
  try {
    const [found] = await connection.query(
      `SELECT id FROM ${SCHEMA}.${TABLE} WHERE tenant_id = '${tenant}' ORDER BY id LIMIT ${keys}`,
    );
    const ids = (found as { id: number }[]).map(({ id }) => id);
    for (let at = 0; at < ids.length; at += PILED_AT_ONCE)
      await connection.query(
        `UPDATE ${SCHEMA}.${TABLE} SET amount = IFNULL(amount, 0) + 1, updated_at = NOW(6) WHERE tenant_id = '${tenant}' AND id BETWEEN ${ids[at]} AND ${ids[Math.min(ids.length, at + PILED_AT_ONCE) - 1]}`,
      );
    const [rows] = await connection.query(
      `SELECT COUNT(*) AS n FROM ${CONTROL}.journal WHERE tenant = '${tenant}'`,
    );
    const { n } = (rows as { n: number }[])[0]!;
    if (n !== keys) throw new Error(`${tenant} has ${n} of ${keys} journal rows`);
  } finally {
    await connection.end();
  }
}

function result(servers: Servers, found: Found): Result {
  return {
    name: 'mirror',
    machine: machine(),
    versions: servers.versions,
    runs: ROUNDS,
    medians: {
      writesPerSecond: RATE,
      deadJournalRows: DEAD,
      backlogKeys: BACKLOG,
      ...Object.fromEntries(Object.entries(found).map(([name, values]) => [name, rounded(median(values))])),
    },
    ratios: { twoTenantsVsOne: ratioOf(found['twoTenantsKeysPerSecond']!, found['oneTenantKeysPerSecond']!) },
  };
}
