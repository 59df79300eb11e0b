/** The processes of the demo: portals, workers and the CLI, each as an operator would run it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const CLI = at('../../src/cli/main.ts');
const PORTAL = at('../sms-portal/server.ts');
export const PLAN = at('./plan.yaml');

export interface Process {
  readonly pid: number;
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/** Every child that is alive, for an end that leaves nobody behind. */
const alive = new Set<ChildProcess>();

export async function endProcesses(): Promise<void> {
  await Promise.all([...alive].map((child) => end(child, 'SIGTERM')));
}

/** Synchronous last resort of an exit handler. */
export const killProcesses = (): void => {
  for (const child of alive) child.kill('SIGKILL');
};

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), 8_000);
  await ended;
  clearTimeout(timer);
}

function launch(
  script: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  stderr: 'ignore' | 'pipe',
): ChildProcess {
  const child = spawn(process.execPath, ['--import', 'tsx', script, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', stderr],
  });
  alive.add(child);
  child.once('exit', () => alive.delete(child));
  return child;
}

const handle = (child: ChildProcess): Process => ({
  pid: child.pid!,
  kill: (signal = 'SIGTERM') => end(child, signal),
});

/** @param logged gets each line of its log */
export async function startPortal(
  env: NodeJS.ProcessEnv,
  logged: (line: string) => void,
): Promise<Process & { readonly url: string }> {
  const child = launch(PORTAL, [], env, 'pipe');
  createInterface({ input: child.stderr! }).on('line', logged);
  for await (const line of createInterface({ input: child.stdout! })) {
    const url = /listening on (http:\S+)/.exec(line)?.[1];
    if (url !== undefined) return { ...handle(child), url };
  }
  throw new Error('the portal ended before it listened');
}

export function startWorkerProcess(env: NodeJS.ProcessEnv): Process {
  return handle(launch(CLI, ['worker', '--plan', PLAN], { SWITCHBACK_LOG: 'error', ...env }, 'ignore'));
}

export interface CliResult {
  readonly code: number;
  readonly text: string;
}

/** Runs one command and shows it as it would look on a terminal. */
export async function cli(
  env: NodeJS.ProcessEnv,
  show: (text: string) => void,
  ...args: string[]
): Promise<CliResult> {
  const child = launch(CLI, [...args, '--plan', PLAN], { SWITCHBACK_ACTOR: 'ann', ...env }, 'pipe');
  let text = '';
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (part: string) => (text += part));
  const [code] = (await once(child, 'close')) as [number | null];
  show(
    `$ switchback ${args.map((arg) => (/[^\w./:=-]/.test(arg) ? JSON.stringify(arg) : arg)).join(' ')}\n${text.trimEnd()}`,
  );
  return { code: code ?? 1, text };
}
