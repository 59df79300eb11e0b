/** Finds or gets Redis. */
import { cachedVersions } from './cache.ts';
import { fetchDebian } from './debian-fetch.ts';
import { canUnpackDebian, throughLoader } from './debian-tree.ts';
import { onPath, versionText } from './programs.ts';
import type { Log } from './servers.ts';
import { unavailable } from './unavailable.ts';

interface RedisProgram {
  readonly command: string;
  readonly args: readonly string[];
}

/** Version of Debian's unstable at the time of writing. */
const FETCHED = 'redis-8.0';
const FETCH_SECONDS = 10;

/** PATH, then cache, then Debian's packages. @throws ServerUnavailableError */
export async function redisProgram(log: Log): Promise<RedisProgram> {
  const installed = onPath('redis-server').find((command) => versionText(command).includes('Redis'));
  if (installed !== undefined) return { command: installed, args: [] };
  const [tree] = await cachedVersions('redis');
  return throughLoader(tree ?? (await fetchRedis(log)), 'usr/bin/redis-server');
}

async function fetchRedis(log: Log): Promise<string> {
  const ways = { server: 'Redis', install: '`redis-server`', variables: ['REDIS_URL'] };
  if (!canUnpackDebian())
    throw unavailable({ ...ways, reason: 'there is no Redis and no Debian apt to get it with' });
  try {
    return await fetchDebian({
      entry: FETCHED,
      what: 'Redis',
      packages: ['redis-server'],
      seconds: FETCH_SECONDS,
      log,
    });
  } catch (error) {
    log((error as Error).message);
    throw unavailable({ ...ways, reason: "Debian's packages could not be fetched (see above)" }, error);
  }
}
