/**
 * A read through the router in `source-only` against the same call of mysql2 on a pool: one row by its key, one at a
 * time. They take turns in small blocks within a round, so that a slow second hits both.
 */
import { createPool, type Pool } from 'mysql2/promise';

import { createRouter, type Router } from '../src/app/index.ts';
import { installControl } from '../src/db/control.ts';
import { Database } from '../src/db/database.ts';
import { admitStage } from '../src/db/stages.ts';
import { startStack } from '../src/stack/start.ts';
import { machine, median, rounded, type Result } from './result.ts';
import { ratioOf, ROUNDS, say } from './rounds.ts';

const BLOCKS = 40;
const READS_PER_BLOCK = 100;
const SCHEMA = 'bench_read';
const READ = `SELECT id, body, seen_at FROM ${SCHEMA}.messages WHERE tenant_id = ? AND id = ?`;
const ROWS = 1_000;

type Read = (id: number) => Promise<unknown>;

export async function run(): Promise<Result> {
  const stack = await startStack({ only: ['source', 'target'], isPrivate: true });
  const [sourceUrl, targetUrl] = [stack.source.url(), stack.target.url()];
  const source = new Database({ side: 'source', url: sourceUrl });
  const target = new Database({ side: 'target', url: targetUrl });
  await prepare(source, target);
  const router = await createRouter({
    source: sourceUrl,
    target: targetUrl,
    schema: { source: SCHEMA, target: SCHEMA },
    service: 'bench',
  });
  // Values as the router gives them: what is parsed is the same.
  const pool = createPool({
    uri: sourceUrl,
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
  });
  try {
    const reads = { plain: plainRead(pool), router: routerRead(router) };
    // Warm: connections, statements' plans, the compiler.
    await round(reads);
    const p50: Record<string, number[]> = {};
    const p99: Record<string, number[]> = {};
    for (let number = 1; number <= ROUNDS; number += 1) {
      for (const [name, times] of Object.entries(await round(reads))) {
        (p50[name] ??= []).push(median(times));
        (p99[name] ??= []).push(percentile(times, 0.99));
        say(
          `round ${number}/${ROUNDS} ${name}: p50 ${rounded(p50[name].at(-1)!)} p99 ${rounded(p99[name].at(-1)!)} µs`,
        );
      }
    }
    return {
      name: 'read',
      machine: machine(),
      versions: { node: process.version, source: (await source.server()).version },
      runs: ROUNDS,
      medians: {
        plainP50Us: rounded(median(p50['plain']!)),
        routerP50Us: rounded(median(p50['router']!)),
        plainP99Us: rounded(median(p99['plain']!)),
        routerP99Us: rounded(median(p99['router']!)),
      },
      ratios: {
        p50: ratioOf(p50['router']!, p50['plain']!),
        p99: ratioOf(p99['router']!, p99['plain']!),
      },
    };
  } finally {
    await router.close();
    await pool.end();
    await Promise.all([source.close(), target.close()]);
    await stack.stop();
  }
}

const plainRead =
  (pool: Pool): Read =>
  (id) =>
    pool.query(READ, ['acme', id]);

const routerRead =
  (router: Router): Read =>
  (id) =>
    router.tenant('acme').read('message', (conn) => conn.query(READ, ['acme', id]));

/** @returns microseconds of each read, by contestant */
async function round(reads: Readonly<Record<string, Read>>): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {};
  const names = Object.keys(reads);
  for (let block = 0; block < BLOCKS; block += 1) {
    // Nobody is always the first.
    for (const name of block % 2 === 0 ? names : names.toReversed())
      (found[name] ??= []).push(...(await timed(reads[name]!)));
  }
  return found;
}

async function timed(read: Read): Promise<number[]> {
  const times: number[] = [];
  for (let count = 0; count < READS_PER_BLOCK; count += 1) {
    const began = performance.now();
    await read(1 + (count % ROWS));
    times.push((performance.now() - began) * 1_000);
  }
  return times;
}

const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)]!;

async function prepare(source: Database, target: Database): Promise<void> {
  for (const db of [source, target]) {
    await db.run(`CREATE DATABASE ${SCHEMA}`);
    await db.run(
      `CREATE TABLE ${SCHEMA}.messages (id BIGINT NOT NULL PRIMARY KEY, tenant_id VARCHAR(64) NOT NULL,
         body TEXT NOT NULL, seen_at DATETIME(6) NOT NULL, KEY (tenant_id))`,
    );
  }
  const rows = Array.from({ length: ROWS }, (_, index) => `(${index + 1}, 'acme', REPEAT('x', 200), NOW(6))`);
  await source.run(`INSERT INTO ${SCHEMA}.messages VALUES ${rows.join(', ')}`);
  await installControl(source, target, 'switchback');
  await admitStage(source, 'switchback', 'acme');
}
