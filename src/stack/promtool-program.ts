/** Finds or gets promtool: the alert rules are tested with it. */
import { cached, cachedVersions } from './cache.ts';
import { canUnpackDebian, throughLoader, unpackDebian } from './debian-tree.ts';
import { progress } from './progress.ts';
import { onPath } from './programs.ts';
import type { Log } from './servers.ts';

export interface Promtool {
  readonly command: string;
  readonly args: readonly string[];
}

/** Version of this entry's make, not of Prometheus: Debian's unstable says that. */
const FETCHED = 'promtool-1';
const FETCH_SECONDS = 30;

/** PATH, then cache, then Debian's packages. @throws Error where there is no Debian to get it from */
export async function promtoolProgram(log: Log): Promise<Promtool> {
  const [installed] = onPath('promtool');
  if (installed !== undefined) return { command: installed, args: [] };
  const [tree] = await cachedVersions('promtool');
  return throughLoader(tree ?? (await fetchPromtool(log)), 'usr/bin/promtool');
}

function fetchPromtool(log: Log): Promise<string> {
  if (!canUnpackDebian())
    throw new Error('There is no promtool and no Debian apt to get it with: install `prometheus`.');
  return cached({
    name: FETCHED,
    log,
    make: async (into) => {
      log(`Getting promtool from Debian's packages (once, about ${FETCH_SECONDS} s; nothing is installed).`);
      const onProgress = progress({ log, what: 'Getting promtool', expectedSeconds: FETCH_SECONDS });
      await unpackDebian({ packages: ['prometheus'], into, onProgress });
    },
  });
}
