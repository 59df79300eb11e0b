/**
 * Single-row writes, each its own transaction, on a table with our triggers and on the same table without, in turns.
 * A third one has the least that a capturing trigger can do, a row of one byte: what is left for ours to save.
 */
import { createPool, type Pool } from 'mysql2/promise';

import { createSql, tenantNames } from './dataset.ts';
import { percentile } from './load.ts';
import { machine, median, rounded, type Result } from './result.ts';
import { ratioOf, say } from './rounds.ts';
import { CONTROL, install, SCHEMA, withServers, type Servers } from './servers.ts';

const CONNECTIONS = [1, 16, 64] as const;
const RUNS = Number(process.env['BENCH_ROUNDS'] ?? 7);
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 4);
const TENANTS = tenantNames(50);
const CONTESTANTS = ['plain', 'captured', 'least'] as const;

interface Run {
  readonly p50: number;
  readonly p99: number;
  readonly perSecond: number;
}

export async function run(): Promise<Result> {
  return withServers(async (servers) => {
    const { pair } = servers;
    for (const db of [pair.source, pair.target]) {
      await db.run(`CREATE DATABASE ${SCHEMA}`);
      for (const name of CONTESTANTS) await db.run(createSql(name));
    }
    await install(pair, ['captured']);
    await installLeast(pair);
    const found: Record<string, Run[]> = {};
    let id = 0;
    for (let round = 0; round <= RUNS; round += 1) {
      for (const connections of CONNECTIONS) {
        // Who goes first changes: the next one meets what it left behind.
        const tables = CONTESTANTS.map((_, at) => CONTESTANTS[(at + round) % CONTESTANTS.length]!);
        for (const table of tables) {
          const one = await writes(servers, table, connections, () => (id += 1));
          // The first round warms up.
          if (round > 0) (found[`${table}At${connections}`] ??= []).push(one);
          say(`round ${round}/${RUNS} ${table} ${connections}: ${JSON.stringify(one)}`);
        }
        for (const table of tables) await pair.source.run(`TRUNCATE TABLE ${SCHEMA}.${table}`);
        for (const table of ['journal', 'least']) await pair.source.run(`TRUNCATE TABLE ${CONTROL}.${table}`);
      }
    }
    return result(servers, found);
  });
}

async function installLeast({ source }: Servers['pair']): Promise<void> {
  await source.run(
    `CREATE TABLE ${CONTROL}.least (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, n TINYINT)`,
  );
  for (const event of ['INSERT', 'UPDATE'])
    await source.run(
      `CREATE TRIGGER ${SCHEMA}.least_${event.toLowerCase()} AFTER ${event} ON ${SCHEMA}.least FOR EACH ROW INSERT INTO ${CONTROL}.least (n) VALUES (1)`,
    );
}

/** Half inserts, half updates of rows that this run inserted. */
async function writes(
  { source }: Servers,
  table: string,
  connections: number,
  nextId: () => number,
): Promise<Run> {
  const pool = createPool({ uri: source.url(SCHEMA), connectionLimit: connections, charset: 'utf8mb4' });
  const times: number[] = [];
  try {
    await Promise.all(Array.from({ length: connections }, () => pool.query('DO 1')));
    const started = performance.now();
    const ends = started + SECONDS * 1_000;
    const one = async (): Promise<void> => {
      while (performance.now() < ends) {
        const id = nextId();
        for (const write of [insert, update]) {
          const sent = performance.now();
          await write(pool, table, id);
          times.push(performance.now() - sent);
        }
      }
    };
    await Promise.all(Array.from({ length: connections }, one));
    const seconds = (performance.now() - started) / 1_000;
    return {
      p50: percentile(times, 0.5),
      p99: percentile(times, 0.99),
      perSecond: times.length / seconds,
    };
  } finally {
    await pool.end();
  }
}

const insert = (pool: Pool, table: string, id: number): Promise<unknown> =>
  pool.query(
    `INSERT INTO ${table} VALUES (${id}, '${TENANTS[id % TENANTS.length]!}', NOW(6), NOW(6), 'new', 12.5, 0.1, 'Nachricht für Kundin № ${id}', '{"n": ${id}, "channel": "sms", "tags": ["größe"]}', NULL)`,
  );

const update = (pool: Pool, table: string, id: number): Promise<unknown> =>
  pool.query(
    `UPDATE ${table} SET amount = amount + 1, status = 'sent', updated_at = NOW(6) WHERE id = ${id}`,
  );

function result(servers: Servers, found: Readonly<Record<string, readonly Run[]>>): Result {
  const values = (name: string, of: (one: Run) => number): number[] => found[name]!.map(of);
  const ratio = (at: number, of: (one: Run) => number, name = 'captured'): number =>
    ratioOf(values(`${name}At${at}`, of), values(`plainAt${at}`, of));
  const medians = Object.keys(found).flatMap((name) => [
    [`${name}P50Ms`, rounded(median(values(name, ({ p50 }) => p50)))] as const,
    [`${name}P99Ms`, rounded(median(values(name, ({ p99 }) => p99)))] as const,
    [`${name}PerSecond`, rounded(median(values(name, ({ perSecond }) => perSecond)))] as const,
  ]);
  return {
    name: 'capture',
    machine: machine(),
    versions: servers.versions,
    runs: RUNS,
    medians: Object.fromEntries(medians),
    ratios: {
      p50At1: ratio(1, ({ p50 }) => p50),
      throughputAt16: ratio(16, ({ perSecond }) => perSecond),
      throughputAt64: ratio(64, ({ perSecond }) => perSecond),
      p50At16: ratio(16, ({ p50 }) => p50),
      p50At64: ratio(64, ({ p50 }) => p50),
      throughputAt1: ratio(1, ({ perSecond }) => perSecond),
      leastThroughputAt16: ratio(16, ({ perSecond }) => perSecond, 'least'),
      leastThroughputAt64: ratio(64, ({ perSecond }) => perSecond, 'least'),
    },
  };
}
