/**
 * A table is copied to another server, process start included, the target emptied between: our copy, mydumper and myloader, a
 * mysqldump pipe, and INSERT … SELECT inside the target, which reads no network.
 *
 * A tenant that owns the table first: that is what the peers copy. Then, with a fifth of the rows, 50 tenants whose rows lie mixed, the
 * largest first, and mydumper once more, whole and cut into pieces.
 */
import { createConnection } from 'mysql2/promise';

import { coresDuring } from './cpu.ts';
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
    const { source, target } = servers;
    const one = await phase(servers, { rows: ROWS, tenants: 1 }, (own) => ({
      own,
      mydumper: () => mydumperAndLoader(source, target, TABLE),
      mysqldumpPipe: () => mysqldumpPipe(source, target, TABLE),
      insertSelect: () => insertSelect(servers),
    }));
    const rows = Math.ceil(ROWS / 5);
    const many = await phase(servers, { rows, tenants: MANY }, (own) => ({
      mixedOwn: own,
      mixedMydumper: () => mydumperAndLoader(source, target, TABLE),
      mixedMydumperChunked: () => mydumperAndLoader(source, target, TABLE, Math.ceil(rows / 20)),
    }));
    const found = { ...one.pace, ...many.pace };
    const versus = (a: string, b: string): number => ratioOf(found[a]!, found[b]!);
    return {
      name: 'backfill',
      machine: machine(),
      versions: { ...servers.versions, ...peers },
      runs: ROUNDS,
      medians: {
        rows: ROWS,
        mixedRows: rows,
        ...medians(found, 'RowsPerSecond'),
        ...medians(one.serverMicroseconds, 'ServerMicrosecondsPerRow'),
      },
      ratios: {
        vsMydumper: versus('own', 'mydumper'),
        vsMysqldumpPipe: versus('own', 'mysqldumpPipe'),
        vsInsertSelect: versus('own', 'insertSelect'),
        mixedVsMydumper: versus('mixedOwn', 'mixedMydumper'),
        mixedVsMydumperChunked: versus('mixedOwn', 'mixedMydumperChunked'),
      },
    };
  });
}

const medians = (found: Readonly<Record<string, readonly number[]>>, what: string): Record<string, number> =>
  Object.fromEntries(
    Object.entries(found).map(([name, values]) => [`${name}${what}`, rounded(median(values))]),
  );

interface Data {
  readonly rows: number;
  readonly tenants: number;
}

type Copy = () => Promise<unknown>;

/** By contestant, one of each round. */
interface Phase {
  /** Rows a second. */
  readonly pace: Record<string, number[]>;
  /** Time of a core of either server for each row: `…Source`, `…Target`. */
  readonly serverMicroseconds: Record<string, number[]>;
}

/** Fills both servers, and lets contestants copy in turns. */
async function phase(
  servers: Servers,
  data: Data,
  contestants: (own: Copy) => Readonly<Record<string, Copy>>,
): Promise<Phase> {
  await prepare(servers, data);
  const serverMicroseconds: Record<string, number[]> = {};
  const timed = (name: string, copy: Copy) => async (): Promise<number> => {
    await emptyTarget(servers);
    const { value: took, cores } = await coresDuring(servers, () => seconds(copy));
    await expectRows(servers, data.rows);
    for (const [side, busy] of [
      ['Source', cores.source],
      ['Target', cores.target],
    ] as const)
      (serverMicroseconds[`${name}${side}`] ??= []).push((busy * took * 1e6) / data.rows);
    return data.rows / took;
  };
  const tenants = tenantNames(data.tenants);
  let round = data.tenants * 1_000;
  const own: Copy = () =>
    copyInProcess(servers, { copy: 'own', tenants, round: (round += 1), seconds: null });
  const turns = Object.entries(contestants(own)).map(([name, copy]) => [name, timed(name, copy)] as const);
  return { pace: await inTurns(Object.fromEntries(turns)), serverMicroseconds };
}

async function prepare(servers: Servers, data: Data): Promise<void> {
  const { source, target, pair } = servers;
  say(`filling with ${data.rows} rows of ${data.tenants} tenants`);
  await Promise.all([fill(source.url(), data), fill(target.url(), { ...data, name: BESIDE })]);
  await emptyTarget(servers);
  await install(pair, [TABLE]);
  // The first of them started with the first phase.
  await startTenants(pair, data.tenants === 1 ? tenantNames(1) : tenantNames(data.tenants).slice(1));
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

async function expectRows(servers: Servers, expected: number): Promise<void> {
  const rows = (await onTarget(servers, `SELECT COUNT(*) AS n FROM ${SCHEMA}.${TABLE}`)) as { n: number }[];
  if (rows[0]?.n !== expected) throw new Error(`the target has ${rows[0]?.n} of ${expected} rows`);
}

const insertSelect = (servers: Servers): Promise<unknown> =>
  onTarget(servers, `INSERT INTO ${SCHEMA}.${TABLE} SELECT * FROM ${SCHEMA}.${BESIDE}`);
