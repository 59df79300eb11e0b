/** Starts Redis as the cache it is here: nothing is written to disk, so a restart comes back empty. */
import { Redis } from 'ioredis';
import type { StartOptions } from './mysql.ts';
import { freePort } from './port.ts';
import { redisProgram } from './redis-program.ts';
import { runFolder } from './run-folder.ts';
import { ServerProcess, type ServerProgram } from './server-process.ts';
import type { RedisServer } from './servers.ts';

const HOST = '127.0.0.1';

/** @throws ServerUnavailableError, ServerStartError */
export async function startRedis({ name, log = () => {}, directory }: StartOptions): Promise<OwnRedis> {
  const { command, args } = await redisProgram(log);
  const folder = await runFolder(name, directory);
  const port = await freePort();
  const inMemory = ['--save', '', '--appendonly', 'no'];
  const program = {
    title: 'Redis',
    folder,
    command,
    args: [...args, '--bind', HOST, '--port', `${port}`, '--dir', folder.path, ...inMemory],
    isUp: () => answers(port),
  };
  const server = new OwnRedis(program, `redis://${HOST}:${port}`);
  await server.start();
  return server;
}

export class OwnRedis extends ServerProcess implements RedisServer {
  readonly url: string;

  constructor(program: ServerProgram, url: string) {
    super(program);
    this.url = url;
  }
}

async function answers(port: number): Promise<boolean> {
  const client = new Redis(port, HOST, {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  });
  client.on('error', () => {}); // told by the rejection below
  try {
    await client.connect();
    return (await client.ping()) === 'PONG';
  } finally {
    client.disconnect();
  }
}
