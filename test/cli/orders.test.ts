/** Orders to a running migration: answered by a worker, left as a signal without one. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { describe, expect, it, vi } from 'vitest';

import { SHARED } from '../../src/domain/stage.ts';
import { useWorld } from '../support/world.ts';
import { switchbackHere, switchbackRunning, useFolder, writePlan } from './switchback.ts';

const world = useWorld(['acme', 'globex'], { rows: 20, approval: true });
const folder = useFolder();

async function say(...words: string[]) {
  const plan = await writePlan(await folder(), world().plan);
  const said = await switchbackHere([...words, '--plan', plan, '--json']);
  return { ...said, json: JSON.parse(said.stdout) as Record<string, never> };
}

const because = ['--reason', 'a test'];

describe.sequential('one tenant on its way', () => {
  it('starts once: again is refused, exit 4', async () => {
    const first = await say('start', 'acme', ...because);
    const second = await say('start', 'acme', ...because);

    expect(first.code, first.all).toBe(0);
    expect(first.json).toMatchObject({ started: [{ tenant: 'acme', how: 'started' }] });
    expect((await say('status')).json).toMatchObject({
      awaitingWorker: ['acme'],
      notStarted: ['acme', 'globex'],
      next: [expect.stringMatching(/ worker$/)],
    });
    expect(second).toMatchObject({ code: 4, json: { error: { kind: 'refused' } } });
  });

  it('sends a signal with the same request id when no worker answers, and it is carried out once', async () => {
    const said = await say('pause', 'acme', '--request-id', 'once', ...because);

    expect(said).toMatchObject({ code: 0, json: { via: 'signal', requestId: 'once', accepted: null } });
    // The server may still hold the update too, but only in memory: the signal is what stands.
    const { events } = await world().handle('acme').fetchHistory();
    const signals = (events ?? []).flatMap(
      (event) => event.workflowExecutionSignaledEventAttributes?.signalName ?? [],
    );
    expect(signals).toEqual(['pause']);
    world().work();
    world().followAsNode();
    await world().until('acme', 'preflight', 'paused');
    const { pair } = world();
    const taken = await pair.source.rows(
      `SELECT id FROM \`${pair.control}\`.audit WHERE tenant = 'acme' AND event = 'pause' AND request_id = 'once'`,
    );
    expect(taken).toHaveLength(1);
  });

  it('prints the receipt of a worker, and its refusal with exit 4', async () => {
    const taken = await say('resume', 'acme', ...because);
    const refused = await say('resume', 'acme', ...because);

    expect(taken).toMatchObject({ code: 0, json: { via: 'update', accepted: true, command: 'resume' } });
    expect(refused.code, refused.all).toBe(4);
    expect(refused.json).toMatchObject({
      error: { message: expect.stringMatching(/^resume was refused: not paused/) as unknown },
    });
  });

  it('refuses an order for another phase', async () => {
    await world().until('acme', 'ready', 'waiting');

    const said = await say('rollback', 'acme', '--expect-phase', 'ramp', ...because);

    expect(said.code, said.all).toBe(4);
  });

  it('limits the pace under both names', async () => {
    expect(await say('set-pace', 'acme', '--rows-per-second', '5000', ...because)).toMatchObject({
      code: 0,
      json: { command: 'setPace' },
    });
    expect(await say('setPace', 'acme', '--rows-per-second', '0', ...because)).toMatchObject({ code: 0 });
    const ofReconcile = ['set-pace', 'acme', '--of', 'reconcile', '--rows-per-second', '70', ...because];
    expect(await say(...ofReconcile)).toMatchObject({ code: 0 });
    await vi.waitFor(
      async () =>
        expect(await world().record('acme')).toMatchObject({ rowsPerSecond: 0, reconcileRowsPerSecond: 70 }),
      20_000,
    );
    expect(
      await say('set-pace', 'acme', '--of', 'mirror', '--rows-per-second', '1', ...because),
    ).toMatchObject({
      code: 2,
    });
  });

  it('waives a gate of the phase, and no other', async () => {
    expect(await say('waive', 'acme', '--gate', 'nodes', '--until', '1h', ...because)).toMatchObject({
      code: 0,
    });
    expect(await say('waive', 'acme', '--gate', 'gravity', '--until', '1h', ...because)).toMatchObject({
      code: 2,
    });
    expect(await say('waive', 'acme', '--gate', 'copied', '--until', '1h', ...because)).toMatchObject({
      code: 4,
    });
  });

  it('rolls back from ramp and says when the last node followed', async () => {
    expect(await say('advance', 'acme', ...because)).toMatchObject({ code: 0 });
    await world().until('acme', 'ramp');

    const said = await say('rollback', 'acme', ...because);

    expect(said.code, said.all).toBe(0);
    expect(said.json).toMatchObject({
      stage: 'shadow-read',
      nodes: { live: 1, following: 1, ms: expect.any(Number) as unknown },
    });
    await world().until('acme', 'shadow', 'paused');
  });

  it('applies a changed plan and says what changes, once', async () => {
    const { plan } = world();
    const file = await writePlan(
      await folder(),
      { ...plan, durations: { ...plan.durations, soak: 9_000 } },
      'changed.yaml',
    );
    const words = ['plan', 'apply', 'acme', '--plan', file, '--json', ...because];

    const first = await switchbackHere(words);
    const second = await switchbackHere(words);

    expect(JSON.parse(first.stdout)).toMatchObject({
      applied: [
        {
          tenant: 'acme', // What the namespace has to keep is made of it.
          changes: ['durations.soak: 1s → 9s', 'gates.retention: 1d 1s → 1d 9s'],
        },
      ],
    });
    expect(JSON.parse(second.stdout)).toMatchObject({ applied: [{ tenant: 'acme', changes: [] }] });
  });

  it('exports the history with a hash that fits', async () => {
    const out = join(await folder(), 'histories');

    const said = await say('history', 'export', 'acme', '--out', out);

    expect(said.code, said.all).toBe(0);
    const files = await readdir(out, { recursive: true, encoding: 'utf8' });
    const json = files.find((name) => name.endsWith('.json'))!;
    const text = await readFile(join(out, json));
    const [hash, name] = (await readFile(join(out, `${json}.sha256`), 'utf8')).trim().split('  ');
    expect(name).toBe(basename(json));
    expect(hash).toBe(createHash('sha256').update(text).digest('hex'));
    expect((JSON.parse(text.toString()) as { events: unknown[] }).events.length).toBeGreaterThan(10);
  });

  it('asks for --adopt when the run is gone, and then takes the tenant up, held', async () => {
    await world().handle('acme').terminate('a test');

    const order = await say('pause', 'acme', ...because);
    const plain = await say('start', 'acme', ...because);
    const adopted = await say('start', 'acme', '--adopt', ...because);

    expect(order.code, order.all).toBe(3);
    expect(plain.code, plain.all).toBe(4);
    expect(JSON.stringify(plain.json)).toContain('--adopt');
    expect(adopted).toMatchObject({ code: 0, json: { started: [{ tenant: 'acme', how: 'adopted' }] } });
    await world().until('acme', 'shadow', 'paused');
    expect(await say('start', 'acme', '--adopt', ...because)).toMatchObject({
      code: 0,
      json: { started: [{ how: 'signalled' }] },
    });
  });

  it('uninstalls only when nobody is on the way, or by force, and reads go to the source first', async () => {
    const { plan } = world();

    const unsure = await say('uninstall', ...because);
    const refused = await say('uninstall', '--confirm', plan.name, ...because);
    const forced = await say('uninstall', '--confirm', plan.name, '--force', ...because);

    expect(unsure.code).toBe(2);
    expect((await say('uninstall', '--confirm', 'another', ...because)).all).toContain(
      '--confirm another is not that',
    );
    expect(refused).toMatchObject({
      code: 4,
      json: { error: { message: expect.stringContaining('acme') as unknown } },
    });
    expect(forced.code, forced.all).toBe(0);
    expect((forced.json as unknown as { triggers: string[] }).triggers.length).toBeGreaterThan(0);
    const flags = await say('flags', 'acme');
    expect(flags.json).toMatchObject({ stages: [{ tenant: 'acme', dirty: true }] });
    expect(await say('install', ...because)).toMatchObject({ code: 0 });
  });
});

it('starts the shared tables of the plan before a tenant, once', async () => {
  const { plan } = world();
  const countries = { name: 'countries', tenancy: { kind: 'shared' } as const, time: null };
  const named = { ...plan, name: `${plan.name}-shared`, tables: [...plan.tables, countries] };
  const file = await writePlan(await folder(), named, 'shared.yaml');
  const words = ['start', 'globex', '--plan', file, '--json', ...because];

  const first = await switchbackHere(words);
  const second = await switchbackHere(words);

  expect(JSON.parse(first.stdout)).toMatchObject({ started: [{ tenant: SHARED }, { tenant: 'globex' }] });
  expect(second.code, second.all).toBe(4);
});

it('does not know shared tables that the plan does not have', async () => {
  expect(await say('start', SHARED, ...because)).toMatchObject({ code: 3 });
});

it('runs a worker until SIGTERM, and ends it well', async () => {
  const plan = await writePlan(await folder(), world().plan);
  const { child, ended } = switchbackRunning(['worker', '--data-slots', '2', '--plan', plan], {
    env: { SWITCHBACK_LOG: 'info' },
  });
  await new Promise<void>((resolve) => {
    child.stderr.on('data', (text: string) => {
      if (text.includes('worker is running')) resolve();
    });
  });

  child.kill('SIGTERM');

  const said = await ended;
  expect(said).toMatchObject({ code: 0, stdout: 'Worker stopped.\n' });
});
