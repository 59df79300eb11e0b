/**
 * The servers as a test file sees them. Those of `stackInfo` are shared by all files: make schemas of your own and
 * never stop a server. A file that kills or freezes one asks for `ownStack` or `ownMysql`.
 */
import { afterAll, beforeAll, inject } from 'vitest';
import { startMysql } from '../../src/stack/mysql.ts';
import type { MysqlServer, ServerName, Stack } from '../../src/stack/servers.ts';
import { startStack } from '../../src/stack/start.ts';

/** Plain JSON, since it crosses from vitest's main process to its workers. */
export interface StackInfo {
  /** Without a schema: `urlWithSchema` adds one. */
  readonly sourceUrl: string;
  readonly sourceRootUrl: string;
  readonly sourcePort: number;
  readonly targetUrl: string;
  readonly targetRootUrl: string;
  readonly targetPort: number;
  readonly redisUrl: string;
  readonly temporalAddress: string;
  readonly uiUrl: string;
  readonly temporalBinary: string | null;
  /** Of the servers that this run started; those given by the environment are missing. */
  readonly pids: Readonly<Partial<Record<ServerName, number>>>;
}

declare module 'vitest' {
  export interface ProvidedContext {
    stack: StackInfo;
  }
}

export function describeStack({ source, target, redis, temporal, owned }: Stack): StackInfo {
  return {
    sourceUrl: source.url(),
    sourceRootUrl: source.rootUrl(),
    sourcePort: source.port,
    targetUrl: target.url(),
    targetRootUrl: target.rootUrl(),
    targetPort: target.port,
    redisUrl: redis.url,
    temporalAddress: temporal.address,
    uiUrl: temporal.uiUrl,
    temporalBinary: temporal.binary,
    pids: Object.fromEntries(owned().map(({ name, pid }) => [name, pid])),
  };
}

export function stackInfo(): StackInfo {
  return inject('stack');
}

export function urlWithSchema(url: string, schema: string): string {
  const changed = new URL(url);
  changed.pathname = `/${schema}`;
  return changed.href;
}

/**
 * Servers for this test file alone, started before its tests and stopped after them; addresses in the environment don't
 * count. Call it at the top of a file or of a `describe`; the result works inside tests and hooks.
 */
export function ownStack(options: { readonly only: readonly ServerName[] }): () => Stack {
  return forThisFile(() => startStack({ ...options, isPrivate: true }));
}

/** One more MySQL for this test file alone. */
export function ownMysql(name = 'own'): () => MysqlServer {
  return forThisFile(() => startMysql({ name }));
}

function forThisFile<T extends { stop(): Promise<void> }>(start: () => Promise<T>): () => T {
  let running: T | null = null;
  beforeAll(async () => {
    running = await start();
  });
  afterAll(async () => {
    await running?.stop();
  });
  return () => {
    if (running === null)
      throw new Error('The servers are started by a hook: use them inside tests and hooks only.');
    return running;
  };
}
