/** Remembers the servers that `npm run stack` left running. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cacheDirectory } from './cache.ts';
import { isSameProcess, startOf } from './process-identity.ts';
import type { ServerName, Stack } from './servers.ts';

export interface LeftServer {
  readonly name: ServerName;
  readonly pid: number;
  /** With the pid it says that the process is still the one we started. */
  readonly started: string;
  readonly folder: string;
}

export interface StackState {
  readonly servers: readonly LeftServer[];
  /** By variable, as a shell needs them. */
  readonly addresses: Readonly<Record<string, string>>;
  readonly uiUrl: string;
}

export function stateFile(): string {
  return join(cacheDirectory(), 'run', 'stack.json');
}

export async function readState(): Promise<StackState | null> {
  if (!existsSync(stateFile())) return null;
  return JSON.parse(await readFile(stateFile(), 'utf8')) as StackState;
}

export async function writeState({ source, target, redis, temporal, owned }: Stack): Promise<StackState> {
  const state: StackState = {
    servers: owned().map((server) => ({ ...server, started: startOf(server.pid) })),
    addresses: {
      TEMPORAL_ADDRESS: temporal.address,
      SWITCHBACK_SOURCE: source.url(),
      SWITCHBACK_TARGET: target.url(),
      REDIS_URL: redis.url,
    },
    uiUrl: temporal.uiUrl,
  };
  await mkdir(dirname(stateFile()), { recursive: true });
  await writeFile(`${stateFile()}.new`, JSON.stringify(state, null, 2));
  await rename(`${stateFile()}.new`, stateFile());
  return state;
}

export function isRunning({ pid, started }: LeftServer): boolean {
  return isSameProcess(pid, started);
}

/** Ends the servers that are still ours, removes their folders and forgets them. */
export async function stopLeft({ servers }: StackState): Promise<void> {
  await Promise.all(
    servers.map(async (server) => {
      await end(server);
      await rm(server.folder, { recursive: true, force: true, maxRetries: 10 });
    }),
  );
  await rm(stateFile(), { force: true });
}

/** SIGKILL: the files go too, so there is nothing to save. */
async function end(server: LeftServer): Promise<void> {
  if (isRunning(server)) process.kill(server.pid, 'SIGKILL');
  while (isRunning(server)) await sleep(20);
}
