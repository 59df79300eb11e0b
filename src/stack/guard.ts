/**
 * Nothing outlives its parent: a helper process (`reaper.mjs`) holds a pipe to this one, knows every server's pid and
 * folder, and ends them when the pipe closes. That covers Ctrl-C, a crash and SIGKILL alike, so no signal handlers
 * are needed anywhere else.
 */
import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

export interface Guard {
  /** Watches a process, the leader of its own group; call the result once it has ended or shall stay. */
  process(pid: number): () => void;
  /** Watches a folder that shall be gone with this program. */
  folder(path: string): () => void;
}

let running: Guard | null = null;

/** The one guard of this program, started with its first use. */
export function guard(): Guard {
  running ??= startGuard();
  return running;
}

function startGuard(): Guard {
  const reaper = spawn(process.execPath, [fileURLToPath(new URL('./reaper.mjs', import.meta.url))], {
    // A session of its own: Ctrl-C in the terminal must not reach the one that cleans up.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const pipe = reaper.stdin;
  // Neither the helper nor its pipe keeps this program alive.
  reaper.unref();
  (pipe as Writable & { unref(): void }).unref();
  const watch = (word: string, value: string | number) => {
    pipe.write(`${JSON.stringify(['watch', word, value])}\n`);
    return () => void pipe.write(`${JSON.stringify(['forget', word, value])}\n`);
  };
  return { process: (pid) => watch('process', pid), folder: (path) => watch('folder', path) };
}
