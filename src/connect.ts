/** From a plan to open connections: the databases, Redis and Temporal, as the environment gives them. */
import type { Client } from '@temporalio/client';
import { Redis } from 'ioredis';

import { Invalidations } from './app/invalidations.ts';
import { publishStage } from './app/publish.ts';
import { Database, type DatabaseOptions } from './db/database.ts';
import type { StageRow } from './db/stages.ts';
import { Throttle } from './db/throttle.ts';
import { loadTracked, trackedSince, type Pair, type Tracked } from './db/tracked.ts';
import type { Evidence } from './domain/evidence.ts';
import type { Plan } from './domain/plan.ts';
import { resolveUrl } from './plan.ts';

const INVALIDATION_MS = 100;

export type Environment = Readonly<Record<string, string | undefined>>;

/** @throws ConfigError naming the variable that is missing */
export function openPair(
  plan: Plan,
  env: Environment = process.env,
  options: Partial<DatabaseOptions> = {},
): Pair {
  const database = (side: 'source' | 'target') =>
    new Database({ side, url: resolveUrl(plan[side], env, side), ...options });
  return {
    source: database('source'),
    target: database('target'),
    control: plan.control.schema,
    sourceSchema: plan.source.schema,
    targetSchema: plan.target.schema,
  };
}

export interface OpenThrottle {
  readonly throttle: Throttle;
  readonly close: () => Promise<void>;
}

/** @throws ConfigError naming the variable of a replica that is missing */
export function openThrottle(plan: Plan, pair: Pair, env: Environment = process.env): OpenThrottle {
  const open = (side: 'source' | 'target'): Database[] =>
    (plan[side].replicas ?? []).map(
      (name) =>
        new Database({
          side,
          url: resolveUrl({ urlEnv: name }, env, side),
          connections: 2,
          deadline: 5_000,
        }),
    );
  const replicas = { source: open('source'), target: open('target') };
  return {
    throttle: new Throttle(pair, replicas),
    close: async () =>
      void (await Promise.allSettled([...replicas.source, ...replicas.target].map((db) => db.close()))),
  };
}

/** One look, for a command: what can't be measured is null, and closes its gate. */
export async function measureReplicas(
  plan: Plan,
  pair: Pair,
  env: Environment,
): Promise<Evidence['replicas']> {
  const named = (plan.source.replicas?.length ?? 0) + (plan.target.replicas?.length ?? 0);
  if (named === 0) return { named, lag: null };
  try {
    const { throttle, close } = openThrottle(plan, pair, env);
    try {
      return await throttle.replicas();
    } finally {
      await close();
    }
  } catch {
    return { named, lag: null };
  }
}

export const closePair = async (pair: Pair): Promise<void> =>
  void (await Promise.allSettled([pair.source.close(), pair.target.close()]));

export interface Publisher {
  /** Never fails and never waits long: the nodes' poll carries on without Redis. */
  readonly publish: (row: StageRow) => Promise<void>;
  /** A process that lives for one command waits for its connection, or its words are lost. */
  readonly ready: (timeoutMs: number) => Promise<boolean>;
  readonly close: () => void;
}

export function openPublisher(plan: Plan, env: Environment = process.env): Publisher {
  if (plan.redis === null || (env[plan.redis.urlEnv] ?? '') === '')
    return { publish: () => Promise.resolve(), ready: () => Promise.resolve(false), close: () => {} };
  const redis = new Redis(env[plan.redis.urlEnv]!, {
    lazyConnect: false,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: 500,
    retryStrategy: (attempt) => Math.min(attempt * 200, 2_000),
  });
  redis.on('error', () => {});
  return {
    publish: (row) => publishStage(redis, plan.control.schema, row),
    ready: (timeoutMs) => isReady(redis, timeoutMs),
    close: () => redis.disconnect(),
  };
}

/** What the journal shows to have changed is told to the applications' read buffers; null: there is no Redis. */
export function openInvalidations(plan: Plan, env: Environment = process.env): Invalidations | null {
  const url = plan.redis === null ? '' : (env[plan.redis.urlEnv] ?? '');
  return url === '' ? null : new Invalidations(url, plan.control.schema, INVALIDATION_MS);
}

function isReady(redis: Redis, timeoutMs: number): Promise<boolean> {
  if (redis.status === 'ready') return Promise.resolve(true);
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), timeoutMs);
    redis.once('ready', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

/** The tracked tables, read again after an install or a retry changed them. */
export function trackedCache(pair: Pair): () => Promise<Tracked> {
  let cached: { since: string; tracked: Tracked } | null = null;
  return async () => {
    const since = await trackedSince(pair);
    if (cached?.since !== since) cached = { since, tracked: await loadTracked(pair) };
    return cached.tracked;
  };
}

export interface Temporal {
  readonly client: Client;
  readonly address: string;
  readonly close: () => Promise<void>;
}

/** Address, TLS and keys as the stock `temporal` CLI reads them. Loaded when asked for: half a second of modules. */
export async function openTemporal(plan: Plan, timeoutMs = 3_000): Promise<Temporal> {
  const [{ Connection, Client }, { loadClientConnectConfig }] = await Promise.all([
    import('@temporalio/client'),
    import('@temporalio/envconfig'),
  ]);
  const { connectionOptions } = loadClientConnectConfig();
  const connection = await Connection.connect({ ...connectionOptions, connectTimeout: timeoutMs });
  return {
    client: new Client({ connection, namespace: plan.temporal.namespace }),
    address: connectionOptions.address ?? 'localhost:7233',
    close: () => connection.close(),
  };
}
