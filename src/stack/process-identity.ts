/**
 * A pid alone is no identity: numbers come round again. Pid and start time together are, and both survive in a file.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Start time of a running process in the system's own form, or '' when there is none. */
export function startOf(pid: number): string {
  if (process.platform !== 'linux') {
    return spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim();
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, the command's name, may hold spaces and brackets: count from behind it. Source: proc(5).
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? '' : (fields[18] ?? '');
  } catch {
    return ''; // no such process
  }
}

export function isSameProcess(pid: number, started: string): boolean {
  return started !== '' && startOf(pid) === started;
}
