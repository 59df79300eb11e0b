/** Application nodes for the `flip` bench: routers with connections of their own, ten in each process. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { createRouter } from '../src/app/index.ts';
import { wallClock } from './arrivals.ts';

const NODES_PER_PROCESS = 10;

export interface Ends {
  readonly source: string;
  readonly target: string;
  readonly redis: string;
  readonly schema: string;
}

/** A node obeys this epoch since then, milliseconds of the wall clock. */
interface Seen {
  readonly epoch: number;
  readonly at: number;
}

export interface Nodes {
  /** When the first and the last of them obeyed the epoch. @throws Error when that takes longer than `withinMs` */
  readonly followed: (
    epoch: number,
    withinMs: number,
  ) => Promise<{ readonly first: number; readonly last: number }>;
  readonly stop: () => Promise<void>;
}

export async function startNodes(ends: Ends, tenant: string, count: number): Promise<Nodes> {
  const seen: Seen[] = [];
  const children = Array.from({ length: count / NODES_PER_PROCESS }, () => start(ends, tenant));
  for (const child of children) {
    const lines = createInterface({ input: child.stdout! });
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`nodes ended with ${String(code)} before they were ready`);
    });
    await Promise.race([once(lines, 'line'), ended]); // all of them are there
    ended.catch(() => {});
    lines.on('line', (line) => seen.push(JSON.parse(line) as Seen));
  }
  return {
    async followed(epoch, withinMs) {
      for (const ends = Date.now() + withinMs; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
        const at = seen.filter((one) => one.epoch === epoch).map((one) => one.at);
        if (at.length >= count) return { first: Math.min(...at), last: Math.max(...at) };
        if (Date.now() > ends) throw new Error(`${at.length} of ${count} nodes followed epoch ${epoch}`);
      }
    },
    async stop() {
      for (const child of children) {
        child.stdin!.end();
        if (child.exitCode === null) await once(child, 'exit');
      }
    },
  };
}

const start = (ends: Ends, tenant: string): ChildProcess =>
  spawn(process.execPath, ['--import', 'tsx', fileURLToPath(import.meta.url), JSON.stringify(ends), tenant], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });

async function main({ source, target, redis, schema }: Ends, tenant: string): Promise<void> {
  const routers = await Promise.all(
    Array.from({ length: NODES_PER_PROCESS }, () =>
      createRouter({ source, target, redis, schema: { source: schema, target: schema }, service: 'bench' }),
    ),
  );
  for (const router of routers) {
    let { epoch } = router.flag(tenant);
    router.onStages(() => {
      const now = router.flag(tenant).epoch;
      if (now === epoch) return;
      epoch = now;
      console.log(JSON.stringify({ epoch, at: wallClock() } satisfies Seen));
    });
  }
  console.log('ready');
  process.stdin.resume();
  await once(process.stdin, 'end');
  await Promise.all(routers.map((router) => router.close()));
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await main(JSON.parse(process.argv[2]!) as Ends, process.argv[3]!);
