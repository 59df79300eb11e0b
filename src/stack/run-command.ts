/** Runs a program to its end under the guard, and tells its output line by line. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { guard } from './guard.ts';

interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly onLine?: (line: string) => void;
}

const KEPT_LINES = 15;

/** @throws Error with the last lines of output when the program can't start or ends with another code than 0. */
export async function runCommand({ command, args, cwd, env, onLine }: Command): Promise<string> {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    // A group of its own, which the guard ends as a whole: compilers start many children.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const release = child.pid === undefined ? () => {} : guard().process(child.pid);
  const lines: string[] = [];
  const read = async (stream: Readable) => {
    for await (const line of createInterface({ input: stream })) {
      lines.push(line);
      onLine?.(line);
    }
  };
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  try {
    const [code] = await Promise.all([ended, read(child.stdout), read(child.stderr)]);
    if (code !== 0) {
      throw new Error(`${command} ended with code ${code}:\n${lines.slice(-KEPT_LINES).join('\n')}`);
    }
    return lines.join('\n');
  } finally {
    release();
  }
}
