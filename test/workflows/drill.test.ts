/** The drill with a probe: an application that reads and writes while its reads are on the target. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { qualified, tenantLiteral } from '../../src/db/sql.ts';
import { record } from '../support/histories.ts';
import { useWorld } from '../support/world.ts';

const folder = mkdtempSync(join(tmpdir(), 'switchback-drill-'));
const moods = join(folder, 'mood');
const say = (mood: string): void => writeFileSync(moods, mood);
const PROBE = fileURLToPath(new URL('../support/drill-probe.ts', import.meta.url));

const world = useWorld(['ant', 'bee', 'cat', 'dog'], {
  rows: 10,
  approval: true,
  probe: ({ source, control }) => ({
    command: [process.execPath, '--import', 'tsx', PROBE, source.schema, control.schema, moods],
    urlEnv: null,
    timeout: 40_000,
  }),
});

beforeAll(() => {
  world().followAsNode();
  world().work();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function certificates(tenant: string): Promise<Record<string, string | number>[]> {
  const { pair } = world();
  const rows = await pair.source.rows(
    `SELECT content FROM ${qualified(pair.control, 'certificate')} WHERE tenant = ${tenantLiteral(tenant)}`,
  );
  return rows.map((row) => JSON.parse(row['content']!) as Record<string, string | number>);
}

it('asks the application twice, cuts its own connections in between, and certifies what it saw', async () => {
  say('well');
  await world().start('ant');
  await world().until('ant', 'ready');

  const [certificate, ...more] = await certificates('ant');
  expect(more).toEqual([]);
  expect(certificate).toMatchObject({
    tenant: 'ant',
    migration: world().plan.name,
    canaries: 2,
    // Ten rows, then those and the first canary: it was read back.
    reads: 10 + 11,
    nodes: 1,
    source: expect.stringMatching(/^mysql 9\./) as unknown,
  });
  expect(certificate!['cut']).toBeGreaterThan(0);
  const { digest, ...rest } = certificate!;
  expect(digest).toBe(createHash('sha256').update(JSON.stringify(rest)).digest('hex'));
  const canaries = await world().rows(
    'target',
    "SELECT id FROM customers WHERE tenant_id = 'ant' AND name = 'canary'",
  );
  expect(canaries).toHaveLength(2);
  await record('tenant-drilled', world().handle('ant'));
});

it('is repeated in ready by order: a second certificate, and approvals are asked for again', async () => {
  const { command, until, stage, record: read } = world();
  await until('ant', 'ready', 'waiting');
  const before = (await read('ant'))!.since;
  await command('ant', 'drill', { expectPhase: 'ready' });
  await expect.poll(async () => (await certificates('ant')).length, { timeout: 60_000 }).toBe(2);
  await until('ant', 'ready', 'waiting');

  expect(await stage('ant')).toBe('shadow-read');
  const { since, approved } = (await read('ant'))!;
  expect(approved).toBe(false);
  expect(since).toBeGreaterThan(before);
  const [first, second] = await certificates('ant');
  expect(second!['drill']).not.toBe(first!['drill']);
  await expect(command('ant', 'drill', { expectPhase: 'drill' })).rejects.toThrow();
});

it.each([
  ['bee', 'fail', /^drill: the probe ".*" ended with exit code 3$/],
  ['cat', 'ghost', /^drill: the canary in customers is not on the source, or belongs to another tenant$/],
  ['dog', 'chatter', /^drill: the probe's answer is no JSON object; it answers one JSON object such as /],
])(
  'stops %s for a probe that does not do %s, with its reads on the source, and goes on after a retry',
  async (tenant, mood, reason) => {
    say(mood);
    await world().start(tenant);
    const stopped = await world().until(tenant, 'drill', 'stopped');

    expect(stopped.reason).toMatch(reason);
    expect(await world().stage(tenant)).toBe('shadow-read');
    expect(await certificates(tenant)).toEqual([]);

    say('well');
    await world().command(tenant, 'retry');
    await world().until(tenant, 'ready');
    expect(await certificates(tenant)).toHaveLength(1);
  },
);
