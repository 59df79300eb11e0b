/**
 * A process that mirrors, copies and reconciles one table, whose tenant has its name, and prints how much its memory grew, in MiB: for
 * `memory.test.ts`. Garbage is collected by itself only, as in a worker.
 */
import { copyTable } from '../../../src/db/backfill.ts';
import { Database } from '../../../src/db/database.ts';
import { Mirror } from '../../../src/db/mirror.ts';
import { reconcileSlice } from '../../../src/db/reconcile.ts';
import { loadTracked } from '../../../src/db/tracked.ts';

const given = JSON.parse(process.argv[2]!) as {
  sourceUrl: string;
  targetUrl: string;
  control: string;
  schema: string;
  table: string;
};
const pair = {
  source: new Database({ side: 'source', url: given.sourceUrl }),
  target: new Database({ side: 'target', url: given.targetUrl }),
  control: given.control,
  sourceSchema: given.schema,
  targetSchema: given.schema,
};
const limits = {
  windowTarget: 300,
  windowRows: 5_000,
  windowBytes: 8_388_608,
  reconcileRows: 100_000,
  backfillParallel: 4,
  threadsRunning: 1_000,
  rowsPerSecond: 0,
};
const tracked = await loadTracked(pair);
const tableId = tracked.byName(given.table).id;
await new Promise((resolve) => setTimeout(resolve, 500));
const idle = process.memoryUsage.rss();
let peak = idle;
const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 5);
const grown: Record<string, number> = {};
const measure = async (what: string, run: () => Promise<unknown>): Promise<void> => {
  peak = process.memoryUsage.rss();
  await run();
  grown[what] = Math.round((peak - idle) / 2 ** 20);
};
await measure('mirror', () => new Mirror(pair, tracked).drain(given.table));
await measure('copy', () =>
  copyTable(pair, tracked, {
    tenant: given.table,
    round: 1,
    tableId,
    limits,
    pace: () => Promise.resolve(0),
    progress: () => {},
    until: () => false,
  }),
);
const pass = async (): Promise<void> => {
  const slice = { tenant: given.table, limits, missingAgain: 1_000, progress: () => {}, until: () => false };
  const { pass: done } = await reconcileSlice(pair, tracked, slice);
  if (done.clean !== true) throw new Error(`the pass was not clean: ${JSON.stringify(done.counts)}`);
};
await measure('reconcile', pass);
clearInterval(watch);
console.log(JSON.stringify(grown));
await Promise.all([pair.source.close(), pair.target.close()]);
