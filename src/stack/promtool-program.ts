/** Finds or gets promtool: the alert rules are tested with it. */
import { cachedVersions } from './cache.ts';
import { fetchDebian } from './debian-fetch.ts';
import { canUnpackDebian, throughLoader } from './debian-tree.ts';
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
  return fetchDebian({
    entry: FETCHED,
    what: 'promtool',
    packages: ['prometheus'],
    seconds: FETCH_SECONDS,
    log,
  });
}
