/**
 * A worker process: Temporal's work on three queues, and the mirror loop, which needs no Temporal.
 *
 * The loop starts first and goes on while Temporal is down; the connection is tried again for ever.
 */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { loadClientConnectConfig } from '@temporalio/envconfig';
import {
  bundleWorkflowCode,
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
  type LogLevel,
} from '@temporalio/worker';

import { createActivities, type Deps } from '../activities/index.ts';
import {
  closePair,
  openInvalidations,
  openPair,
  openPublisher,
  openThrottle,
  trackedCache,
} from './connect.ts';
import { MirrorLoop } from './db/mirror-loop.ts';
import { taskQueue, type QueueName } from './domain/ids.ts';
import type { Plan } from './domain/plan.ts';
import { createLog, errorFields, type Log } from './log.ts';
import { askProbe } from './probe.ts';

export interface WorkerOptions {
  readonly plan: Plan;
  /** Slots of the data queue: windows copied at once by this process. */
  readonly dataSlots?: number;
  /** Path of a pre-built bundle; without one the workflows are bundled at the start. */
  readonly bundle?: string;
  readonly log?: Log;
}

export interface RunningWorker {
  readonly done: Promise<void>;
  readonly stop: () => Promise<void>;
}

const RETRY_MS = 2_000;
/** A rollback that is cancelled or a worker that stops ends between two windows, well within this. */
const GRACE = '10s';

const SLOTS: Readonly<Record<QueueName, number>> = { control: 100, data: 8, reconcile: 1_000 };

export function startWorker(options: WorkerOptions): RunningWorker {
  const log = options.log ?? createLog('worker');
  const { plan } = options;
  const invalidations = openInvalidations(plan);
  const pair = {
    ...openPair(plan, process.env, { connections: 40 }),
    ...(invalidations === null
      ? {}
      : { changed: (tenants: readonly string[]) => invalidations.changed(tenants) }),
  };
  const publisher = openPublisher(plan);
  const { throttle, close: closeReplicas } = openThrottle(plan, pair);
  const loop = new MirrorLoop(pair, {
    info: (message, fields) => log.info(fields ?? {}, message),
    warn: (message, fields) => log.warn(fields ?? {}, message),
    published: publisher.publish,
  });
  loop.start();
  const stopping = new AbortController();
  const { probe } = plan.drill;
  const deps: Deps = {
    plan,
    pair,
    throttle,
    publish: publisher.publish,
    tracked: trackedCache(pair),
    askProbe: (call) => (probe === null ? Promise.resolve(null) : askProbe(probe, call)),
  };
  const run = async (): Promise<void> => {
    try {
      await serve(options, createActivities(deps), log, stopping.signal);
    } finally {
      await loop.stop();
      publisher.close();
      invalidations?.close();
      await closeReplicas();
      await closePair(pair);
    }
  };
  const done = run();
  return {
    done,
    async stop() {
      stopping.abort();
      await done;
    },
  };
}

type Groups = ReturnType<typeof createActivities>;

async function serve(
  options: WorkerOptions,
  activities: Groups,
  log: Log,
  stopping: AbortSignal,
): Promise<void> {
  const workflowBundle = await bundle(options.bundle);
  while (!stopping.aborted) {
    try {
      await serveOnce(options, activities, workflowBundle, log, stopping);
    } catch (error) {
      if (stopping.aborted) return;
      log.warn(
        { ...errorFields(error), inMs: RETRY_MS },
        'no work from Temporal: is it up? The mirror goes on, and it is tried again',
      );
      await sleep(RETRY_MS, undefined, { signal: stopping }).catch(() => {});
    }
  }
}

type Bundle = { code: string } | { codePath: string };

async function serveOnce(
  options: WorkerOptions,
  activities: Groups,
  workflowBundle: Bundle,
  log: Log,
  stopping: AbortSignal,
): Promise<void> {
  const { plan } = options;
  const connection = await NativeConnection.connect(loadClientConnectConfig().connectionOptions);
  try {
    const common = {
      connection,
      namespace: plan.temporal.namespace,
      shutdownGraceTime: GRACE,
      // Heartbeats carry cancellation: with the default throttle a cancel takes 20 s.
      maxHeartbeatThrottleInterval: '1s',
      defaultHeartbeatThrottleInterval: '1s',
    } as const;
    const workers = await Promise.all(
      (['control', 'data', 'reconcile'] as const).map((queue) =>
        Worker.create({
          ...common,
          taskQueue: taskQueue(plan.name, queue),
          activities: { ...activities[queue] },
          maxConcurrentActivityTaskExecutions:
            queue === 'data' ? (options.dataSlots ?? SLOTS.data) : SLOTS[queue],
          ...(queue === 'control' ? { workflowBundle, maxCachedWorkflows: 500 } : {}),
        }),
      ),
    );
    const stop = (): void => {
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
    };
    stopping.addEventListener('abort', stop, { once: true });
    log.info(
      { migration: plan.name, queues: workers.map((worker) => worker.options.taskQueue) },
      'worker is running',
    );
    try {
      const running = workers.map((worker) => worker.run());
      // One that fails ends the others, so that all start again together.
      await Promise.all(
        running.map((run) => run.catch((error: unknown) => (stop(), Promise.reject(error as Error)))),
      );
    } finally {
      stopping.removeEventListener('abort', stop);
    }
  } finally {
    await connection.close();
  }
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const built = import.meta.url.endsWith('.js');
const CONVERTER = here(`../workflows/payload-converter.${built ? 'js' : 'ts'}`);

/** @param path of a bundle that `npm run build` made */
export async function bundle(path?: string): Promise<Bundle> {
  const prebuilt = path ?? here('./workflow-bundle.js');
  if (existsSync(prebuilt)) return { codePath: prebuilt };
  return bundleWorkflowCode({
    workflowsPath: here(`../workflows/index.${built ? 'js' : 'ts'}`),
    payloadConverterPath: CONVERTER,
    logger: new DefaultLogger('WARN', () => {}),
  });
}

/** Temporal's own log lines go where ours go. */
export function installRuntime(log: Log): void {
  const write = (level: LogLevel, message: string, meta: Record<string, unknown>): void => {
    const fields = Object.fromEntries(Object.entries(meta).filter(([key]) => !key.startsWith('sdk')));
    if (level === 'WARN') log.warn(fields, message);
    else if (level === 'ERROR') log.error(fields, message);
    else log.debug(fields, message);
  };
  Runtime.install({
    logger: new DefaultLogger('INFO', ({ level, message, meta }) =>
      write(level, message, (meta ?? {}) as Record<string, unknown>),
    ),
    telemetryOptions: { logging: { forward: {}, filter: 'WARN' } },
  });
}
