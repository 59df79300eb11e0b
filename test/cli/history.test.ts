/** The weeks of a small fleet, kept: exported as it goes on, checked, and told after Temporal has deleted them. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { beforeAll, expect, it } from 'vitest';

import { enroll } from '../../src/db/fleet.ts';
import { fleetWorkflowId, reconcileWorkflowId, taskQueue } from '../../src/domain/ids.ts';
import { fleetPlan } from '../../src/domain/plan.ts';
import type { Entry } from '../../src/history/archive.ts';
import type { fleetMigration } from '../../workflows/index.ts';
import type { FleetInput } from '../../workflows/messages.ts';
import { useWorld } from '../support/world.ts';
import { switchback, switchbackHere, useFolder, writePlan } from './switchback.ts';

const world = useWorld(['acme', 'globex'], {
  rows: 20,
  durations: { reconcileRun: 3_000, gateEvery: 1_000 },
});
const folder = useFolder();
const out = async () => join(await folder(), 'histories');

async function say(...words: string[]) {
  const plan = await writePlan(await folder(), world().plan);
  const said = await switchbackHere([...words, '--plan', plan, '--json']);
  return { ...said, json: JSON.parse(said.stdout) as Record<string, never> };
}

/** In a process of its own: a replay wants the SDK's runtime for itself. */
async function verify(...words: string[]) {
  const said = await switchback(['history', 'verify', ...words, '--from', await out(), '--json']);
  return { ...said, json: JSON.parse(said.stdout) as Record<string, unknown> };
}

async function runsOf(workflowId: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { runId, status } of world().client.workflow.list({
    query: `WorkflowId = '${workflowId}'`,
  }))
    if (status.name !== 'RUNNING') found.push(runId);
  return found;
}

beforeAll(async () => {
  const { followAsNode, work, until, client, plan, pair, command } = world();
  followAsNode();
  work();
  await enroll(pair, plan.waves);
  const input: FleetInput = {
    plan: fleetPlan(plan),
    by: { actor: 'ann', reason: 'the first fleet' },
    eventsMax: 20,
  };
  await client.workflow.start<typeof fleetMigration>('fleetMigration', {
    workflowId: fleetWorkflowId(plan.name),
    taskQueue: taskQueue(plan.name, 'control'),
    args: [input],
  });
  await until('acme', 'ramp', 'waiting');
  await command('acme', 'rollback', { actor: 'bob', reason: 'errors in the portal' });
  await until('acme', 'shadow', 'paused');
  const ends = Date.now() + 60_000;
  while ((await runsOf(reconcileWorkflowId(plan.name, 'acme'))).length === 0 && Date.now() < ends)
    await sleep(250);
});

it('writes every run of every tenant, of their reconcile and of the fleet, and the next time what is new only', async () => {
  const first = await say('history', 'export', '--out', await out());
  expect(first.code, first.all).toBe(0);
  const { written } = first.json as unknown as { written: Entry[] };
  expect([...new Set(written.map(({ type }) => type))].sort()).toEqual([
    'continuousReconcile',
    'fleetMigration',
    'tenantMigration',
  ]);
  expect(new Set(written.map(({ tenant }) => tenant))).toEqual(new Set(['acme', 'globex', null]));
  const files = (await readdir(await out(), { recursive: true, encoding: 'utf8' })).filter((name) =>
    name.endsWith('.json'),
  );
  expect(files.sort()).toEqual(written.map(({ file }) => file).sort());

  const closed = written.filter(({ status }) => status !== 'RUNNING');
  expect(closed.length).toBeGreaterThan(0);
  const second = await say('history', 'export', '--out', await out());
  const again = (second.json as unknown as { written: Entry[]; kept: number }).written.map(
    ({ runId }) => runId,
  );
  for (const { runId } of closed) expect(again).not.toContain(runId);
});

it('says before which time the rest has to be written', async () => {
  const said = await say('history', 'export', '--out', join(await folder(), 'elsewhere'), '--dry-run');
  const { waiting } = said.json as unknown as { waiting: { status: string; deletedAt: string | null }[] };
  const ends = waiting.flatMap(({ deletedAt }) => (deletedAt === null ? [] : [Date.parse(deletedAt)]));
  expect(ends.length).toBeGreaterThan(0);
  // The stack keeps them for 90 days.
  for (const end of ends) expect(end).toBeGreaterThan(Date.now() + 80 * 86_400_000);
  expect(await readdir(join(await folder(), 'elsewhere')).catch(() => 'not there')).toBe('not there');
});

it('holds what it wrote, without Temporal and without a database; names what is missing, exit 5', async () => {
  const whole = await verify();
  expect(whole.code, whole.all).toBe(0);
  expect(whole.json).toMatchObject({ replayed: true, findings: [], unnamed: [], torn: 0 });

  const { written } = (await say('history', 'export', 'acme', '--out', await out())).json as unknown as {
    written: Entry[];
  };
  const open = written.find(({ type }) => type === 'tenantMigration') ?? null;
  const lines = (await readFile(join(await out(), 'manifest.jsonl'), 'utf8'))
    .split('\n')
    .filter((line) => line !== '');
  const tenantRun = lines
    .map((line) => JSON.parse(line) as Entry)
    .findLast(({ type, tenant }) => type === 'tenantMigration' && tenant === 'acme')!;
  expect(open === null || open.runId === tenantRun.runId).toBe(true);
  await rm(join(await out(), tenantRun.file));
  const broken = await verify('acme', '--sums-only');
  expect(broken.code, broken.all).toBe(5);
  expect(broken.json).toMatchObject({ findings: [{ file: tenantRun.file, problem: 'missing' }] });

  await say('history', 'export', 'acme', '--out', await out());
  expect((await verify('acme', '--sums-only')).code).toBe(0);
}, 300_000);

it('tells the weeks: phases, flips, orders with who and why, gates; also of runs that Temporal has deleted', async () => {
  const { plan } = world();
  const story = async (...words: string[]) => {
    const said = await say('history', 'show', ...words);
    expect(said.code, said.all).toBe(0);
    return said.json as unknown as { told: Record<string, string | null>[]; runs: { runId: string }[] };
  };
  const { told } = await story('acme');
  const texts = told.map(({ text }) => text);
  expect(texts).toContainEqual(
    expect.stringMatching(/^preflight to dual-write \(flip: source-only to dual-write/),
  );
  expect(texts).toContainEqual(expect.stringMatching(/^ready to ramp \(flip: shadow-read to read-target/));
  expect(texts).toContainEqual(
    expect.stringMatching(/^the gates of shadow are open \(capture: capture stands/),
  );
  expect(texts).toContainEqual(expect.stringMatching(/^certificate written: there in /));
  expect(told).toContainEqual(
    expect.objectContaining({ kind: 'flip', actor: 'bob', reason: 'errors in the portal' }),
  );

  const fleet = await story();
  expect(fleet.told).toContainEqual(
    expect.objectContaining({ kind: 'fleet', actor: 'ann', reason: 'the first fleet' }),
  );

  await say('history', 'export', '--out', await out());
  // A namespace that knows nothing of them any more.
  const forgot = { ...plan, temporal: { namespace: 'temporal-system' } };
  const kept = { ...forgot, history: { ...plan.history, folder: await out() } };
  const file = await writePlan(await folder(), kept, 'kept.yaml');
  const said = await switchbackHere(['history', 'show', 'acme', '--plan', file, '--json']);
  expect(said.code, said.all).toBe(0);
  const { runs } = JSON.parse(said.stdout) as { runs: { runId: string }[] };
  expect(runs.length).toBeGreaterThan(1);
  expect(JSON.parse(said.stdout)).toMatchObject({
    told: expect.arrayContaining([expect.objectContaining({ actor: 'bob' })]) as unknown,
  });
});

it('tells a rollback that no workflow carried out once, from the control schema; and says when it cannot be read', async () => {
  await world().until('globex', 'ramp', 'waiting');
  const back = await say('rollback', 'globex', '--direct', '--reason', 'Aurora is slow');
  expect(back.code, back.all).toBe(0);
  const byHand = ({ json }: Awaited<ReturnType<typeof say>>) =>
    (json as unknown as { told: { text: string }[] }).told.filter(({ text }) => text.includes('without the'));
  expect(byHand(await say('history', 'show', 'globex'))).toEqual([
    expect.objectContaining({
      kind: 'flip',
      text: 'flip without the workflow: read-target to shadow-read',
      reason: 'Aurora is slow',
    }),
  ]);
  expect(byHand(await say('history', 'show', 'acme'))).toEqual([]);

  const plan = await writePlan(await folder(), world().plan);
  const away = { WORLD_SOURCE: 'mysql://nobody@127.0.0.1:1/none' };
  const said = await switchbackHere(['history', 'show', 'globex', '--plan', plan], away);
  expect(said.code, said.all).toBe(0);
  expect(said.stdout).toContain('Repairs and rollbacks without the workflow are not told');
  expect((await say('history', 'show', 'globex')).json).toMatchObject({ byHand: true });
});

it('says that there is nothing, exit 3', async () => {
  const nothing = join(await folder(), 'nothing');
  const verified = await switchbackHere(['history', 'verify', '--from', nothing]);
  const shown = await switchbackHere(['history', 'show', 'acme', '--from', nothing]);
  expect([verified.code, shown.code]).toEqual([3, 3]);
  expect(verified.stderr).toContain('there is no export in');
  expect((await say('history', 'show', 'nobody')).code).toBe(3);
});
