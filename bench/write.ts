/**
 * An application write through the router, beside a plain transaction and beside writing one side, then the other.
 *
 * Latency: one connection, all contestants in turns. Throughput: as many writes as go through over 8 and 32
 * connections, of one tenant, of four processes, of 100 tenants; `overBudget…` is the share of the router's writes that
 * were answered before they were on the target, so a rate that is bought that way shows.
 */
import { median, machine, rounded, type Result } from './result.ts';
import { ratioOf, ROUNDS, say } from './rounds.ts';
import { tenantNames } from './dataset.ts';
import { install, startTenants, withServers, type Servers } from './servers.ts';
import { startWorker } from './worker-run.ts';
import { writeHard } from './write-run.ts';
import { columnsOf, PLAIN, TRACKED, WAYS, type Ends, type Writer } from './write-ways.ts';

const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 4);
const WRITES = 400;
const QUIET = 'quiet';
const DUAL = 'dual';
const MOVED = tenantNames(100);

type Found = Record<string, number[]>;

export async function run(): Promise<Result> {
  return withServers(async (servers) => {
    await prepare(servers);
    const ends = { source: servers.source.url(), target: servers.target.url() };
    const found: Found = {};
    const stopWorker = await startWorker(servers);
    try {
      await latencies(ends, found);
      await throughputs(ends, found);
    } finally {
      await stopWorker();
    }
    return result(servers, found);
  });
}

async function prepare({ pair }: Servers): Promise<void> {
  for (const db of [pair.source, pair.target]) {
    await db.run('CREATE DATABASE bench');
    for (const table of [TRACKED, PLAIN]) await db.run(columnsOf(table));
  }
  await install(pair, [TRACKED]);
  await startTenants(pair, [DUAL]);
  await startTenants(pair, MOVED, 'read-target');
}

async function latencies(ends: Ends, found: Found): Promise<void> {
  const plain = await WAYS.plain(ends, 1);
  const naive = await WAYS.naive(ends, 1);
  const router = await WAYS.router(ends, 10);
  const contestants: readonly (readonly [string, Writer, string])[] = [
    ['plain', plain, QUIET],
    ['naive', naive, QUIET],
    ['sourceOnly', router, QUIET],
    ['dualWrite', router, DUAL],
    ['awaited', router, MOVED[0]!],
  ];
  try {
    for (let round = 0; round <= ROUNDS; round += 1) {
      for (const [name, writer, tenant] of contestants) {
        const p50 = await p50Of(() => writer.write(tenant));
        // The first round warms up.
        if (round > 0) note(found, `${name}P50Ms`, p50);
      }
    }
  } finally {
    for (const writer of [plain, naive, router]) await writer.close();
  }
}

async function p50Of(write: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < WRITES; count += 1) {
    const began = performance.now();
    await write();
    times.push(performance.now() - began);
  }
  return median(times);
}

const THROUGHPUTS = [
  { name: 'At8', connections: 8, tenants: MOVED.slice(0, 1), processes: 1 },
  { name: 'At32', connections: 32, tenants: MOVED.slice(0, 1), processes: 1 },
  { name: 'FourProcesses', connections: 8, tenants: MOVED.slice(0, 1), processes: 4 },
  { name: '100Tenants', connections: 32, tenants: MOVED, processes: 1 },
] as const;

async function throughputs(ends: Ends, found: Found): Promise<void> {
  for (let round = 1; round <= ROUNDS; round += 1)
    for (const { name, processes, ...load } of THROUGHPUTS)
      for (const way of ['naive', 'router'] as const) {
        const { perSecond, overBudget } = await writeHard(
          ends,
          { way, seconds: SECONDS, ...load },
          processes,
        );
        note(found, `${way}${name}PerSecond`, perSecond);
        if (way === 'router') note(found, `overBudget${name}`, overBudget / (perSecond * SECONDS));
      }
}

function note(found: Found, name: string, value: number): void {
  (found[name] ??= []).push(value);
  say(`${name}: ${rounded(value)}`);
}

function result(servers: Servers, found: Found): Result {
  const ratio = (a: string, b: string): number => ratioOf(found[a]!, found[b]!);
  return {
    name: 'write',
    machine: machine(),
    versions: servers.versions,
    runs: ROUNDS,
    medians: Object.fromEntries(
      Object.entries(found).map(([name, values]) => [name, rounded(median(values))]),
    ),
    ratios: {
      dualWriteP50VsSourceOnly: ratio('dualWriteP50Ms', 'sourceOnlyP50Ms'),
      sourceOnlyP50VsPlain: ratio('sourceOnlyP50Ms', 'plainP50Ms'),
      dualWriteP50VsPlain: ratio('dualWriteP50Ms', 'plainP50Ms'),
      dualWriteP50VsNaive: ratio('dualWriteP50Ms', 'naiveP50Ms'),
      awaitedP50At1: ratio('awaitedP50Ms', 'naiveP50Ms'),
      ...Object.fromEntries(
        THROUGHPUTS.map(({ name }) => [
          `awaitedThroughput${name}`,
          ratio(`router${name}PerSecond`, `naive${name}PerSecond`),
        ]),
      ),
    },
  };
}
