/** Finds or gets the program behind a MySQL server. */
import { join } from 'node:path';
import { cached, cachedVersions } from './cache.ts';
import { canUnpackDebian, throughLoader, unpackDebian } from './debian-tree.ts';
import { progress } from './progress.ts';
import { onPath, versionText } from './programs.ts';
import type { Log } from './servers.ts';
import { unavailable } from './unavailable.ts';

export interface DatabaseProgram {
  readonly command: string;
  /** Words that come before every other option. */
  readonly args: readonly string[];
  readonly version: string;
}

/** Version of Debian's unstable at the time of writing; the folder's name is the promise, its content the newest. */
const FETCHED = 'mysql-9.7';
const FETCH_SECONDS = 20;
const OLDEST_MAJOR = 8;

/** PATH, then cache, then Debian's packages. @throws ServerUnavailableError */
export async function mysqlProgram(log: Log, path?: string): Promise<DatabaseProgram> {
  for (const command of onPath('mysqld', path)) {
    const version = mysqlVersion(versionText(command));
    if (version !== null) return { command, args: ['--no-defaults'], version };
  }
  for (const tree of await cachedVersions('mysql')) {
    const program = await fromTree(tree);
    if (program !== null) return program;
  }
  const tree = await fetchMysql(log);
  const program = await fromTree(tree);
  if (program === null)
    throw new Error(`${tree} holds no MySQL that runs: remove it, and it is fetched again.`);
  return program;
}

/** Null for MariaDB, which calls its server `mysqld` too, and for versions before 8.0. */
export function mysqlVersion(text: string): string | null {
  const found = /Ver (\d+)\.(\d+)\.(\d+)/.exec(text);
  if (found === null || /mariadb/i.test(text) || Number(found[1]) < OLDEST_MAJOR) return null;
  return found.slice(1).join('.');
}

async function fetchMysql(log: Log): Promise<string> {
  const server = 'MySQL';
  const ways = {
    server,
    install: '`mysql-server` 8.0 or later',
    variables: ['SWITCHBACK_SOURCE', 'SWITCHBACK_TARGET'],
  };
  if (!canUnpackDebian())
    throw unavailable({ ...ways, reason: 'there is no MySQL and no Debian apt to get it with' });
  try {
    return await cached({
      name: FETCHED,
      log,
      make: async (into) => {
        log(
          `Getting MySQL 9.7 from Debian's packages (once, about ${FETCH_SECONDS} s, 450 MB; nothing is installed).`,
        );
        const onProgress = progress({ log, what: 'Getting MySQL', expectedSeconds: FETCH_SECONDS });
        await unpackDebian({ packages: ['mysql-server-core', 'mysql-client-core'], into, onProgress });
      },
    });
  } catch (error) {
    log((error as Error).message);
    throw unavailable({ ...ways, reason: "Debian's packages could not be fetched (see above)" }, error);
  }
}

async function fromTree(tree: string): Promise<DatabaseProgram | null> {
  const { command, args } = await throughLoader(tree, 'usr/sbin/mysqld', ['usr/lib/mysql/private']);
  const version = mysqlVersion(versionText(command, args));
  if (version === null) return null;
  const places = {
    basedir: 'usr',
    'lc-messages-dir': 'usr/share/mysql',
    'character-sets-dir': 'usr/share/mysql/charsets',
    'plugin-dir': 'usr/lib/mysql/plugin',
  };
  const options = Object.entries(places).map(([option, folder]) => `--${option}=${join(tree, folder)}`);
  return { command, args: [...args, '--no-defaults', ...options], version };
}
