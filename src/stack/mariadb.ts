/** Starts the second source dialect, for tests. Only an installed MariaDB is used; none is fetched. */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startDatabase, USERS_SQL, type DatabaseServer } from './database-server.ts';
import { ServerUnavailableError } from './errors.ts';
import { asRoot, type StartOptions } from './mysql.ts';
import { onPath } from './programs.ts';
import { runCommand } from './run-command.ts';
import { runFolder } from './run-folder.ts';

/** @throws ServerUnavailableError when MariaDB is not installed; ServerStartError */
export async function startMariadb({ name, directory }: Omit<StartOptions, 'log'>): Promise<DatabaseServer> {
  const [server] = onPath('mariadbd');
  const [install] = onPath('mariadb-install-db');
  if (server === undefined || install === undefined) {
    throw new ServerUnavailableError('MariaDB is not on this machine: install `mariadb-server`.');
  }
  const folder = await runFolder(name, directory);
  const data = join(folder.path, 'data');
  const users = join(folder.path, 'users.sql');
  // A folder of its own: a MariaDB that starts clears the temporary tables of all others out of a shared one.
  const temporary = join(folder.path, 'tmp');
  await mkdir(temporary, { recursive: true });
  const args = ['--no-defaults', ...asRoot(), `--tmpdir=${temporary}`];
  if (!existsSync(data)) {
    const options = ['--auth-root-authentication-method=normal', '--skip-test-db', `--datadir=${data}`];
    // Two installs at once trip over each other's temporary tables in a shared folder.
    await runCommand({ command: install, args: [...args, ...options], env: { TMPDIR: folder.path } });
  }
  await writeFile(users, USERS_SQL.replace('CREATE USER', 'CREATE USER IF NOT EXISTS'));
  return startDatabase({
    title: `The ${name} MariaDB`,
    folder,
    command: server,
    args: [
      ...args,
      '--innodb-buffer-pool-size=128M',
      '--log-bin=binlog',
      '--binlog-format=ROW',
      `--init-file=${users}`,
    ],
  });
}
