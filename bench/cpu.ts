/** What processes take of the machine's cores while something runs: the profile behind a goal that two cores can't reach. */
import { readFile } from 'node:fs/promises';

import type { Servers } from './servers.ts';

/** Of the kernel's clock in /proc, on every Linux that we know. */
const TICKS_PER_SECOND = 100;
/** Behind the command's name, which may hold anything but ends with the last parenthesis: proc(5), fields 14 and 15. */
const [UTIME, STIME] = [11, 12];

/** Seconds of a core that a process has used so far, its threads included. */
async function usedBy(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[UTIME]) + Number(fields[STIME])) / TICKS_PER_SECOND;
}

/** Cores that were busy with it, on average. */
export interface Cores {
  readonly source: number;
  readonly target: number;
  /** The bench's own process: the writer, where there is one. */
  readonly bench: number;
}

export async function coresDuring<T>(
  { source, target }: Servers,
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly cores: Cores }> {
  const used = (): Promise<number[]> => Promise.all([source.pid, target.pid, process.pid].map(usedBy));
  const [before, started] = [await used(), performance.now()];
  const value = await work();
  const seconds = (performance.now() - started) / 1_000;
  const [ofSource, ofTarget, ofBench] = (await used()).map((now, index) => (now - before[index]!) / seconds);
  return { value, cores: { source: ofSource!, target: ofTarget!, bench: ofBench! } };
}
