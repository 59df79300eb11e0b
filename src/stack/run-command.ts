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

/**
 * @returns standard output
 * @throws Error with the last lines it wrote when the program can't start or ends with another code than 0
 */
export async function runCommand({ command, args, cwd, env, onLine }: Command): Promise<string> {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    // A group of its own, which the guard ends as a whole: compilers start many children.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const release = child.pid === undefined ? () => {} : guard().process(child.pid);
  const output: string[] = [];
  const errors: string[] = [];
  const read = async (stream: Readable, lines: string[]) => {
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
    const [code] = await Promise.all([ended, read(child.stdout, output), read(child.stderr, errors)]);
    if (code !== 0) {
      const told = errors.length > 0 ? errors : output;
      throw new Error(`${command} ended with code ${code}:\n${told.slice(-KEPT_LINES).join('\n')}`);
    }
    return output.join('\n');
  } finally {
    release();
  }
}
