/**
 * The helper behind `guard.ts`: reads lines `["watch" | "forget", "process" | "folder", value]` and, when the pipe
 * closes, kills the watched process groups and removes the watched folders. Plain JavaScript, so that it starts at
 * once and needs no loader.
 */
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';

const watched = { process: new Set(), folder: new Set() };

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});

for await (const line of createInterface({ input: process.stdin })) {
  const [verb, kind, value] = JSON.parse(line);
  if (verb === 'watch') watched[kind].add(value);
  else watched[kind].delete(value);
}

for (const pid of [...watched.process, ...inFolders()]) kill(pid);
for (const folder of watched.folder) {
  // A dying server may still write: a few more tries.
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

/** SIGKILL, since what is watched is temporary: there is nothing to save. */
function kill(pid) {
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, 'SIGKILL');
    } catch {
      // already gone, or no group of that number
    }
  }
}

/** Servers whose parent died between starting them and telling their pid: their command line names the folder. */
function inFolders() {
  if (process.platform !== 'linux') return [];
  const names = [...watched.folder];
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid)
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return names.some((name) => words.includes(name));
      } catch {
        return false; // ended meanwhile
      }
    });
}
