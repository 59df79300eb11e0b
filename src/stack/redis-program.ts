/** Finds or gets Redis. */
import { cached, cachedVersions } from './cache.ts';
import { canUnpackDebian, throughLoader, unpackDebian } from './debian-tree.ts';
import { progress } from './progress.ts';
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
    return await cached({
      name: FETCHED,
      log,
      make: async (into) => {
        log(`Getting Redis from Debian's packages (once, about ${FETCH_SECONDS} s; nothing is installed).`);
        const onProgress = progress({ log, what: 'Getting Redis', expectedSeconds: FETCH_SECONDS });
        await unpackDebian({ packages: ['redis-server'], into, onProgress });
      },
    });
  } catch (error) {
    log((error as Error).message);
    throw unavailable({ ...ways, reason: "Debian's packages could not be fetched (see above)" }, error);
  }
}
