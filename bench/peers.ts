/** The tools that people use today, with their own settings; each talks to the servers as a user without a password. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { cachedVersions } from '../src/stack/cache.ts';
import type { DatabaseServer } from '../src/stack/database-server.ts';
import { throughLoader } from '../src/stack/debian-tree.ts';
import { onPath, versionText } from '../src/stack/programs.ts';
import { runCommand } from '../src/stack/run-command.ts';
import { SCHEMA } from './servers.ts';

/** @throws Error with the line that installs them */
export function needPeers(packages: Readonly<Record<string, string>>): Record<string, string> {
  const missing = Object.entries(packages).filter(([program]) => onPath(program).length === 0);
  if (missing.length > 0)
    throw new Error(
      `${missing.map(([program]) => program).join(', ')} not found: apt-get install -y --no-install-recommends ${[...new Set(missing.map(([, name]) => name))].join(' ')}`,
    );
  return Object.fromEntries(
    Object.keys(packages).map((program) => [
      program,
      versionText(onPath(program)[0]!).trim().split('\n')[0]!,
    ]),
  );
}

/** A client program of the MySQL that runs the servers: another one's dump may not know them. */
export async function mysqlClient(name: 'mysql' | 'mysqldump'): Promise<string> {
  for (const tree of await cachedVersions('mysql')) {
    if (!existsSync(join(tree, 'usr/bin', name))) continue;
    const { command, args } = await throughLoader(tree, `usr/bin/${name}`, ['usr/lib/mysql/private']);
    return [command, ...args].map((word) => `'${word}'`).join(' ');
  }
  const [command] = onPath(name);
  if (command === undefined) throw new Error(`${name} not found: apt-get install -y mysql-client`);
  return command;
}

const shell = (line: string): Promise<string> =>
  runCommand({ command: 'bash', args: ['-c', `set -o pipefail; ${line}`] });

const at = ({ port }: DatabaseServer): string => `-h 127.0.0.1 -P ${port} -u root`;
const dsn = ({ port }: DatabaseServer): string => `h=127.0.0.1,P=${port},u=root`;

/** Compares one table of two servers. @throws Error unless it finds them equal */
export async function ptTableSync(
  source: DatabaseServer,
  target: DatabaseServer,
  table: string,
): Promise<void> {
  const found = await shell(
    `pt-table-sync --print --no-check-slave --charset utf8mb4 ${dsn(source)},D=${SCHEMA},t=${table} ${dsn(target)}`,
  );
  if (found.trim() !== '') throw new Error(`pt-table-sync found differences:\n${found.slice(0, 500)}`);
}

/** @param chunkRows null: as the tool does by itself, which gives a single table to a single thread */
export async function mydumperAndLoader(
  source: DatabaseServer,
  target: DatabaseServer,
  table: string,
  chunkRows: number | null = null,
): Promise<void> {
  const chunks = chunkRows === null ? '' : ` -r ${chunkRows}`;
  const folder = await mkdtemp(join(tmpdir(), 'switchback-dump-'));
  try {
    await shell(`mydumper ${at(source)} -B ${SCHEMA} -T ${table} -t 2${chunks} -o ${folder}`);
    await shell(`myloader ${at(target)} -B ${SCHEMA} -t 2 -o -d ${folder}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export async function mysqldumpPipe(
  source: DatabaseServer,
  target: DatabaseServer,
  table: string,
): Promise<void> {
  const [dump, client] = [await mysqlClient('mysqldump'), await mysqlClient('mysql')];
  await shell(
    `${dump} --no-defaults ${at(source)} --single-transaction --set-gtid-purged=OFF ${SCHEMA} ${table} | ${client} --no-defaults ${at(target)} ${SCHEMA}`,
  );
}
