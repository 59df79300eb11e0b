/**
 * A flip and a rollback, as an operator orders them: from the moment before the update is sent to Temporal until the
 * last of 50 application nodes obeys. `…AcceptedMs` is the part of it until Temporal has answered that the update was
 * accepted, `…FirstNodeMs` until the first node obeys; the start of the CLI is not in it. Then the same without Redis, where nodes learn it from their poll.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { Client, Connection, WorkflowUpdateStage } from '@temporalio/client';

import { Observer } from '../examples/demo/observer.ts';
import { seed } from '../examples/sms-portal/seed.ts';
import { tenantWorkflowId } from '../src/domain/ids.ts';
import { startStack } from '../src/stack/start.ts';
import { Database } from '../src/db/database.ts';
import { readStage } from '../src/db/stages.ts';
import { commandUpdate, status } from '../workflows/messages.ts';
import { wallClock } from './arrivals.ts';
import { end, environment, order, switchback } from './built.ts';
import { percentile } from './load.ts';
import { startNodes, type Nodes } from './nodes-run.ts';
import { machine, median, rounded, type Result } from './result.ts';
import { say } from './rounds.ts';

const NODES = 50;
const FLIPS = Number(process.env['BENCH_FLIPS'] ?? 20);
const FLIPS_WITHOUT_REDIS = Math.ceil(FLIPS / 4);
const PASSES = 3_000;
const TENANT = 'acme';
const SCHEMA = 'sms';
const PLAN = fileURLToPath(new URL('flip-plan.yaml', import.meta.url));

type Move = 'advance' | 'rollback';

interface Bench {
  readonly client: Client;
  readonly source: Database;
  readonly observer: Observer;
  readonly nodes: Nodes;
  readonly note: (name: string, value: number) => void;
}

export async function run(): Promise<Result> {
  const stack = await startStack({ isPrivate: true });
  const env = environment(stack, PLAN);
  await seed({ url: stack.source.url(), schema: SCHEMA, messages: 100 });
  await order(env, 'install', '--target-schema');
  const worker = switchback(env, 'worker');
  const ends = { source: stack.source.url(), target: stack.target.url(), redis: stack.redis.url };
  const nodes = await startNodes({ ...ends, schema: SCHEMA }, TENANT, NODES);
  const observer = new Observer(stack.source.url());
  const source = new Database({ side: 'source', url: stack.source.url() });
  const connection = await Connection.connect({ address: stack.temporal.address });
  const found: Record<string, number[]> = {};
  const note = (name: string, value: number): void => {
    (found[name] ??= []).push(value);
    say(`${name}: ${rounded(value)}`);
  };
  const bench: Bench = { client: new Client({ connection }), source, observer, nodes, note };
  try {
    await order(env, 'start', TENANT);
    for (let count = 0; count < FLIPS; count += 1) await thereAndBack(bench, '');
    await stack.redis.kill();
    for (let count = 0; count < FLIPS_WITHOUT_REDIS; count += 1) await thereAndBack(bench, 'WithoutRedis');
    return result(found, (await source.server()).version);
  } finally {
    await end(worker);
    await nodes.stop();
    await observer.stop();
    await source.close();
    await connection.close();
    await stack.stop();
  }
}

async function thereAndBack(bench: Bench, phase: string): Promise<void> {
  const { observer } = bench;
  await observer.until(TENANT, ['ready'], ['waiting']);
  await sleep(PASSES); // nothing but the operator's word is then waited for
  await ordered(bench, 'advance', `flip${phase}`);
  await observer.until(TENANT, ['ramp'], ['waiting']);
  await ordered(bench, 'rollback', `rollback${phase}`);
  await observer.until(TENANT, ['shadow'], ['paused']);
  // The record is written a moment before the run's own state: a program is faster than a person.
  while ((await handleOf(bench).query(status)).mode !== 'paused') await sleep(20);
  await send(bench, 'resume');
}

async function ordered(bench: Bench, word: Move, name: string): Promise<void> {
  const before = await readStage(bench.source, 'switchback', TENANT);
  const sent = wallClock();
  const accepted = await send(bench, word);
  const { first, last } = await bench.nodes.followed(before!.epoch + 1, 20_000);
  bench.note(`${name}Ms`, last - sent);
  bench.note(`${name}AcceptedMs`, accepted - sent);
  bench.note(`${name}FirstNodeMs`, first - sent);
}

/** @returns when Temporal had answered that it is accepted */
async function send(bench: Bench, word: Move | 'resume'): Promise<number> {
  const handle = handleOf(bench);
  const request = { requestId: randomUUID(), actor: 'bench', reason: 'bench' };
  const update = await handle.startUpdate(commandUpdate(word), {
    args: [request],
    waitForStage: WorkflowUpdateStage.ACCEPTED,
  });
  const accepted = wallClock();
  await update.result();
  return accepted;
}

const handleOf = ({ client }: Bench) => client.workflow.getHandle(tenantWorkflowId('bench-flip', TENANT));

function result(found: Readonly<Record<string, number[]>>, version: string): Result {
  const all = (phase: string): number[] => [...found[`flip${phase}Ms`]!, ...found[`rollback${phase}Ms`]!];
  return {
    name: 'flip',
    machine: machine(),
    versions: { node: process.version, source: version },
    runs: FLIPS,
    medians: {
      nodes: NODES,
      ...Object.fromEntries(Object.entries(found).map(([name, values]) => [name, rounded(median(values))])),
      p99Ms: rounded(percentile(all(''), 0.99)),
      withoutRedisMaxMs: rounded(Math.max(...all('WithoutRedis'))),
    },
    ratios: { p99VsGoal250Ms: rounded(percentile(all(''), 0.99) / 250) },
  };
}
