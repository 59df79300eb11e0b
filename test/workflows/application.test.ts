/** A tenant of an application that writes both sides itself, in a process of its own: from start to rollback. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterAll, expect, it } from 'vitest';

import { modeOf } from '../../src/db/capture-mode.ts';
import { readDrift } from '../../src/db/ledger.ts';
import { loadTracked } from '../../src/db/tracked.ts';
import { decodeKey } from '../../src/domain/key.ts';
import { urlWithSchema, stackInfo } from '../support/stack.ts';
import { useWorld } from '../support/world.ts';

const RUN_MS = 30_000;
const SETTLE = 2_000;
const WRITER = fileURLToPath(new URL('../../examples/dual-writer/writer.mjs', import.meta.url));

const world = useWorld(['ant'], {
  capture: 'application',
  rows: 2_000,
  durations: { settle: SETTLE, missingAgain: 1 },
});

interface Summary {
  readonly writes: number;
  readonly targetErrors: number;
  readonly lost: readonly number[];
  readonly sourceP50: number;
  readonly sourceP99: number;
  readonly sourceMax: number;
}

const writers: ChildProcess[] = [];
afterAll(() => {
  for (const writer of writers) writer.kill('SIGKILL');
});

function startWriter(): { say: (line: string) => void; end: () => Promise<Summary> } {
  const { schema } = world().plan.source;
  const { sourceUrl, targetUrl } = stackInfo();
  const child = spawn(process.execPath, [WRITER], {
    env: {
      ...process.env,
      SOURCE_URL: urlWithSchema(sourceUrl, schema),
      TARGET_URL: urlWithSchema(targetUrl, schema),
      TENANT: 'ant',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  writers.push(child);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return {
    say: (line) => child.stdin.write(`${line}\n`),
    async end() {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
      return JSON.parse(output) as Summary;
    },
  };
}

const drifts = async () => {
  const found = await readDrift(world().pair, 'ant', false, 10_000);
  return found.map((row) => ({ ...row, row: Number(decodeKey(row.key)[0]) }));
};

const side = (which: 'source' | 'target') =>
  world().rows(which, "SELECT * FROM customers WHERE tenant_id = 'ant' ORDER BY id");

it('is copied, repaired, flipped and rolled back under load, and stops for a row that really differs', async () => {
  const { work, start, followAsNode, until, command, stage, sql, pair } = world();
  followAsNode();
  const writer = startWriter();
  writer.say('fail 0.05');
  await sleep(1_000);
  work();
  await start('ant');
  await until('ant', 'reconcile', undefined, 60_000);

  // Rows that the application lost are found, and nothing else is, for as long as it runs.
  const began = Date.now();
  while (Date.now() - began < RUN_MS) await sleep(200);
  const found = await drifts();
  expect(found.length).toBeGreaterThan(0);
  expect(new Set(found.map((one) => one.class))).toEqual(new Set(['missing']));
  expect((await world().record('ant'))?.mode).not.toBe('stopped');

  writer.say('fail 0');
  await until('ant', 'ramp', undefined, 120_000);
  expect(await stage('ant')).toBe('read-target');
  await command('ant', 'rollback');
  await until('ant', 'shadow', 'paused');
  expect(await stage('ant')).toBe('shadow-read');
  await command('ant', 'resume');
  await until('ant', 'ramp', undefined, 120_000);

  const [first] = await side('source');
  await sql('target', `UPDATE customers SET name = 'altered by somebody' WHERE id = ${first!['id']}`);
  await until('ant', 'shadow', 'stopped', 60_000);
  expect(await stage('ant'), 'reads went back by themselves').toBe('shadow-read');

  const summary = await writer.end();
  const proven = (await drifts()).filter((one) => one.repairedAt === null);
  expect(proven).toMatchObject([{ class: 'different', row: Number(first!['id']), columns: 'name' }]);
  const falseAlarms = (await drifts()).filter(
    (one) => one.class === 'missing' && !summary.lost.includes(one.row),
  );
  expect(falseAlarms).toEqual([]);

  const tracked = await loadTracked(pair);
  const { tableId } = proven[0]!;
  const repair = { tenants: ['ant'], tableId, keys: proven.map(({ key }) => key) };
  await modeOf(tracked).repair(pair, tracked, repair);
  expect(await side('target')).toEqual(await side('source'));
  expect(summary.targetErrors).toBe(0);
}, 400_000);
