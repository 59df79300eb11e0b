/** The fleet on the real server: waves in order and within their limits, orders, a stop of its own, and short runs. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import type { WorkflowExecutionInfo } from '@temporalio/client';
import { beforeAll, expect, it } from 'vitest';

import { enroll, readDecisions, readFleet, readRoster } from '../../src/db/fleet.ts';
import { countWaves } from '../../src/db/fleet-look.ts';
import { readMigrations } from '../../src/db/migrations.ts';
import { tripBackMany } from '../../src/db/trip-back-many.ts';
import type { FleetCommandName } from '../../src/domain/fleet-command.ts';
import { fleetWorkflowId, taskQueue } from '../../src/domain/ids.ts';
import { fleetPlan } from '../../src/domain/plan.ts';
import type { fleetMigration } from '../../workflows/index.ts';
import { fleetStatus, fleetUpdate, type FleetInput } from '../../workflows/messages.ts';
import { record as keepHistory } from '../support/histories.ts';
import { useWorld, WAVE } from '../support/world.ts';

const INTERNAL = ['ant'];
const FIRST = ['bee', 'cat', 'dog', 'eel'];
const world = useWorld([...INTERNAL, ...FIRST], {
  rows: 20,
  durations: { soak: 0, gateEvery: 2_000 },
  waves: [
    { ...WAVE, name: 'internal', tenants: INTERNAL, soak: 2_000 },
    { ...WAVE, name: 'first', tenants: FIRST, atOnce: 2, maxStopped: 0 },
  ],
});

const id = () => fleetWorkflowId(world().plan.name);
const handle = () => world().client.workflow.getHandle<typeof fleetMigration>(id());
const counts = () => {
  const { pair, plan } = world();
  return countWaves(pair.source, pair.control, plan.waves);
};
const record = () => readFleet(world().pair.source, world().pair.control);
const decisions = async () =>
  (await readDecisions(world().pair.source, world().pair.control, 100)).toReversed();

const order = (name: FleetCommandName, extra: Record<string, string> = {}) =>
  handle().executeUpdate(fleetUpdate(name), {
    args: [{ requestId: randomUUID(), actor: 'ann', reason: 'a test', ...extra }],
  });

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  const ends = Date.now() + 90_000;
  while (!(await holds())) {
    if (Date.now() > ends)
      throw new Error(`${what}: ${JSON.stringify([await record(), await counts(), await decisions()])}`);
    await sleep(50);
  }
}

async function start(): Promise<void> {
  const { client, plan, pair } = world();
  await enroll(pair, plan.waves);
  const input: FleetInput = {
    plan: fleetPlan(plan),
    by: { actor: 'ann', reason: 'the first fleet' },
    eventsMax: 60,
  };
  await client.workflow.start<typeof fleetMigration>('fleetMigration', {
    workflowId: id(),
    taskQueue: taskQueue(plan.name, 'control'),
    args: [input],
  });
}

beforeAll(() => {
  world().followAsNode();
  world().work();
});

it('moves the waves in order, within their limits, and says why it widened', async () => {
  await start();
  await until(async () => (await counts())[0]!.moving === 1, 'the first tenant moves');
  await order('hold', { tenant: 'eel' });
  await until(async () => (await counts())[1]!.held === 1, 'eel is held');
  expect((await counts())[1]).toMatchObject({ size: 4, notStarted: 3 });

  let most = 0;
  await until(async () => {
    const [internal, first] = await counts();
    const begun = first!.size - first!.notStarted - first!.held;
    if (begun > 0) expect(internal!.soaked).toBe(1);
    most = Math.max(most, first!.moving);
    return first!.ramp === 3;
  }, 'the second wave is in ramp');

  expect(most).toBe(2);
  const widened = (await decisions()).find(({ event }) => event === 'widen');
  expect(widened).toMatchObject({ wave: 'first', actor: 'switchback' });
  expect(widened!.evidence![0]).toMatchObject({ name: 'internal', size: 1, soaked: 1 });
  const records = await readMigrations(world().pair.source, world().pair.control);
  expect(Object.fromEntries(records.map(({ tenant, wave }) => [tenant, wave]))).toEqual({
    ant: 'internal',
    bee: 'first',
    cat: 'first',
    dog: 'first',
  });
});

it('stops itself when more tenants stopped than its wave allows, and goes on with them held', async () => {
  const { pair } = world();
  const flipped = await tripBackMany(pair, ['bee'], { actor: 'ann', reason: 'errors', requestId: 'r1' });
  expect(flipped).toMatchObject([{ tenant: 'bee', stage: 'shadow-read' }]);

  await until(async () => (await record())?.mode === 'stopped', 'the fleet stops');
  expect((await record())!.reason).toBe('1 tenant of wave first is stopped, and the plan allows 0');
  expect((await decisions()).at(-1)).toMatchObject({ event: 'stop', wave: 'first' });
  await order('release', { tenant: 'eel' });
  await sleep(1_000);
  expect((await counts())[1]).toMatchObject({ notStarted: 1 });

  await order('hold', { tenant: 'bee' });
  await until(async () => (await counts())[1]!.stopped === 0, 'bee is held');
  // The record is written a moment before the run's own state: a test is faster than a person.
  await until(async () => (await handle().query(fleetStatus)).mode === 'stopped', 'the run knows it');
  await order('resume');
  await until(async () => (await counts())[1]!.ramp === 3, 'the released tenant is in ramp');
  await until(
    async () => (await record())?.reason === 'every wave is in ramp and clean for its soak',
    'all done',
  );
});

it('refuses what the roster does not allow, and shows it', async () => {
  await order('remove', { tenant: 'ant' });
  await until(async () => (await handle().query(fleetStatus)).refusals.length === 1, 'ant stays');
  await order('add', { tenant: 'ant', wave: 'first' });
  await until(async () => (await handle().query(fleetStatus)).refusals.length === 2, 'both are refused');
  expect((await handle().query(fleetStatus)).refusals).toEqual([
    expect.stringContaining('add by ann: ant is in the fleet already'),
    expect.stringContaining('remove by ann: ant was started, or is not in the fleet'),
  ]);
  await expect(order('add', { tenant: 'fox', wave: 'nowhere' })).rejects.toMatchObject({
    cause: { message: 'no wave "nowhere"; there are internal, first' },
  });
  await expect(order('advance')).rejects.toMatchObject({ cause: { message: 'first is the last wave' } });
  await handle().signal('pause', 'no object');
  await handle().signal('dance');
  await until(async () => (await handle().query(fleetStatus)).refusals.length === 4, 'garbage is refused');
});

it('continues as new and loses neither its place nor a request that it has seen', async () => {
  const { pair, client } = world();
  const runs: WorkflowExecutionInfo[] = [];
  for await (const run of client.workflow.list({ query: `WorkflowId = '${id()}'` })) runs.push(run);
  expect(runs.length).toBeGreaterThan(1);
  const [first] = runs.toSorted((a, b) => a.startTime.getTime() - b.startTime.getTime());
  await keepHistory('fleet-two-waves', client.workflow.getHandle(id(), first!.runId));
  expect(Math.max(...runs.map(({ historyLength }) => historyLength))).toBeLessThan(150);
  expect((await decisions()).filter(({ event }) => event === 'begin' || event === 'adopt')).toHaveLength(1);
  expect(await readRoster(pair.source, pair.control)).toHaveLength(5);

  const requestId = randomUUID();
  // Each is carried out before the next: a run continues when nothing waits.
  const held = async (isHeld: boolean, extra: Record<string, string> = {}) => {
    await order(isHeld ? 'pause' : 'resume', extra);
    await until(async () => ((await record())!.mode === 'paused') === isHeld, 'the order is carried out');
  };
  await held(true, { requestId });
  const { runId } = await handle().describe();
  while ((await handle().describe()).runId === runId) for (const isHeld of [false, true]) await held(isHeld);
  await held(false);
  expect((await order('pause', { requestId })).message).toContain('asked for already');
});

it('is taken up, held, by a new run after it was terminated, and its tenants never noticed', async () => {
  const before = await readMigrations(world().pair.source, world().pair.control);
  await handle().terminate('a test');
  await start();
  await until(async () => (await record())?.mode === 'paused', 'it is held');
  await until(async () => (await handle().query(fleetStatus)).mode === 'paused', 'the run knows it');
  expect(await record()).toMatchObject({
    wave: 'first',
    reason: 'taken up in wave first; fleet resume goes on',
  });
  await order('resume');
  await until(async () => (await record())?.mode === 'waiting', 'it goes on');
  const after = await readMigrations(world().pair.source, world().pair.control);
  expect(after.map(({ tenant, runId }) => [tenant, runId])).toEqual(
    before.map(({ tenant, runId }) => [tenant, runId]),
  );
});

it('judges an order that comes before a continued run has read its record by where the run before stood', async () => {
  const { client, plan } = world();
  const { runId } = await handle().describe();
  await world().stopWorkers();
  await handle().terminate('a test');
  const stands = { wave: 'first', mode: 'stopped', reason: 'a test' } as const;
  const by = { actor: 'ann', reason: 'the first fleet' };
  const input: FleetInput = { plan: fleetPlan(plan), by, after: { runId, seen: [], refusals: [], stands } };
  await client.workflow.start<typeof fleetMigration>('fleetMigration', {
    workflowId: id(),
    taskQueue: taskQueue(plan.name, 'control'),
    args: [input],
  });
  const resumed = order('resume');
  await sleep(500);
  world().work();
  expect(await resumed).toMatchObject({ accepted: true, mode: 'stopped' });
});
