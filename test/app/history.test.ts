/**
 * What clients see while reads move back and forth every second: own writes and nothing older than before, in one
 * process without tokens and across processes with them. A minute: SWITCHBACK_HISTORY_SECONDS=60.
 */
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { Redis } from 'ioredis';
import { beforeAll, expect, it } from 'vitest';

import { publishStage } from '../../src/app/index.ts';
import { stackInfo } from '../support/stack.ts';
import type { ClientOptions } from './history-client.ts';
import { plans, useApp } from './support.ts';

const SECONDS = Number(process.env['SWITCHBACK_HISTORY_SECONDS'] ?? '10');
const PROCESSES = 3;
const COUNTERS = 1;
const { fixture, flip } = useApp();

interface Report {
  readonly violations: readonly string[];
  readonly counts: { readonly reads: number; readonly writes: number; readonly tokens: number };
  readonly reads: { readonly source: number; readonly target: number };
}

beforeAll(async () => {
  await fixture().install(plans);
});

async function run(options: ClientOptions): Promise<Report> {
  const program = fileURLToPath(new URL('history-client.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--import',
    'tsx',
    program,
    JSON.stringify(options),
  ]);
  return JSON.parse(stdout) as Report;
}

it(
  'own writes are seen and nothing goes back in time, over flips and rollbacks',
  async () => {
    const { pair, sql, start } = fixture();
    const tenant = 'seen';
    const all = Array.from({ length: PROCESSES * COUNTERS }, (_, index) => index + 1);
    await start(tenant, 'shadow-read');
    for (const id of all)
      await sql(
        'source',
        `INSERT INTO messages (id, tenant_id, body, price) VALUES (${id}, '${tenant}', '', 0)`,
      );
    await fixture().mirror.drain(tenant);
    const { sourceUrl, targetUrl, redisUrl } = stackInfo();
    const redis = new Redis(redisUrl);

    const clients = Array.from({ length: PROCESSES }, (_, index) =>
      run({
        router: {
          source: sourceUrl,
          target: targetUrl,
          redis: redisUrl,
          schema: { source: pair.sourceSchema, target: pair.targetSchema },
          control: pair.control,
          service: 'history',
          sampleRate: 0,
          // So that a busy machine reads the target too.
          catchUpMs: 5_000,
          dirtyAfterMs: 5_000,
          // Both ways of a write: some wait long enough for their mirror, some never do.
          mirrorBudgetMs: index === 0 ? 0 : 100,
        },
        tenant,
        redisUrl,
        board: `${pair.control}:board`,
        own: all.slice(index * COUNTERS, (index + 1) * COUNTERS),
        all,
        seconds: SECONDS,
      }),
    );
    let isRunning = true;
    const flipping = (async () => {
      for (let round = 1; isRunning; round += 1) {
        const row = await flip(tenant, round % 2 === 1 ? 'read-target' : 'shadow-read');
        await publishStage(redis, pair.control, row);
        await sleep(1_000);
      }
    })();
    const reports = await Promise.all(clients).finally(() => {
      isRunning = false;
    });
    await flipping;
    redis.disconnect();

    expect(reports.flatMap(({ violations }) => violations)).toEqual([]);
    for (const { reads, counts } of reports) {
      expect(Math.min(reads.source, counts.writes, counts.tokens)).toBeGreaterThan(0);
    }
    expect(Math.max(...reports.map(({ reads }) => reads.target))).toBeGreaterThan(0);
  },
  (SECONDS + 110) * 1_000,
);
