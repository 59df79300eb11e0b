/** The built command, as an operator has it, for benches that need whole processes: their environment, orders, memory. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Stack } from '../src/stack/servers.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const KIB_PER_MIB = 1_024;

export const build = (): Promise<void> =>
  done(
    spawn('npm', ['run', 'build'], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] }),
    'npm run build',
  );

/** @param plan path of the plan's file */
export const environment = (stack: Stack, plan: string): NodeJS.ProcessEnv => ({
  ...process.env,
  SWITCHBACK_SOURCE: stack.source.url(),
  SWITCHBACK_TARGET: stack.target.url(),
  REDIS_URL: stack.redis.url,
  TEMPORAL_ADDRESS: stack.temporal.address,
  SWITCHBACK_PLAN: plan,
  // As the image has it.
  MALLOC_ARENA_MAX: '2',
  SWITCHBACK_LOG: 'error',
  SWITCHBACK_ACTOR: 'bench',
});

export const switchback = (env: NodeJS.ProcessEnv, ...words: string[]): ChildProcess =>
  spawn(process.execPath, [join(ROOT, 'dist/src/cli/main.js'), ...words], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });

/** Waits until it has ended. @throws Error unless with 0 */
export const order = (env: NodeJS.ProcessEnv, ...words: string[]): Promise<void> =>
  done(switchback(env, ...words, '--reason', 'bench'), `switchback ${words.join(' ')}`);

export async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

/** MiB, from /proc: what the kernel counts now (`VmRSS`), or ever counted (`VmHWM`). */
export async function memory(pid: number, what: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${what}:\\s+(\\d+) kB`).exec(status)?.[1]) / KIB_PER_MIB;
}

async function done(child: ChildProcess, what: string): Promise<void> {
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${what} ended with ${code ?? 'a signal'}`);
}
