/**
 * A lock between programs: a file that holds its owner's pid and appears whole (`link`), so nobody reads half of it.
 * A lock whose owner is gone is taken over. Losing the race of two takers is harmless here: the work that is locked
 * ends with a rename.
 */
import { randomUUID } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isSameProcess, startOf } from './process-identity.ts';

interface Locked<T> {
  readonly path: string;
  readonly onWait?: (pid: number) => void;
  readonly work: () => Promise<T>;
}

export async function withLock<T>({ path, onWait, work }: Locked<T>): Promise<T> {
  const mine = `${path}.${randomUUID()}`;
  await writeFile(mine, JSON.stringify({ pid: process.pid, started: startOf(process.pid) }));
  let told = false;
  try {
    while (!(await take(mine, path))) {
      const owner = await readOwner(path);
      if (owner === null) continue;
      if (!isSameProcess(owner.pid, owner.started)) {
        await rm(path, { force: true });
        continue;
      }
      if (!told && owner.pid !== process.pid) onWait?.(owner.pid);
      told = true;
      await sleep(250);
    }
  } finally {
    await rm(mine, { force: true });
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function take(mine: string, path: string): Promise<boolean> {
  try {
    await link(mine, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Null when the lock was released between the two looks. */
async function readOwner(path: string): Promise<{ pid: number; started: string } | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as { pid: number; started: string };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
