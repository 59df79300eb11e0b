/**
 * A table is copied to another server, process start included, the target emptied between: our copy of all tenants,
 * mydumper and myloader, a mysqldump pipe, and INSERT … SELECT inside the target, which reads no network.
 *
 * `own` copies 50 tenants whose rows lie mixed, the largest first; `ownOneTenant` one that owns the table.
 */
import { createConnection } from 'mysql2/promise';

import { createSql, fill, ROWS, TABLE, tenantNames } from './dataset.ts';
import { copyInProcess } from './copy-run.ts';
import { mydumperAndLoader, mysqldumpPipe, needPeers } from './peers.ts';
import { machine, median, rounded, type Result } from './result.ts';
import { inTurns, ratioOf, ROUNDS, say, seconds } from './rounds.ts';
import { install, SCHEMA, startTenants, withServers, type Servers } from './servers.ts';

const MANY = 50;
/** On the target: what INSERT … SELECT reads. */
const BESIDE = 'events_beside';

export async function run(): Promise<Result> {
  const peers = needPeers({ mydumper: 'mydumper', myloader: 'mydumper' });
  return withServers(async (servers) => {
    const { pair, source, target } = servers;
    await prepare(servers);
    await install(pair, [TABLE]);
    await startTenants(pair, tenantNames(MANY));
    let round = 0;
    const timed = async (copy: () => Promise<unknown>): Promise<number> => {
      await emptyTarget(servers);
      const took = await seconds(copy);
      await expectRows(servers);
      return ROWS / took;
    };
    const own = (tenants: number) => () =>
      timed(() =>
        copyInProcess(servers, {
          copy: 'own',
          tenants: tenantNames(tenants),
          round: (round += 1),
          seconds: null,
        }),
      );
    const many = await inTurns({
      own: own(MANY),
      mydumper: () => timed(() => mydumperAndLoader(source, target, TABLE)),
      mydumperChunked: () => timed(() => mydumperAndLoader(source, target, TABLE, Math.ceil(ROWS / 20))),
      mysqldumpPipe: () => timed(() => mysqldumpPipe(source, target, TABLE)),
      insertSelect: () => timed(() => insertSelect(servers)),
    });
    say('filling the source again, with one tenant');
    await fill(source.url(), { tenants: 1 });
    await emptyTarget(servers);
    await install(pair, [TABLE]);
    const one = await inTurns({ ownOneTenant: own(1) });
    const found = { ...many, ...one };
    const versus = (name: string): number => ratioOf(found['own']!, found[name]!);
    const oneVersus = (name: string): number => ratioOf(found['ownOneTenant']!, found[name]!);
    return {
      name: 'backfill',
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
        vsMydumper: versus('mydumper'),
        vsMydumperChunked: versus('mydumperChunked'),
        vsMysqldumpPipe: versus('mysqldumpPipe'),
        vsInsertSelect: versus('insertSelect'),
        oneTenantVsMydumper: oneVersus('mydumper'),
        oneTenantVsMysqldumpPipe: oneVersus('mysqldumpPipe'),
        oneTenantVsInsertSelect: oneVersus('insertSelect'),
      },
    };
  });
}

async function prepare({ source, target, pair }: Servers): Promise<void> {
  say(`filling with ${ROWS} rows of ${MANY} tenants`);
  await Promise.all([
    fill(source.url(), { tenants: MANY }),
    fill(target.url(), { name: BESIDE, tenants: MANY }),
  ]);
  await pair.target.run(createSql(TABLE));
}

const onTarget = async (servers: Servers, sql: string): Promise<unknown> => {
  const connection = await createConnection({ uri: servers.target.url(), charset: 'utf8mb4' });
  try {
    return (await connection.query(sql))[0];
  } finally {
    await connection.end();
  }
};

/** Made anew, not truncated: a peer's loader may have made it its own way. */
async function emptyTarget(servers: Servers): Promise<void> {
  await onTarget(servers, `DROP TABLE IF EXISTS ${SCHEMA}.${TABLE}`);
  await onTarget(servers, createSql(TABLE));
}

async function expectRows(servers: Servers): Promise<void> {
  const rows = (await onTarget(servers, `SELECT COUNT(*) AS n FROM ${SCHEMA}.${TABLE}`)) as { n: number }[];
  if (rows[0]?.n !== ROWS) throw new Error(`the target has ${rows[0]?.n} of ${ROWS} rows`);
}

const insertSelect = (servers: Servers): Promise<unknown> =>
  onTarget(servers, `INSERT INTO ${SCHEMA}.${TABLE} SELECT * FROM ${SCHEMA}.${BESIDE}`);
