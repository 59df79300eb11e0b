/** SIGSTOP is obeyed thread by thread: for a while after it, one that runs on another core still answers. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 1;
/** A thread inside an uninterruptible wait (a flush to a slow disk) stops when that ends. */
const LIMIT_MS = 10_000;

/** Resolves when no thread of the stopped process runs any more, or after `LIMIT_MS`. */
export async function untilFrozen(pid: number): Promise<void> {
  const deadline = Date.now() + LIMIT_MS;
  while (!isFrozen(pid) && Date.now() < deadline) await sleep(POLL_MS);
}

function isFrozen(pid: number): boolean {
  if (process.platform !== 'linux') {
    return spawnSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' }).stdout.startsWith('T');
  }
  return readdirSync(`/proc/${pid}/task`).every((thread) => stateOf(pid, thread) === 'T');
}

/** One letter by proc(5); a thread that has ended in the meantime counts as stopped. */
function stateOf(pid: number, thread: string): string {
  try {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    return stat.charAt(stat.lastIndexOf(')') + 2);
  } catch {
    return 'T';
  }
}
