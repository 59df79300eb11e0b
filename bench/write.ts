/**
 * An application write through the router: p50 in `source-only` against `dual-write`, one connection, in turns.
 *
 * Three variants in each run: a plain mysql2 transaction on a table without triggers, the router in
 * `source-only` and the router in `dual-write` with the mirror running, both on a table with triggers.
 */
import { createPool } from 'mysql2/promise';

import { createRouter } from '../src/app/index.ts';
import { installCapture, registerTables } from '../src/db/capture.ts';
import { admitTenants, installControl } from '../src/db/control.ts';
import { Database } from '../src/db/database.ts';
import { MirrorLoop } from '../src/db/mirror-loop.ts';
import { admitStage, flipStage } from '../src/db/stages.ts';
import type { Pair } from '../src/db/tracked.ts';
import { startStack } from '../src/stack/start.ts';
import { machine, median, rounded, type Result } from './result.ts';

const RUNS = 7;
const WRITES = 400;
const SCHEMA = 'bench_write';

const CREATE = (name: string): string =>
  `CREATE TABLE ${SCHEMA}.\`${name}\` (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(64) NOT NULL, a INT NOT NULL, b VARCHAR(100) NOT NULL,
   c DECIMAL(20,4) NOT NULL, d DATETIME(6) NOT NULL, e TEXT NOT NULL, KEY (tenant_id))`;
const INSERT = (name: string): string =>
  `INSERT INTO ${SCHEMA}.\`${name}\` (tenant_id, a, b, c, d, e) VALUES (?, 1, 'text of some length', 12.5, NOW(6), 'a longer text')`;

export async function run(): Promise<Result> {
  const stack = await startStack({ only: ['source', 'target'], isPrivate: true });
  const [sourceUrl, targetUrl] = [stack.source.url(), stack.target.url()];
  const pair: Pair = {
    source: new Database({ side: 'source', url: sourceUrl }),
    target: new Database({ side: 'target', url: targetUrl }),
    control: 'switchback',
    sourceSchema: SCHEMA,
    targetSchema: SCHEMA,
  };
  const plain = createPool({ uri: sourceUrl, connectionLimit: 1 });
  await prepare(pair);
  const router = await createRouter({
    source: sourceUrl,
    target: targetUrl,
    schema: { source: SCHEMA, target: SCHEMA },
    service: 'bench',
    pollMs: 100,
  });
  const loop = new MirrorLoop(pair, { info: () => {}, warn: () => {}, published: () => Promise.resolve() });
  loop.start();
  try {
    const variants: Readonly<Record<string, () => Promise<unknown>>> = {
      plain: async () => {
        const connection = await plain.getConnection();
        try {
          await connection.query('START TRANSACTION');
          await connection.query(INSERT('untracked'), ['quiet']);
          await connection.query('COMMIT');
        } finally {
          connection.release();
        }
      },
      sourceOnly: () => router.tenant('quiet').write((conn) => conn.query(INSERT('rows'), ['quiet'])),
      dualWrite: () => router.tenant('busy').write((conn) => conn.query(INSERT('rows'), ['busy'])),
    };
    const p50s: Record<string, number[]> = {};
    for (let round = 0; round <= RUNS; round += 1) {
      for (const [name, write] of Object.entries(variants)) {
        const p50 = await p50Of(write);
        // The first round warms up.
        if (round > 0) (p50s[name] ??= []).push(p50);
      }
    }
    const [source, target] = await Promise.all([pair.source.server(), pair.target.server()]);
    const ratio = (a: string, b: string): number =>
      rounded(median(p50s[a]!.map((value, index) => value / p50s[b]![index]!)));
    return {
      name: 'write',
      machine: machine(),
      versions: { node: process.version, source: source.version, target: target.version },
      runs: RUNS,
      medians: Object.fromEntries(
        Object.entries(p50s).map(([name, values]) => [`${name}P50Ms`, rounded(median(values))]),
      ),
      ratios: {
        dualWriteP50VsSourceOnly: ratio('dualWrite', 'sourceOnly'),
        sourceOnlyP50VsPlain: ratio('sourceOnly', 'plain'),
        dualWriteP50VsPlain: ratio('dualWrite', 'plain'),
      },
    };
  } finally {
    await router.close();
    await loop.stop();
    await plain.end();
    await Promise.all([pair.source.close(), pair.target.close()]);
    await stack.stop();
  }
}

async function p50Of(write: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < WRITES; count += 1) {
    const started = performance.now();
    await write();
    times.push(performance.now() - started);
  }
  return median(times);
}

async function prepare(pair: Pair): Promise<void> {
  for (const db of [pair.source, pair.target]) {
    await db.run(`CREATE DATABASE ${SCHEMA}`);
    for (const name of ['rows', 'untracked']) await db.run(CREATE(name));
  }
  await installControl(pair.source, pair.target, pair.control);
  await registerTables(pair, [
    { name: 'rows', tenancy: { kind: 'column', column: 'tenant_id' }, time: null },
  ]);
  await installCapture(pair);
  await admitStage(pair.source, pair.control, 'busy');
  await admitTenants(pair.target, pair.control, ['busy', '_unresolved']);
  await flipStage(pair.source, pair.control, {
    tenant: 'busy',
    to: 'dual-write',
    from: ['source-only'],
    expectEpoch: null,
    actor: 'bench',
    reason: 'bench',
    requestId: null,
  });
}
