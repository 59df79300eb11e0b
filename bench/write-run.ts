/** One process of the `write` bench that writes as fast as it can over its connections, for a time. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { WAYS, type Ends, type Way } from './write-ways.ts';

export interface Load {
  readonly way: Way;
  readonly connections: number;
  readonly tenants: readonly string[];
  readonly seconds: number;
}

export interface Written {
  readonly perSecond: number;
  readonly overBudget: number;
}

/** All processes at once, before the clock runs: connections, a look at the tables, and the compiler, which a service leaves behind. */
const WARM_UP_MS = 4_000;

/** In so many processes at once. @returns their writes a second together */
export async function writeHard(ends: Ends, load: Load, processes = 1): Promise<Written> {
  const children = Array.from({ length: processes }, () => start(ends, load));
  const lines = children.map(({ stdout }) => createInterface({ input: stdout })[Symbol.asyncIterator]());
  for (const line of lines) await line.next(); // ready
  for (const { stdin } of children) stdin.write('go\n');
  const found = await Promise.all(
    lines.map(async (line) => JSON.parse(String((await line.next()).value)) as Written),
  );
  for (const child of children) if (child.exitCode === null) await once(child, 'exit');
  const sum = (of: (one: Written) => number): number => found.reduce((total, one) => total + of(one), 0);
  return { perSecond: sum((one) => one.perSecond), overBudget: sum((one) => one.overBudget) };
}

const start = (ends: Ends, load: Load) =>
  spawn(
    process.execPath,
    ['--import', 'tsx', fileURLToPath(import.meta.url), JSON.stringify(ends), JSON.stringify(load)],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );

async function main(ends: Ends, { way, connections, tenants, seconds }: Load): Promise<void> {
  const writer = await WAYS[way](ends, connections);
  const writeFor = async (ms: number): Promise<number> => {
    const until = performance.now() + ms;
    let done = 0;
    await Promise.all(
      Array.from({ length: connections }, async (_, index) => {
        for (let next = index; performance.now() < until; next += connections) {
          await writer.write(tenantAt(tenants, next));
          done += 1;
        }
      }),
    );
    return done;
  };
  console.log('ready');
  process.stdin.resume();
  await once(process.stdin, 'data');
  await writeFor(WARM_UP_MS);
  const before = writer.overBudget();
  const began = performance.now();
  const done = await writeFor(seconds * 1_000);
  const perSecond = (done * 1_000) / (performance.now() - began);
  console.log(JSON.stringify({ perSecond, overBudget: writer.overBudget() - before } satisfies Written));
  process.stdin.destroy();
  await writer.close();
}

const tenantAt = (tenants: readonly string[], index: number): string => tenants[index % tenants.length]!;

if (process.argv[1] === fileURLToPath(import.meta.url))
  await main(JSON.parse(process.argv[2]!) as Ends, JSON.parse(process.argv[3]!) as Load);
