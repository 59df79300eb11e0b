/** A program out of Debian's packages, once, into the cache. */
import { cached } from './cache.ts';
import { unpackDebian } from './debian-tree.ts';
import { progress } from './progress.ts';
import type { Log } from './servers.ts';

export interface DebianFetch {
  /** Its name in the cache, with a version. */
  readonly entry: string;
  /** For people. */
  readonly what: string;
  readonly packages: readonly string[];
  readonly seconds: number;
  readonly log: Log;
}

/** @returns the folder into which the packages are unpacked */
export function fetchDebian({ entry, what, packages, seconds, log }: DebianFetch): Promise<string> {
  return cached({
    name: entry,
    log,
    make: async (into) => {
      log(`Getting ${what} from Debian's packages (once, about ${seconds} s; nothing is installed).`);
      const onProgress = progress({ log, what: `Getting ${what}`, expectedSeconds: seconds });
      await unpackDebian({ packages, into, onProgress });
    },
  });
}
