/** What a MySQL and a MariaDB server have in common once their data folder is there. */
import { createConnection } from 'mysql2/promise';
import { freePort } from './port.ts';
import type { RunFolder } from './run-folder.ts';
import { ServerProcess, type ServerProgram } from './server-process.ts';
import type { MysqlServer } from './servers.ts';

/** Programs never use root; the password is no secret: the server listens on 127.0.0.1 and holds test data. */
export const USERS_SQL = `CREATE USER 'switchback'@'%' IDENTIFIED BY 'switchback';
GRANT ALL PRIVILEGES ON *.* TO 'switchback'@'%' WITH GRANT OPTION;
`;

const HOST = '127.0.0.1';

interface DatabaseStart {
  readonly title: string;
  readonly folder: RunFolder;
  readonly command: string;
  readonly args: readonly string[];
}

export async function startDatabase({
  title,
  folder,
  command,
  args,
}: DatabaseStart): Promise<DatabaseServer> {
  const port = await freePort();
  const options = [
    `--datadir=${folder.path}/data`,
    // Relative to the data folder: a socket's path may have 107 bytes at most.
    '--socket=server.sock',
    `--pid-file=${folder.path}/server.pid`,
    `--port=${port}`,
    `--bind-address=${HOST}`,
    // Unique on this machine, as the port is.
    `--server-id=${port}`,
    '--local-infile=ON',
    // The packages' own folder for it isn't there.
    '--secure-file-priv=',
  ];
  const server = new DatabaseServer(
    { title, folder, command, args: [...args, ...options], isUp: () => answers(port) },
    port,
  );
  await server.start();
  return server;
}

/** A MySQL or MariaDB of ours. */
export class DatabaseServer extends ServerProcess implements MysqlServer {
  readonly host = HOST;
  readonly port: number;

  constructor(program: ServerProgram, port: number) {
    super(program);
    this.port = port;
  }

  url(schema = ''): string {
    return `mysql://switchback:switchback@${this.host}:${this.port}/${schema}`;
  }

  rootUrl(schema = ''): string {
    return `mysql://root@${this.host}:${this.port}/${schema}`;
  }
}

async function answers(port: number): Promise<boolean> {
  const connection = await createConnection({ host: HOST, port, user: 'root', connectTimeout: 5_000 });
  await connection.query('DO 1');
  await connection.end();
  return true;
}
