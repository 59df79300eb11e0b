/** A worker process, ended well by SIGTERM or Ctrl-C. The only command that loads Temporal's native worker. */
import type { Handler } from './commands.ts';

export const run: Handler = async (context, input) => {
  const plan = await context.plan();
  await context.pair(); // names every missing address before anything starts
  const [{ installRuntime, startWorker }, { createLog }] = await Promise.all([
    import('../worker.ts'),
    import('../log.ts'),
  ]);
  const log = createLog('worker');
  installRuntime(log);
  const dataSlots = input.count('dataSlots');
  const worker = startWorker({ plan, log, ...(dataSlots === null ? {} : { dataSlots }) });
  context.terminal.note(
    `Worker of ${plan.name} (process ${process.pid}); Ctrl-C ends it between two windows.`,
  );
  const { signal } = context.stopping;
  const stopped = new Promise<void>((resolve) => {
    const stop = (): void => void worker.stop().then(resolve, resolve);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  await Promise.race([worker.done, stopped.then(() => worker.done)]);
  return { data: { stopped: true }, lines: ['Worker stopped.'] };
};
