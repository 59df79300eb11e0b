/** Starts MySQL servers: a copy of a cached, initialised data folder, a free port, durable settings. */
import { existsSync } from 'node:fs';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { mysqlProgram, type DatabaseProgram } from './database-program.ts';
import { startDatabase, USERS_SQL, type DatabaseServer } from './database-server.ts';
import { runCommand } from './run-command.ts';
import { runFolder } from './run-folder.ts';
import type { Log } from './servers.ts';

export interface StartOptions {
  /** Names its folder and stands in messages. */
  readonly name: string;
  readonly log?: Log;
  /** Keeps the files here, under `name`; without it they are temporary. */
  readonly directory?: string;
  /** Options of the server itself that come after, and so instead of, ours. */
  readonly options?: readonly string[];
}

/** Raise it when the way a data folder is initialised changes: the cached ones are then made anew. */
const DATA_REVISION = 1;

const MEMORY = [
  '--innodb-buffer-pool-size=256M',
  '--loose-innodb-redo-log-capacity=256M',
  '--max-connections=500',
  '--loose-local-infile=ON',
];
/** Each side keeps its own commits, whatever crashes: the promises are tested against nothing less. */
const DURABLE = ['--innodb-flush-log-at-trx-commit=1', '--sync-binlog=1'];
const BINLOG = ['--log-bin=binlog', '--binlog-expire-logs-seconds=3600', '--max-binlog-size=64M'];

/** A further server, beside the source and the target or alone. @throws ServerUnavailableError, ServerStartError */
export async function startMysql({
  name,
  log = () => {},
  directory,
  options = [],
}: StartOptions): Promise<DatabaseServer> {
  const program = await mysqlProgram(log);
  const template = await initialisedData(program, log);
  const folder = await runFolder(name, directory);
  const data = join(folder.path, 'data');
  if (!existsSync(data)) {
    await cp(template, data, { recursive: true });
    // Holds the server's UUID: every copy makes its own.
    await rm(join(data, 'auto.cnf'), { force: true });
  }
  return startDatabase({
    title: `The ${name} MySQL`,
    folder,
    command: program.command,
    args: [...program.args, ...asRoot(), ...MEMORY, ...DURABLE, ...BINLOG, '--loose-mysqlx=OFF', ...options],
  });
}

export function asRoot(): readonly string[] {
  return process.getuid?.() === 0 ? ['--user=root'] : [];
}

async function initialisedData(program: DatabaseProgram, log: Log): Promise<string> {
  return cached({
    name: `mysql-${program.version}-data-${DATA_REVISION}`,
    log,
    make: async (path) => {
      log(`Preparing MySQL ${program.version} (once, about 5 s).`);
      await mkdir(path);
      // Beside the data folder and under the same partial name, so that it goes the same way.
      const users = join(path, 'users.sql');
      const data = join(path, 'data');
      await writeFile(users, USERS_SQL);
      await runCommand({
        command: program.command,
        args: [
          ...program.args,
          ...asRoot(),
          '--initialize-insecure',
          `--init-file=${users}`,
          `--datadir=${data}`,
        ],
      });
    },
  }).then((path) => join(path, 'data'));
}
