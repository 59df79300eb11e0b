/**
 * Two equal servers are compared: our pass, pt-table-sync, and the bare scan that no comparison can beat by much.
 *
 * `own` is one pass of one tenant that owns the table; `ownInterleaved` is a pass of each of 50 tenants whose rows lie
 * mixed in the same table, so that every window finds its rows through a secondary index.
 */
import { createConnection } from 'mysql2/promise';

import { rowHash } from '../src/db/digest.ts';
import { reconcileSlice } from '../src/db/reconcile.ts';
import { loadTracked, type Pair, type Tracked } from '../src/db/tracked.ts';
import { fill, ROWS, TABLE, tenantNames } from './dataset.ts';
import { needPeers, ptTableSync } from './peers.ts';
import { machine, median, rounded, type Result } from './result.ts';
import { inTurns, ratioOf, ROUNDS, say, seconds } from './rounds.ts';
import { install, LIMITS, startTenants, withServers, type Servers } from './servers.ts';

const MANY = 50;

export async function run(): Promise<Result> {
  const peers = needPeers({ 'pt-table-sync': 'percona-toolkit' });
  return withServers(async (servers) => {
    const { pair } = servers;
    await fillBoth(servers, 1);
    await install(pair, [TABLE]);
    await startTenants(pair, tenantNames(MANY));
    const tracked = await loadTracked(pair);
    const one = await inTurns({
      own: async () => ROWS / (await seconds(() => passes(pair, tracked, tenantNames(1)))),
      ptTableSync: async () =>
        ROWS / (await seconds(() => ptTableSync(servers.source, servers.target, TABLE))),
      bareScan: async () => ROWS / (await seconds(() => bareScans(servers, tracked))),
    });
    await reshare(servers);
    const many = await inTurns({
      ownInterleaved: async () => ROWS / (await seconds(() => passes(pair, tracked, tenantNames(MANY)))),
      bareScanInterleaved: async () => ROWS / (await seconds(() => bareScans(servers, tracked))),
    });
    const found = { ...one, ...many };
    return {
      name: 'reconcile',
      machine: machine(),
      versions: { ...servers.versions, ...peers },
      runs: ROUNDS,
      medians: {
        rows: ROWS,
        ...Object.fromEntries(
          Object.entries(found).map(([name, values]) => [`${name}RowsPerSecond`, rounded(median(values))]),
        ),
      },
      ratios: {
        vsPtTableSync: ratioOf(found['own']!, found['ptTableSync']!),
        vsBareScan: ratioOf(found['own']!, found['bareScan']!),
        interleavedVsPtTableSync: ratioOf(found['ownInterleaved']!, found['ptTableSync']!),
        interleavedVsBareScan: ratioOf(found['ownInterleaved']!, found['bareScanInterleaved']!),
      },
    };
  });
}

async function fillBoth({ source, target }: Servers, tenants: number): Promise<void> {
  say(`filling both servers with ${ROWS} rows of ${tenants} tenants`);
  await Promise.all([fill(source.url(), { tenants }), fill(target.url(), { tenants })]);
}

/** The same table with the rows of many tenants, made anew under the triggers that stand. */
async function reshare(servers: Servers): Promise<void> {
  await fillBoth(servers, MANY);
  const { pair } = servers;
  await install(pair, [TABLE]);
}

async function passes(pair: Pair, tracked: Tracked, tenants: readonly string[]): Promise<void> {
  let rows = 0;
  for (const tenant of tenants) {
    const { pass, finished } = await reconcileSlice(pair, tracked, {
      tenant,
      limits: LIMITS,
      missingAgain: 0,
      progress: () => {},
      until: () => false,
    });
    if (!finished || pass.counts.suspects > 0) throw new Error(`${tenant}: the pass found differences`);
    rows += pass.counts.rows;
  }
  if (rows !== ROWS) throw new Error(`the passes saw ${rows} of ${ROWS} rows`);
}

/** The same hash of every row, over the whole table in one statement, on both servers at once. */
async function bareScans({ source, target }: Servers, tracked: Tracked): Promise<void> {
  const scan = async (url: string, side: 'source' | 'target'): Promise<string> => {
    const { table } = tracked[side](tracked.byName(TABLE).id);
    const hash = rowHash(tracked[side](tracked.byName(TABLE).id), 't', 'stored');
    const connection = await createConnection({ uri: url, charset: 'utf8mb4' });
    try {
      await connection.query("SET time_zone = '+00:00'");
      const [rows] = await connection.query(
        `SELECT COUNT(*) AS n, HEX(BIT_XOR(UNHEX(LEFT(${hash}, 32)))) AS digest FROM \`${table.schema}\`.\`${table.name}\` t`,
      );
      return JSON.stringify(rows);
    } finally {
      await connection.end();
    }
  };
  const [a, b] = await Promise.all([scan(source.url(), 'source'), scan(target.url(), 'target')]);
  if (a !== b) throw new Error(`the bare scans differ: ${a} ${b}`);
}
