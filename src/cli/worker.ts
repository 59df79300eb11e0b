/** A worker process, ended well by SIGTERM or Ctrl-C. The only command that loads Temporal's native worker. */
import { resolve } from 'node:path';
import { setFlagsFromString } from 'node:v8';

import type { MetricsServer, WorkerMetrics } from '../metrics.ts';
import type { Handler } from './commands.ts';
import { CliFailure } from './exit.ts';

/** Left alone, V8 lets the garbage of a fleet's runs grow to several times what lives (`bench fleet`). */
const HEAP_GROWS_BY = '--heap-growing-percent=30';

export const run: Handler = async (context, input) => {
  // Of this thread's heap, and of the workflows' to come.
  setFlagsFromString(HEAP_GROWS_BY);
  const plan = await context.plan();
  const buildId = input.text('buildId');
  if (buildId === null && input.has('setCurrent'))
    throw new CliFailure('usage', '--set-current needs --build-id, the build that this worker is of');
  await context.pair(); // names every missing address before anything starts
  const [{ installRuntime, startWorker }, { createLog }] = await Promise.all([
    import('../worker.ts'),
    import('../log.ts'),
  ]);
  const { folder } = plan.history;
  if (folder !== null) {
    const { assertWritable } = await import('../history/archive.ts');
    await assertWritable(resolve(folder));
  }
  const log = createLog('worker');
  const told = await openMetrics(input.text('metrics') ?? context.env['SWITCHBACK_METRICS'] ?? '');
  installRuntime(log, told?.sdk);
  const dataSlots = input.count('dataSlots');
  const worker = startWorker({
    plan,
    log,
    ...(dataSlots === null ? {} : { dataSlots }),
    ...(told === null ? {} : { metrics: told.metrics }),
    ...(buildId === null ? {} : { buildId }),
  });
  context.terminal.note(
    `Worker of ${plan.name} (process ${process.pid}); Ctrl-C ends it between two windows.`,
  );
  if (buildId !== null) {
    const { reportBuild } = await import('./worker-version.ts');
    void reportBuild(context, plan, buildId, input.has('setCurrent'));
  }
  const { signal } = context.stopping;
  const stopped = new Promise<void>((resolve) => {
    const stop = (): void => void worker.stop().then(resolve, resolve);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  if (told !== null) context.terminal.note(`Metrics at http://${told.server.address}/metrics`);
  await Promise.race([worker.done, stopped.then(() => worker.done)]);
  await told?.server.close();
  return { data: { stopped: true }, lines: ['Worker stopped.'] };
};

/** Before the worker: an address that can't be had is a word that was typed wrong. */
async function openMetrics(
  address: string,
): Promise<{ sdk: string; metrics: WorkerMetrics; server: MetricsServer } | null> {
  if (address === '') return null;
  const { freeAddress, serveMetrics, WorkerMetrics } = await import('../metrics.ts');
  const sdk = await freeAddress();
  const metrics = new WorkerMetrics(sdk);
  return { sdk, metrics, server: await serveMetrics(address, () => metrics.text()) };
}
