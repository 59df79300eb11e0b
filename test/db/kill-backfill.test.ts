/**
 * kill -9 of a worker at random moments of a backfill, 50 times, while an application writes: no row is lost,
 * doubled or stale, and a kill costs each lane at most the window that it was in.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import type * as Esbuild from 'esbuild';
import { createConnection, type Connection } from 'mysql2/promise';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { admitStage } from '../../src/db/stages.ts';
import { column, useFixture, type Fixture } from '../support/pair.ts';
import { stackInfo, urlWithSchema } from '../support/stack.ts';
import type { CopierConfig, CopierSaid } from './protocol/copier.ts';
import { seeded, type Random } from './protocol/random.ts';

const COPIER = fileURLToPath(new URL('protocol/copier.ts', import.meta.url));
const SEED = Number(process.env['KILL_SEED'] ?? 20_260_311);
const KILLS = 50;
const LANES = 3;
const WINDOW = 40;
const ROWS = 6_000;
/** One part of one table is one lane. */
const TABLES = ['orders', 'parcels', 'events'];

const fixture = useFixture(
  TABLES.map(
    (name) =>
      `CREATE TABLE ${name} (id INT NOT NULL PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n BIGINT NOT NULL, body VARCHAR(200) NOT NULL, KEY (tenant_id))`,
  ),
);

/** The compiler that tsx brings along. */
const { build } = createRequire(import.meta.resolve('tsx'))('esbuild') as typeof Esbuild;

let folder = '';
let bundled = '';

/** One file, so that fifty processes cost a tenth of a second each. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchback-copier-'));
  bundled = join(folder, 'copier.mjs');
  const require =
    "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
  const platform = { bundle: true, platform: 'node', format: 'esm', banner: { js: require } } as const;
  await build({ ...platform, entryPoints: [COPIER], outfile: bundled });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

interface Tally {
  kills: number;
  /** Windows that wrote rows, of the processes that are gone too. */
  begun: number;
  retries: number;
  errors: string[];
  /** Delays after which a process was killed, in milliseconds. */
  readonly delays: number[];
  rounds: number;
}

async function prepare({ pair, sql, install, start }: Fixture): Promise<void> {
  for (const table of TABLES) {
    for (let at = 0; at < ROWS; at += 1_000) {
      const rows = Array.from(
        { length: 1_000 },
        (_, n) => `(${(at + n) * 2}, '${n % 10 === 0 ? 'bee' : 'ant'}', 0, 'body of ${n}')`,
      );
      await sql('source', `INSERT INTO ${table} VALUES ${rows.join(', ')}`);
    }
  }
  await install(Object.fromEntries(TABLES.map((table) => [table, column()])));
  await admitStage(pair.source, pair.control, 'bee');
  await start('ant');
  // Every move of a cursor, in the transaction that made it.
  const control = `\`${pair.control}\``;
  await pair.target.run(
    `CREATE TABLE ${control}.moves (id INT AUTO_INCREMENT PRIMARY KEY, round INT, table_id INT, part INT, from_key VARBINARY(64), to_key VARBINARY(64), finished INT)`,
  );
  await pair.target.run(
    `CREATE TRIGGER ${control}.moved AFTER UPDATE ON ${control}.backfill_cursor FOR EACH ROW
     INSERT INTO ${control}.moves (round, table_id, part, from_key, to_key, finished) VALUES (NEW.round, NEW.table_id, NEW.part, OLD.after_key, NEW.after_key, NEW.finished)`,
  );
}

let counter = 0;

/** A value is written once only: a stale row can't look like a fresh one. */
async function write(url: string, random: Random, over: () => boolean): Promise<number> {
  const connection = await createConnection(url);
  let commits = 0;
  while (!over()) {
    const table = random.pick(TABLES);
    const id = random.below(ROWS * 2 + 500);
    const n = (counter += 1);
    const statement = random.pick([
      `UPDATE ${table} SET n = ${n} WHERE id BETWEEN ${id} AND ${id + 30}`,
      `UPDATE ${table} SET n = ${n}, body = REPEAT('x', ${random.below(200)}) WHERE id = ${id}`,
      `INSERT INTO ${table} VALUES (${id}, '${random.pick(['ant', 'bee'])}', ${n}, 'new') ON DUPLICATE KEY UPDATE n = ${n}`,
      `DELETE FROM ${table} WHERE id = ${id}`,
      `UPDATE ${table} SET tenant_id = '${random.pick(['ant', 'bee'])}', n = ${n} WHERE id = ${id}`,
      `UPDATE IGNORE ${table} SET id = ${random.below(ROWS * 2)}, n = ${n} WHERE id = ${id}`,
    ]);
    try {
      await connection.query(statement);
      commits += 1;
    } catch (error) {
      if (![1213, 1205].includes((error as { errno: number }).errno)) throw error;
    }
    await sleep(2);
  }
  await connection.end();
  return commits;
}

interface Copier {
  readonly process: ChildProcess;
  readonly ready: Promise<void>;
  readonly finished: Promise<void>;
}

function warm(config: CopierConfig, tally: Tally): Copier {
  const process_ = spawn(process.execPath, [bundled, JSON.stringify(config)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let isReady = (): void => {};
  let isFinished = (): void => {};
  const ready = new Promise<void>((resolve) => (isReady = resolve));
  const finished = new Promise<void>((resolve) => (isFinished = resolve));
  createInterface({ input: process_.stdout }).on('line', (line) => {
    const said = JSON.parse(line) as CopierSaid;
    if ('ready' in said) isReady();
    if ('finished' in said) isFinished();
    if ('begun' in said) tally.begun += 1;
    if ('retry' in said) tally.retries += 1;
    if ('error' in said) tally.errors.push(said.error);
  });
  return { process: process_, ready, finished };
}

/** Kills one process after the other; a copy that is finished begins again, as a new round. */
async function killAndKill(config: CopierConfig, random: Random, tally: Tally): Promise<void> {
  const next: Copier[] = [warm(config, tally), warm(config, tally)];
  while (tally.kills < KILLS) {
    const copier = next.shift()!;
    next.push(warm(config, tally));
    await copier.ready;
    copier.process.stdin!.write(`${tally.rounds}\n`);
    const delay = 5 + random.below(random.chance(0.3) ? 40 : 250);
    const exited = once(copier.process, 'close');
    const done = await Promise.race([copier.finished.then(() => true), sleep(delay, false)]);
    copier.process.kill('SIGKILL');
    await exited;
    if (done) tally.rounds += 1;
    else {
      tally.kills += 1;
      tally.delays.push(delay);
    }
  }
  const last = next.shift()!;
  for (const { process: unused } of next) unused.kill('SIGKILL');
  await last.ready;
  last.process.stdin!.write(`${tally.rounds}\n`);
  await last.finished;
  last.process.kill('SIGKILL');
}

async function texts(connection: Connection, sql: string): Promise<string[]> {
  const [rows] = await connection.query(sql);
  return (rows as object[]).map((row) => JSON.stringify(row));
}

/** Shares nothing with the product: rows that one side has and the other has not. */
async function differences(schema: string): Promise<string[]> {
  const { sourceUrl, targetUrl } = stackInfo();
  const source = await createConnection(urlWithSchema(sourceUrl, schema));
  const target = await createConnection(urlWithSchema(targetUrl, schema));
  const found: string[] = [];
  for (const table of TABLES) {
    const expected = await texts(source, `SELECT * FROM ${table} WHERE tenant_id = 'ant' ORDER BY id`);
    const actual = await texts(target, `SELECT * FROM ${table} ORDER BY id`);
    const [here, there] = [new Set(expected), new Set(actual)];
    found.push(...expected.filter((row) => !there.has(row)).map((row) => `${table} lost or stale ${row}`));
    found.push(
      ...actual.filter((row) => !here.has(row)).map((row) => `${table} resurrected or stale ${row}`),
    );
    if (actual.length !== there.size) found.push(`${table}: ${actual.length - there.size} rows are doubled`);
    expect(expected.length).toBeGreaterThan(ROWS / 2);
  }
  await Promise.all([source.end(), target.end()]);
  return found;
}

it('kill -9 at 50 random moments loses, doubles and ages no row, and repeats at most the windows under way', async () => {
  const { pair } = fixture();
  console.log(`kill -9 of the backfill: seed ${SEED}`);
  await prepare(fixture());
  const { sourceUrl, targetUrl } = stackInfo();
  const { control, sourceSchema: schema } = pair;
  const random = seeded(SEED);
  const tally: Tally = { kills: 0, begun: 0, retries: 0, errors: [], delays: [], rounds: 1 };
  let over = false;
  const writers = [1, 2].map((n) => write(urlWithSchema(sourceUrl, schema), seeded(SEED + n), () => over));
  await killAndKill(
    { sourceUrl, targetUrl, control, schema, tenant: 'ant', lanes: LANES, windowRows: WINDOW },
    random,
    tally,
  );
  over = true;
  const commits = (await Promise.all(writers)).reduce((sum, n) => sum + n, 0);
  for (const tenant of ['ant', '_unresolved']) await fixture().mirror.drain(tenant);

  const moves = await pair.target.rows(`SELECT * FROM \`${control}\`.moves ORDER BY id`);
  const repeated = tally.begun - moves.length;
  console.log(
    `kill -9 of the backfill: ${tally.kills} kills after ${Math.min(...tally.delays)} to ${Math.max(...tally.delays)} ms, ${commits} writes, ${tally.rounds} rounds, ` +
      `${moves.length} windows committed, ${repeated} begun and not committed, ${tally.retries} retries`,
  );
  expect(tally.errors).toEqual([]);
  expect(await differences(schema)).toEqual([]);
  expect(commits).toBeGreaterThan(500);
  // The ledger: every window went on where the last committed one of its part and round ended, and none was committed twice.
  const ends = new Map<string, string | null>();
  for (const move of moves) {
    const part = `${move['round']}/${move['table_id']}/${move['part']}`;
    expect(move['from_key']).toBe(ends.get(part) ?? null);
    ends.set(part, move['to_key'] ?? null);
  }
  expect(moves.length).toBeGreaterThan(KILLS);
  expect(repeated).toBeLessThanOrEqual(KILLS * LANES + tally.retries * LANES);
  expect(repeated).toBeGreaterThan(0);
}, 240_000);
