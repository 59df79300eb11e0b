/** An export on disk: complete or not there, told apart from what was altered, and replayed on the code of today. */
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { Archive, fileOf, sha256, type Entry } from '../../src/history/archive.ts';
import { begunAs, startOf } from '../../src/history/events.ts';
import { holes, lookAt, type Finding, type Intact } from '../../src/history/verify.ts';
import { createLog } from '../../src/log.ts';
import { replay } from '../../src/replay.ts';
import { installRuntime } from '../../src/worker.ts';
import { recorded } from '../support/histories.ts';

installRuntime(createLog('replay', 'silent'));

let folder: string;
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'switchback-archive-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

const RECORDED = ['tenant-drilled', 'fleet-two-waves', 'reconcile-one-day'];

/** The archive as an export of recorded runs would have written it. */
async function filled(): Promise<Archive> {
  const archive = await Archive.open(folder);
  for (const { name, history } of await recorded()) {
    if (!RECORDED.includes(name)) continue;
    const started = startOf(history)!;
    const runId = started.originalExecutionRunId!;
    const workflowId = `switchback/world/${name}`;
    const text = historyToJSON(history);
    await archive.add(
      {
        workflowId,
        runId,
        type: started.workflowType!.name!,
        tenant: begunAs(history).tenant,
        status: 'COMPLETED',
        startedAt: '2026-11-26T00:00:00.000Z',
        closedAt: '2026-11-26T01:00:00.000Z',
        continues: begunAs(history).continues,
        events: history.events!.length,
        file: fileOf(workflowId, runId, 'COMPLETED', 0)!,
        sha256: sha256(text),
        exportedAt: '2026-11-26T02:00:00.000Z',
      },
      text,
    );
  }
  return Archive.open(folder);
}

async function findings(archive: Archive): Promise<Pick<Finding, 'file' | 'problem' | 'why'>[]> {
  const found: Finding[] = [];
  async function* intact(): AsyncGenerator<Intact> {
    for (const entry of archive.entries) {
      const looked = await lookAt(archive, entry);
      if ('finding' in looked) found.push(looked.finding);
      else yield looked.intact;
    }
  }
  found.push(...(await replay(intact())), ...holes(archive, archive.entries));
  return found.map(({ file, problem, why }) => ({ file, problem, why }));
}

const of = (archive: Archive, name: string): Entry =>
  archive.entries.find(({ workflowId }) => workflowId.endsWith(name))!;

/** As somebody would who has the folder and knows how sums work. */
async function forge(archive: Archive, name: string, change: (text: string) => string): Promise<Archive> {
  const entry = of(archive, name);
  const text = change((await archive.read(entry)).toString('utf8'));
  await writeFile(join(folder, entry.file), text);
  await appendFile(
    join(folder, 'manifest.jsonl'),
    `\n${JSON.stringify({ ...entry, sha256: sha256(text) })}\n`,
  );
  return Archive.open(folder);
}

it('holds a tenant, its reconcile and the fleet, and all of them replay', async () => {
  const archive = await filled();
  expect(archive.entries).toHaveLength(RECORDED.length);
  // The run before this one was recorded by nobody.
  expect(await findings(archive)).toEqual([
    {
      file: of(archive, 'reconcile-one-day').file,
      problem: 'hole',
      why: expect.stringContaining('which is not in the archive') as unknown,
    },
  ]);
});

it('a run that no worker has heard of yet holds up nobody', async () => {
  const [first, ...others] = (await recorded()).filter(({ name }) => RECORDED.includes(name));
  const cut = (events: number): Intact['history'] => ({ events: first!.history.events!.slice(0, events) });
  const histories = [cut(1), cut(2), cut(3), ...others.map(({ history }) => history), cut(1)];
  async function* intact(): AsyncGenerator<Intact> {
    const entry = { workflowId: 'cut', runId: 'run', file: 'file' } as Entry;
    for (const history of histories) yield { entry, history };
  }

  expect(await replay(intact())).toEqual([]);
});

it('says which file was altered, cut short, removed, or is of another run', async () => {
  const archive = await filled();
  const { file } = of(archive, 'tenant-drilled');
  const text = await readFile(join(folder, file), 'utf8');
  const first = async () => (await findings(archive)).find((found) => found.file === file);

  await writeFile(join(folder, file), text.replace('"ramp"', '"rump"').replace('preflight', 'preflighd'));
  expect(await first()).toMatchObject({
    problem: 'altered',
    why: expect.stringContaining('SHA-256') as unknown,
  });
  await writeFile(join(folder, file), text.slice(0, 500));
  expect(await first()).toMatchObject({ problem: 'altered' });
  await rm(join(folder, file));
  expect(await first()).toMatchObject({ problem: 'missing' });
});

it('is not deceived by a sum that fits: a run without an event, of another type, or that today would go otherwise', async () => {
  type Events = { events: { eventId: string }[] };
  const without = await forge(await filled(), 'tenant-drilled', (text) => {
    const { events } = JSON.parse(text) as Events;
    return JSON.stringify({ events: events.filter(({ eventId }) => eventId !== '7') });
  });
  expect(await findings(without)).toContainEqual(
    expect.objectContaining({
      problem: 'another-run',
      why: expect.stringMatching(/^it has \d+ events/) as unknown,
    }),
  );

  const shifted = await forge(await filled(), 'tenant-drilled', (text) => {
    const { events } = JSON.parse(text) as Events;
    return JSON.stringify({
      events: events.map((event, at) => (at === 6 ? { ...event, eventId: '8' } : event)),
    });
  });
  expect(await findings(shifted)).toContainEqual(
    expect.objectContaining({ problem: 'another-run', why: 'event 7 is missing' }),
  );

  const otherwise = await forge(await filled(), 'tenant-drilled', (text) =>
    text.replaceAll('"name": "certifyDrill"', '"name": "claim"'),
  );
  expect(await findings(otherwise)).toContainEqual(
    expect.objectContaining({
      file: of(otherwise, 'tenant-drilled').file,
      problem: 'does-not-replay',
      why: expect.stringContaining('certifyDrill') as unknown,
    }),
  );
});

it('loses nothing to an export that is cut off: a torn line spoils no other, and files without one are named', async () => {
  const archive = await filled();
  const entry = of(archive, 'fleet-two-waves');
  const text = (await archive.read(entry)).toString('utf8');
  const manifest = join(folder, 'manifest.jsonl');
  const whole = await readFile(manifest, 'utf8');
  const line = whole.split('\n').find((one) => one.includes('fleet-two-waves'))!;
  await writeFile(manifest, whole.replace(`${line}\n`, line.slice(0, 40)));

  const torn = await Archive.open(folder);
  expect([torn.torn, torn.entries.length, torn.find(entry.runId)]).toEqual([1, RECORDED.length - 1, null]);
  expect(await torn.unnamed()).toEqual([entry.file]);

  await torn.add(entry, text);
  const again = await Archive.open(folder);
  expect([again.entries.length, await again.unnamed()]).toEqual([RECORDED.length, []]);
});

it('keeps one file of an open run: the longer one takes the place of the shorter', async () => {
  const archive = await filled();
  const closed = of(archive, 'tenant-drilled');
  const text = (await archive.read(closed)).toString('utf8');
  const at = (events: number, status: string): Entry => ({
    ...closed,
    status,
    events,
    file: fileOf(closed.workflowId, closed.runId, status, events)!,
  });
  await archive.add(at(9, 'RUNNING'), text);
  await archive.add(at(14, 'RUNNING'), text);
  expect(await archive.unnamed()).toEqual([]);
  expect(archive.find(closed.runId)!.file).toMatch(/@14\.open\.json$/);
  await archive.add(closed, text);
  expect(await archive.unnamed()).toEqual([]);
  expect((await Archive.open(folder)).find(closed.runId)!.file).toBe(closed.file);
});

it('names no file outside its folder', () => {
  expect(fileOf('switchback/world/../../etc/passwd', 'r', 'COMPLETED', 1)).toBeNull();
  expect(fileOf('switchback/world/acme', '../../x', 'COMPLETED', 1)).toBeNull();
  expect(fileOf('somebody/else/acme', 'r', 'COMPLETED', 1)).toBeNull();
});
