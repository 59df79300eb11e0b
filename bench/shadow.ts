/**
 * Reads at saturation, with a tenth of them compared on the other side, against the same reads without: one row by its
 * key, more clients than connections, in turns. Both routers serve a tenant in `shadow-read`.
 */
import { createRouter, type Router } from '../src/app/index.ts';
import type { Database } from '../src/db/database.ts';
import { machine, median, rounded, type Result } from './result.ts';
import { inTurns, ratioOf, ROUNDS } from './rounds.ts';
import { CONTROL, install, SCHEMA, startTenants, withServers } from './servers.ts';

const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 10);
const CLIENTS = 32;
const ROWS = 1_000;
const READ = `SELECT id, body, seen_at FROM ${SCHEMA}.messages WHERE tenant_id = ? AND id = ?`;

export const run = (): Promise<Result> =>
  withServers(async ({ pair, source, target, versions }) => {
    for (const db of [pair.source, pair.target]) await createTable(db);
    await install(pair, ['messages']);
    await startTenants(pair, ['acme'], 'shadow-read');
    const open = (sampleRate: number): Promise<Router> =>
      createRouter({
        source: source.url(),
        target: target.url(),
        schema: { source: SCHEMA, target: SCHEMA },
        control: CONTROL,
        service: 'bench',
        sampleRate,
      });
    const [without, withShadow] = [await open(0), await open(0.1)];
    try {
      // Warm: connections, statements' plans, the compiler.
      for (const router of [without, withShadow]) await throughput(router, 2);
      const found = await inTurns({
        without: () => throughput(without, SECONDS),
        shadow: () => throughput(withShadow, SECONDS),
      });
      const { shadow, reads } = withShadow.stats();
      return {
        name: 'shadow',
        machine: machine(),
        versions,
        runs: ROUNDS,
        medians: {
          readsPerSecondWithout: rounded(median(found['without']!)),
          readsPerSecondWithShadow: rounded(median(found['shadow']!)),
          shareCompared: rounded(shadow.samples / reads.source),
          shareRepeated: rounded(shadow.repeated / reads.source),
          shareDropped: rounded(shadow.dropped / reads.source),
          differing: shadow.differing,
        },
        ratios: { throughput: ratioOf(found['shadow']!, found['without']!) },
      };
    } finally {
      await Promise.all([without.close(), withShadow.close()]);
    }
  });

/** @returns reads a second of clients that wait for nothing but their answer */
async function throughput(router: Router, seconds: number): Promise<number> {
  const tenant = router.tenant('acme');
  const began = performance.now();
  const endsAt = began + seconds * 1_000;
  let reads = 0;
  const client = async (first: number): Promise<void> => {
    for (let id = first; performance.now() < endsAt; id = 1 + ((id + 7) % ROWS)) {
      await tenant.read('message', (conn) => conn.query(READ, ['acme', id]));
      reads += 1;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, index) => client(1 + index)));
  return reads / ((performance.now() - began) / 1_000);
}

async function createTable(db: Database): Promise<void> {
  await db.run(`CREATE DATABASE ${SCHEMA}`);
  await db.run(
    `CREATE TABLE ${SCHEMA}.messages (id BIGINT NOT NULL PRIMARY KEY, tenant_id VARCHAR(64) NOT NULL,
       body TEXT NOT NULL, seen_at DATETIME(6) NOT NULL, KEY (tenant_id))`,
  );
  const rows = Array.from(
    { length: ROWS },
    (_, index) => `(${index + 1}, 'acme', REPEAT('x', 200), '2026-01-02 03:04:05')`,
  );
  await db.run(`INSERT INTO ${SCHEMA}.messages VALUES ${rows.join(', ')}`);
}
