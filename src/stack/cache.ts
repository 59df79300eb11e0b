/**
 * The folder of downloaded and built servers. An entry is either complete or not there: everything is made under a
 * partial name and renamed, so a killed build leaves nothing that looks finished.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { withLock } from './lock.ts';
import { guard } from './guard.ts';
import type { Log } from './servers.ts';

export function cacheDirectory(): string {
  return process.env['SWITCHBACK_CACHE'] ?? join(homedir(), '.cache', 'switchback');
}

interface Entry {
  readonly name: string;
  readonly log: Log;
  /** Fills `path` (which doesn't exist yet) with a file or a folder. */
  readonly make: (path: string) => Promise<void>;
}

/** Path of the entry, made first if it is missing; of several programs at once one makes it and the others wait. */
export async function cached({ name, log, make }: Entry): Promise<string> {
  const path = join(cacheDirectory(), name);
  if (existsSync(path)) return path;
  await mkdir(cacheDirectory(), { recursive: true });
  await withLock({
    path: `${path}.lock`,
    onWait: (pid) => log(`Waiting for ${name}, which process ${pid} is getting.`),
    work: async () => {
      if (existsSync(path)) return;
      await removePartial(name);
      const partial = `${path}.partial-${process.pid}`;
      const release = guard().folder(partial);
      try {
        await make(partial);
        await rename(partial, path);
      } finally {
        await rm(partial, { recursive: true, force: true });
        release();
      }
    },
  });
  return path;
}

/** Entries `name-<version>`, newest version first. */
export async function cachedVersions(name: string): Promise<readonly string[]> {
  if (!existsSync(cacheDirectory())) return [];
  const pattern = new RegExp(`^${name}-\\d+(\\.\\d+)*$`);
  const names = (await readdir(cacheDirectory())).filter((entry) => pattern.test(entry));
  return names
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
    .map((entry) => join(cacheDirectory(), entry));
}

/** Only under the entry's lock: what is left belongs to a program that died. */
async function removePartial(name: string): Promise<void> {
  const left = (await readdir(cacheDirectory())).filter((entry) => entry.startsWith(`${name}.partial-`));
  for (const entry of left) await rm(join(cacheDirectory(), entry), { recursive: true, force: true });
}
