/** What a worker process does beside Temporal's work, in a process of its own; it ends with its standard input. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { MirrorLoop } from '../src/db/mirror-loop.ts';
import { openPair, type Servers } from './servers.ts';

/** @returns ends it */
export async function startWorker({ source, target }: Servers): Promise<() => Promise<void>> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', fileURLToPath(import.meta.url), source.url(), target.url()],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  await once(child.stdout, 'data');
  return async () => {
    child.stdin.end();
    await once(child, 'exit');
  };
}

async function main(source: string, target: string): Promise<void> {
  const pair = openPair(source, target);
  const loop = new MirrorLoop(pair, {
    info: () => {},
    warn: (message, fields) => console.error(message, fields),
    published: () => Promise.resolve(),
  });
  loop.start();
  console.log('started');
  process.stdin.resume();
  await once(process.stdin, 'end');
  await loop.stop();
  await Promise.all([pair.source.close(), pair.target.close()]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv[2]!, process.argv[3]!);
