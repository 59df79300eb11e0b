/**
 * A worker process: Temporal's work on three queues, and two plain loops: the mirror's, which needs no Temporal, and the export of histories.
 *
 * The loop starts first and goes on while Temporal is down; the connection is tried again for ever.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
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
  type WorkerDeploymentOptions,
} from '@temporalio/worker';

import { createActivities, type Deps } from '../activities/index.ts';
import {
  closePair,
  openInvalidations,
  openPair,
  openPublisher,
  openTemporal,
  openThrottle,
  trackedCache,
} from './connect.ts';
import { MirrorLoop } from './db/mirror-loop.ts';
import { beatExport, watchExport } from './db/presence.ts';
import { StageWatch } from './db/stage-watch.ts';
import type { Pair } from './db/tracked.ts';
import { SECOND } from './domain/duration.ts';
import { deploymentName, taskQueue, type QueueName } from './domain/ids.ts';
import type { Plan } from './domain/plan.ts';
import { ExportLoop, exportEvery } from './history/export-loop.ts';
import { createLog, errorFields, type Log } from './log.ts';
import type { WorkerMetrics } from './metrics.ts';
import { askProbe } from './probe.ts';
import { watchRetention } from './retention.ts';

export interface WorkerOptions {
  readonly plan: Plan;
  /** Slots of the data queue: windows copied at once by this process. */
  readonly dataSlots?: number;
  /** Switches worker versioning on: this process is of that build, and gets work once the build is current. */
  readonly buildId?: string;
  /** Path of a pre-built bundle; without one the workflows are bundled at the start. */
  readonly bundle?: string;
  readonly log?: Log;
  /** Told of what this worker does; the caller serves them. */
  readonly metrics?: WorkerMetrics;
}

export interface RunningWorker {
  readonly done: Promise<void>;
  readonly stop: () => Promise<void>;
}

const RETRY_MS = 2_000;
/** About 3 MB each (`bench fleet`). A run that was put out is replayed when something comes for it, which for one that waits in `ramp` is seldom. */
const CACHED_RUNS = 160;
/** A rollback that is cancelled or a worker that stops ends between two windows, well within this. */
const GRACE = '10s';

/** Whoever waits for gates has a slot for as long as that takes, and passes need some beside a fleet that waits with thousands. */
const SLOTS: Readonly<Record<QueueName, number>> = { control: 100, data: 8, reconcile: 10_000 };

export function startWorker(options: WorkerOptions): RunningWorker {
  const log = options.log ?? createLog('worker');
  const { plan, metrics } = options;
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
    mirrored: (rows) => {
      if (metrics === undefined) return;
      if (rows === null) metrics.here.mirrorFailures += 1;
      else metrics.here.mirroredRows += rows;
    },
  });
  metrics?.watch(pair);
  loop.start();
  const exporting = exportLoop(plan, pair, log);
  exporting?.start();
  const stopping = new AbortController();
  const { probe } = plan.drill;
  const deps: Deps = {
    plan,
    pair,
    throttle,
    publish: publisher.publish,
    stages: new StageWatch(pair),
    tracked: trackedCache(pair),
    askProbe: (call) => (probe === null ? Promise.resolve(null) : askProbe(probe, call)),
  };
  const run = async (): Promise<void> => {
    try {
      await serve(options, createActivities(deps), { pair, log, stopping: stopping.signal });
    } finally {
      await Promise.all([loop.stop(), exporting?.stop()]);
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

function exportLoop(plan: Plan, { source, control }: Pair, log: Log): ExportLoop | null {
  const { folder } = plan.history;
  if (folder === null) return null;
  return new ExportLoop({
    folder: resolve(folder),
    migration: plan.name,
    every: exportEvery(plan),
    connect: () => openTemporal(plan),
    begins: () => watchExport(source, control),
    whole: (began) => beatExport(source, control, (Date.now() - began.getTime()) / SECOND),
    info: (message, fields) => log.info(fields, message),
    warn: (message, fields) => log.warn(fields, message),
  });
}

type Groups = ReturnType<typeof createActivities>;

interface Surroundings {
  readonly pair: Pair;
  readonly log: Log;
  readonly stopping: AbortSignal;
}

async function serve(
  options: WorkerOptions,
  activities: Groups,
  { pair, log, stopping }: Surroundings,
): Promise<void> {
  const workflowBundle = await bundle(options.bundle);
  while (!stopping.aborted) {
    try {
      await serveOnce(options, activities, workflowBundle, { pair, log, stopping });
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
  { pair, log, stopping }: Surroundings,
): Promise<void> {
  const { plan, buildId } = options;
  const connection = await NativeConnection.connect(loadClientConnectConfig().connectionOptions);
  const ended = new AbortController();
  const watching = AbortSignal.any([stopping, ended.signal]);
  try {
    void watchRetention(connection, plan.temporal.namespace, pair, log, watching);
    const common = {
      connection,
      namespace: plan.temporal.namespace,
      shutdownGraceTime: GRACE,
      // Heartbeats carry cancellation: with the default throttle a cancel takes 20 s.
      maxHeartbeatThrottleInterval: '1s',
      defaultHeartbeatThrottleInterval: '1s',
      ...(buildId === undefined ? {} : { workerDeploymentOptions: versioned(plan.name, buildId) }),
    } as const;
    const workers = await Promise.all(
      (['control', 'data', 'reconcile'] as const).map((queue) =>
        Worker.create({
          ...common,
          taskQueue: taskQueue(plan.name, queue),
          activities: { ...activities[queue] },
          maxConcurrentActivityTaskExecutions:
            queue === 'data' ? (options.dataSlots ?? SLOTS.data) : SLOTS[queue],
          ...(queue === 'control' ? { workflowBundle, maxCachedWorkflows: CACHED_RUNS } : {}),
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
    const say = (isServing: boolean): void => {
      if (options.metrics !== undefined) options.metrics.here.isServing = isServing;
    };
    try {
      const running = workers.map((worker) => worker.run());
      say(true);
      // One that fails ends the others, so that all start again together.
      await Promise.all(
        running.map((run) => run.catch((error: unknown) => (stop(), Promise.reject(error as Error)))),
      );
    } finally {
      say(false);
      stopping.removeEventListener('abort', stop);
    }
  } finally {
    ended.abort();
    await connection.close();
  }
}

/** Every run goes on with the current build at its next task: none waits for a worker that is gone (decision 0011). */
const versioned = (migration: string, buildId: string): WorkerDeploymentOptions => ({
  useWorkerVersioning: true,
  version: { deploymentName: deploymentName(migration), buildId },
  defaultVersioningBehavior: 'AUTO_UPGRADE',
});

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const built = import.meta.url.endsWith('.js');

/** @param path of a bundle that `npm run build` made */
export async function bundle(path?: string): Promise<Bundle> {
  // Beside this module, or above it where the command is bundled.
  const prebuilt = path ?? ['./workflow-bundle.js', '../workflow-bundle.js'].map(here).find(existsSync);
  if (prebuilt !== undefined) return { codePath: prebuilt };
  if (built) throw new Error('workflow-bundle.js is missing beside the command; make it: npm run build');
  return bundleWorkflowCode({
    workflowsPath: here('../workflows/index.ts'),
    payloadConverterPath: here('../workflows/payload-converter.ts'),
    logger: new DefaultLogger('WARN', () => {}),
  });
}

/**
 * Temporal's own log lines go where ours go.
 *
 * @param metrics address at which its SDK serves its own metrics; none: it keeps none
 */
export function installRuntime(log: Log, metrics?: string): void {
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
    telemetryOptions: {
      logging: { forward: {}, filter: 'WARN' },
      ...(metrics === undefined ? {} : { metrics: { prometheus: { bindAddress: metrics } } }),
    },
  });
}
