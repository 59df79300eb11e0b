/**
 * Starts the real servers that demo, tests and bench run against, all at once. Each one comes from the first place that
 * has it: an address in the environment, a program on the PATH, the cache, and last of all the place to get it from.
 */
import type { DatabaseServer } from './database-server.ts';
import { ExternalMysql, ExternalRedis, ExternalTemporal, givenAddress } from './external.ts';
import { startMysql } from './mysql.ts';
import { startRedis, type OwnRedis } from './redis.ts';
import type { Log, ServerName, Stack } from './servers.ts';
import { findTemporal } from './temporal-program.ts';
import { startTemporal, type OwnTemporal } from './temporal.ts';

export interface StackOptions {
  /** Hears what is being fetched and how long it takes; without it, standard error does. */
  readonly log?: Log;
  /** Starts these only; asking for another one throws. */
  readonly only?: readonly ServerName[];
  /** Keeps the servers' files here, a folder each, and finds them again; without it they are temporary. */
  readonly directory?: string;
  /** Ignores addresses in the environment, for callers that kill their servers. */
  readonly isPrivate?: boolean;
}

type OwnServer = DatabaseServer | OwnRedis | OwnTemporal;

/** @throws ServerUnavailableError, ServerStartError; servers that did start are stopped again. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const { log = (line) => void process.stderr.write(`${line}\n`), only, directory, isPrivate } = options;
  const wanted = (name: ServerName) => only === undefined || only.includes(name);
  const address = (name: ServerName) => (isPrivate === true ? null : givenAddress(name));
  const start = { log, ...(directory === undefined ? {} : { directory }) };
  const own = new Map<ServerName, OwnServer>();

  const ours = async <T extends OwnServer>(name: ServerName, server: Promise<T>): Promise<T> => {
    const started = await server;
    own.set(name, started);
    return started;
  };
  const mysql = async (name: 'source' | 'target') => {
    const given = address(name);
    return given === null ? ours(name, startMysql({ name, ...start })) : new ExternalMysql(name, given);
  };
  const starters = {
    source: () => mysql('source'),
    target: () => mysql('target'),
    redis: async () => {
      const given = address('redis');
      return given === null
        ? ours('redis', startRedis({ name: 'redis', ...start }))
        : new ExternalRedis(given);
    },
    temporal: async () => {
      const given = address('temporal');
      if (given !== null) return new ExternalTemporal(given, await findTemporal());
      return ours('temporal', startTemporal({ name: 'temporal', ...start }));
    },
  };
  const attempt = async <T>(name: ServerName, starter: () => Promise<T>) => (wanted(name) ? starter() : null);
  const attempts = {
    source: attempt('source', starters.source),
    target: attempt('target', starters.target),
    redis: attempt('redis', starters.redis),
    temporal: attempt('temporal', starters.temporal),
  };

  const stop = async () => {
    await Promise.all([...own.values()].map((server) => server.stop()));
  };
  const failed = (await Promise.allSettled(Object.values(attempts))).find(
    (result) => result.status === 'rejected',
  );
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  const [source, target, redis, temporal] = await Promise.all([
    attempts.source,
    attempts.target,
    attempts.redis,
    attempts.temporal,
  ]);
  return {
    get source() {
      return present('source', source);
    },
    get target() {
      return present('target', target);
    },
    get redis() {
      return present('redis', redis);
    },
    get temporal() {
      return present('temporal', temporal);
    },
    owned: () => [...own].map(([name, { pid, folder }]) => ({ name, pid, folder })),
    stop,
    leave: () => own.forEach((server) => server.leave()),
  };
}

function present<T>(name: ServerName, server: T | null): T {
  if (server === null) throw new Error(`This stack was started without ${name}: add it to \`only\`.`);
  return server;
}
