/**
 * 500 writes a second on the rows that are just being copied: what they feel of the copy, and what the copy feels of them.
 *
 * Four phases a round, each at least 20 s: the writes alone, the copy alone, both, and both with a copy that locks the source rows
 * until the target has them. The table has its triggers in all of them, and the mirror runs beside our copy.
 */
import { decodeKey } from '../src/domain/key.ts';
import { copyInProcess, type Copied } from './copy-run.ts';
import { coresDuring, type Cores } from './cpu.ts';
import { createSql, fill, ROWS, TABLE, tenantNames } from './dataset.ts';
import { openLoop, type Latencies } from './load.ts';
import { machine, median, rounded, type Result } from './result.ts';
import { ratioOf, ROUNDS, say } from './rounds.ts';
import { CONTROL, install, LIMITS, SCHEMA, startTenants, withServers, type Servers } from './servers.ts';

const RATE = 500;
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 20);

/** Who had how many cores. */
interface Busy {
  readonly busy: Cores;
}

interface Round {
  readonly idle: Latencies & Busy;
  readonly unloaded: Copied & Busy;
  readonly loaded: Latencies & Copied & Busy;
  readonly shareLock: Latencies & Copied & Busy;
}

export async function run(): Promise<Result> {
  return withServers(async (servers) => {
    say(`filling with ${ROWS} rows`);
    await fill(servers.source.url(), { tenants: 1 });
    await servers.pair.target.run(`CREATE DATABASE ${SCHEMA}`);
    await servers.pair.target.run(createSql(TABLE));
    await install(servers.pair, [TABLE]);
    await startTenants(servers.pair, tenantNames(1));
    const rounds: Round[] = [];
    for (let round = 1; round <= ROUNDS; round += 1) {
      rounds.push(await oneRound(servers, round * 10));
      say(`round ${round}/${ROUNDS}: ${JSON.stringify(rounds.at(-1))}`);
    }
    return result(servers, rounds);
  });
}

async function oneRound(servers: Servers, number: number): Promise<Round> {
  const watched = async <T>(phase: () => Promise<T>): Promise<T & Busy> => {
    const { value, cores } = await coresDuring(servers, phase);
    return { ...value, busy: cores };
  };
  const idle = await watched(() =>
    writesFor(
      servers,
      () => [],
      (elapsed) => elapsed > SECONDS * 1_000,
    ),
  );
  const unloaded = await watched(() => copy(servers, 'own', number));
  const loaded = await watched(() => beside(servers, 'own', number + 1));
  const shareLock = await watched(() => beside(servers, 'share-lock', number + 2));
  return { idle, unloaded, loaded, shareLock };
}

async function copy(
  servers: Servers,
  kind: 'own' | 'share-lock',
  round: number,
  onAt?: (key: number) => void,
): Promise<Copied> {
  // Emptied, not made anew: the shape that install wrote down stays.
  await servers.pair.target.run(`TRUNCATE TABLE ${SCHEMA}.${TABLE}`);
  return copyInProcess(servers, { copy: kind, tenants: tenantNames(1), round, seconds: SECONDS }, onAt);
}

async function beside(
  servers: Servers,
  kind: 'own' | 'share-lock',
  round: number,
): Promise<Latencies & Copied> {
  const windows = new Set<number>();
  let copied: Copied | null = null;
  let at: number[] = [];
  const running = copy(servers, kind, round, (key) => {
    windows.add(key);
    at = [...windows].slice(-LIMITS.backfillParallel);
  }).then((done) => (copied = done));
  const looks =
    kind === 'own' ? setInterval(() => void cursors(servers, round).then((keys) => (at = keys)), 100) : null;
  try {
    const latencies = await writesFor(
      servers,
      () => at,
      () => copied !== null,
    );
    return { ...latencies, ...(await running) };
  } finally {
    if (looks !== null) clearInterval(looks);
  }
}

/** Where the lanes of our copy stand. */
async function cursors({ pair }: Servers, round: number): Promise<number[]> {
  const rows = await pair.target
    .rows(
      `SELECT after_key FROM ${CONTROL}.backfill_cursor WHERE round = ${round} AND finished = 0 AND after_key IS NOT NULL`,
    )
    .catch(() => []);
  return rows.map((row) => Number(decodeKey(row['after_key']!)[0]));
}

/** Updates by key: of rows in the windows that are being copied, where there are any. */
function writesFor(
  { source }: Servers,
  windows: () => readonly number[],
  until: (elapsedMs: number) => boolean,
): Promise<Latencies> {
  return openLoop(
    source.url(SCHEMA),
    {
      rate: RATE,
      write: (pool) => {
        const at = windows();
        const start = at[Math.floor(Math.random() * at.length)];
        const id =
          start === undefined
            ? 1 + Math.floor(Math.random() * ROWS)
            : Math.min(ROWS, 1 + start + Math.floor(Math.random() * LIMITS.windowRows));
        return pool.query(
          `UPDATE ${TABLE} SET amount = IFNULL(amount, 0) + 1, updated_at = NOW(6) WHERE id = ${id}`,
        );
      },
    },
    until,
  );
}

function result(servers: Servers, rounds: readonly Round[]): Result {
  const failed = rounds.reduce(
    (sum, { idle, loaded, shareLock }) => sum + idle.failed + loaded.failed + shareLock.failed,
    0,
  );
  const pace = ({ rows, seconds }: Copied): number => rows / seconds;
  const values = (of: (round: Round) => number): number[] => rounds.map(of);
  const mid = (of: (round: Round) => number): number => rounded(median(values(of)));
  const p99 = {
    idle: values((r) => r.idle.p99),
    loaded: values((r) => r.loaded.p99),
    shareLock: values((r) => r.shareLock.p99),
  };
  return {
    name: 'backfill-load',
    machine: machine(),
    versions: servers.versions,
    runs: rounds.length,
    medians: {
      rows: ROWS,
      writesPerSecond: RATE,
      failedWrites: failed,
      idleP50Ms: mid((r) => r.idle.p50),
      idleP99Ms: mid((r) => r.idle.p99),
      loadedP50Ms: mid((r) => r.loaded.p50),
      loadedP99Ms: mid((r) => r.loaded.p99),
      shareLockP50Ms: mid((r) => r.shareLock.p50),
      shareLockP99Ms: mid((r) => r.shareLock.p99),
      unloadedRowsPerSecond: mid((r) => pace(r.unloaded)),
      loadedRowsPerSecond: mid((r) => pace(r.loaded)),
      shareLockRowsPerSecond: mid((r) => pace(r.shareLock)),
      idleSourceCores: mid((r) => r.idle.busy.source),
      idleWriterCores: mid((r) => r.idle.busy.bench),
      unloadedSourceCores: mid((r) => r.unloaded.busy.source),
      unloadedTargetCores: mid((r) => r.unloaded.busy.target),
      unloadedCopyCores: mid((r) => r.unloaded.cores),
      loadedSourceCores: mid((r) => r.loaded.busy.source),
      loadedTargetCores: mid((r) => r.loaded.busy.target),
      loadedCopyCores: mid((r) => r.loaded.cores),
      loadedWriterCores: mid((r) => r.loaded.busy.bench),
    },
    ratios: {
      updateP99VsIdle: ratioOf(p99.loaded, p99.idle),
      paceVsUnloaded: ratioOf(
        values((r) => pace(r.loaded)),
        values((r) => pace(r.unloaded)),
      ),
      updateP99VsShareLock: ratioOf(p99.loaded, p99.shareLock),
      shareLockP99VsIdle: ratioOf(p99.shareLock, p99.idle),
    },
  };
}
