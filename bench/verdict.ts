/**
 * 10,000 suspects are judged while 500 writes a second change the very rows: nothing has drifted, so every drift would be false.
 * The lock counts from the answer to the statement that takes it to the answer of the COMMIT that lets it go.
 */
import { Database, type Session } from '../src/db/database.ts';
import { loadTracked, type Pair } from '../src/db/tracked.ts';
import { judgeHot, judgeKeys } from '../src/db/verdict.ts';
import { encodeKey } from '../src/domain/key.ts';
import { fill, TABLE, tenantNames } from './dataset.ts';
import { openLoop, percentile } from './load.ts';
import { machine, median, rounded, type Result } from './result.ts';
import { ROUNDS, say } from './rounds.ts';
import { install, SCHEMA, startTenants, withServers, type Servers } from './servers.ts';
import { startWorker } from './worker-run.ts';

const SUSPECTS = Number(process.env['BENCH_SUSPECTS'] ?? 10_000);
const ROWS = 100_000;
const RATE = 500;
/** As reconcile asks. */
const AT_ONCE = 100;
const LOOKS = 3;
const TENANT = tenantNames(1)[0]!;

interface Round {
  readonly drifts: number;
  readonly inFlight: number;
  readonly hot: number;
  readonly held: readonly number[];
  readonly perSecond: number;
  readonly writes: number;
  readonly failed: number;
}

/** Measures how long the tenant's lock is held; everything else is the product's own code. */
class TimedDatabase extends Database {
  readonly held: number[] = [];

  override session<T>(use: (session: Session) => Promise<T>): Promise<T> {
    return super.session((session) => use(this.#timed(session)));
  }

  #timed(session: Session): Session {
    let since: number | null = null;
    return new Proxy(session, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        const method = value.bind(target) as (...args: unknown[]) => unknown;
        if (name !== 'rows' && name !== 'run') return method;
        return async (sql: string, ...rest: unknown[]) => {
          const answer = await method(sql, ...rest);
          if (/tenant_lock`.* FOR UPDATE$/.test(sql)) since ??= performance.now();
          if ((sql === 'COMMIT' || sql === 'ROLLBACK') && since !== null) {
            this.held.push(performance.now() - since);
            since = null;
          }
          return answer;
        };
      },
    });
  }
}

export async function run(): Promise<Result> {
  return withServers(async (servers) => {
    const { source, target, pair } = servers;
    await Promise.all([source, target].map((server) => fill(server.url(), { rows: ROWS, tenants: 1 })));
    await install(pair, [TABLE]);
    await startTenants(pair, [TENANT]);
    const stopWorker = await startWorker(servers);
    const rounds: Round[] = [];
    for (let round = 1; round <= ROUNDS; round += 1) {
      rounds.push(await oneRound(servers));
      const { held, ...rest } = rounds.at(-1)!;
      say(`round ${round}/${ROUNDS}: ${JSON.stringify({ ...rest, p99: percentile(held, 0.99) })}`);
    }
    await stopWorker();
    return result(servers, rounds);
  });
}

async function oneRound(servers: Servers): Promise<Round> {
  let isOver = false;
  const judging = judgeAll(servers).finally(() => (isOver = true));
  const writes = await openLoop(
    servers.source.url(SCHEMA),
    {
      rate: RATE,
      write: (pool) =>
        pool.query(
          `UPDATE ${TABLE} SET amount = IFNULL(amount, 0) + 1, updated_at = NOW(6) WHERE id = ${1 + Math.floor(Math.random() * SUSPECTS)}`,
        ),
    },
    () => isOver,
  );
  return { ...(await judging), writes: writes.writes, failed: writes.failed };
}

async function judgeAll(servers: Servers): Promise<Omit<Round, 'writes' | 'failed'>> {
  const timed = new TimedDatabase({ side: 'target', url: servers.target.url() });
  const pair: Pair = { ...servers.pair, target: timed };
  const tracked = await loadTracked(pair);
  const { id } = tracked.byName(TABLE);
  const suspects = Array.from({ length: SUSPECTS }, (_, index) => encodeKey([String(index + 1)]));
  let [drifts, inFlight, hot] = [0, 0, 0];
  const started = performance.now();
  for (let at = 0; at < suspects.length; at += AT_ONCE) {
    let open = suspects.slice(at, at + AT_ONCE);
    for (let look = 1; look <= LOOKS && open.length > 0; look += 1) {
      const judged = await (look < LOOKS ? judgeKeys : judgeHot)(pair, tracked, TENANT, id, open);
      if (look === LOOKS) hot += open.length;
      drifts += judged.filter(({ verdict }) => verdict.kind === 'drift').length;
      open = judged.filter(({ verdict }) => verdict.kind === 'in-flight').map(({ key }) => key);
      if (look === 1) inFlight += open.length;
    }
  }
  const perSecond = (SUSPECTS * 1_000) / (performance.now() - started);
  const held = timed.held;
  await timed.close();
  return { drifts, inFlight, hot, held, perSecond };
}

function result(servers: Servers, rounds: readonly Round[]): Result {
  const mid = (of: (round: Round) => number): number => rounded(median(rounds.map(of)));
  const falseDrifts = rounds.reduce((sum, { drifts }) => sum + drifts, 0);
  return {
    name: 'verdict',
    machine: machine(),
    versions: servers.versions,
    runs: rounds.length,
    medians: {
      suspects: SUSPECTS,
      writesPerSecond: RATE,
      /** Of all rounds together. */
      falseDrifts,
      failedWrites: rounds.reduce((sum, { failed }) => sum + failed, 0),
      inFlight: mid(({ inFlight }) => inFlight),
      hot: mid(({ hot }) => hot),
      lockHeldP50Ms: mid(({ held }) => percentile(held, 0.5)),
      lockHeldP99Ms: mid(({ held }) => percentile(held, 0.99)),
      lockHeldMaxMs: mid(({ held }) => percentile(held, 1)),
      suspectsPerSecond: mid(({ perSecond }) => perSecond),
    },
    ratios: { falseDrifts },
  };
}
