/** What a worker serves to Prometheus while a tenant moves, against the table of its metrics. */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

import { afterAll, expect, it } from 'vitest';

import { kindOf, StageChanges } from '../src/db/control-numbers.ts';
import { Database } from '../src/db/database.ts';
import { serveMetrics, WORKER_METRICS, WorkerMetrics, type WorkerMetric } from '../src/metrics.ts';
import { until } from './app/support.ts';
import { switchback, switchbackRunning, useFolder, writePlan } from './cli/switchback.ts';
import { TEMPORAL_METRICS } from './support/metrics-doc.ts';
import { useWorld } from './support/world.ts';

const world = useWorld(['acme', 'globex'], { rows: 50, approval: false });
const folder = useFolder();
const ends: (() => unknown)[] = [];
afterAll(async () => {
  for (const end of ends) await end();
});

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

function samplesOf(text: string): Sample[] {
  return [...text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name, labels = '', value]) => ({
    name: name!,
    labels: Object.fromEntries(
      [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, word]) => [label, word]),
    ),
    value: Number(value),
  }));
}

const scrape = async (url: string): Promise<Sample[]> => samplesOf(await (await fetch(url)).text());

const valueOf = (samples: readonly Sample[], name: string, labels: Record<string, string> = {}): number =>
  samples
    .filter(
      (each) =>
        each.name === name && Object.entries(labels).every(([label, word]) => each.labels[label] === word),
    )
    .reduce((sum, { value }) => sum + value, 0);

it('serves every metric of the table and no other, from the first phase to a line that stopped', async () => {
  const { plan, start, followAsNode, until: untilPhase, sql } = world();
  followAsNode();
  const path = await writePlan(await folder(), plan);
  const { child, ended } = switchbackRunning(['worker', '--plan', path, '--metrics', '127.0.0.1:0'], {
    env: { SWITCHBACK_LOG: 'silent' },
  });
  ends.push(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  let said = '';
  const address = new Promise<string>((resolve) =>
    child.stderr.on('data', (text: string) => {
      said += text;
      const found = /Metrics at (http:\S+)/.exec(said);
      if (found !== null) resolve(found[1]!);
    }),
  );
  const url = await address;

  await start('acme');
  await untilPhase('acme', 'ramp', 'waiting');
  await sql('source', "INSERT INTO customers (tenant_id, email) VALUES ('acme', 'late@example.org')");
  await sql('target', "UPDATE customers SET name = 'changed' WHERE tenant_id = 'acme' ORDER BY id LIMIT 1");
  await untilPhase('acme', 'shadow', 'stopped');
  let samples = await scrape(url);
  await until(
    async () => {
      samples = await scrape(url);
      return valueOf(samples, 'switchback_fleet_tenants_in_mode', { mode: 'stopped' }) === 1;
    },
    'a look that is younger',
    20_000,
  );

  const ours = samples.filter(({ name }) => name.startsWith('switchback_'));
  const text = await (await fetch(url)).text();
  const types = new Map([...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, kind]) => [name!, kind!]));
  expect([...types.keys()].filter((name) => name.startsWith('switchback_')).sort()).toEqual(
    Object.keys(WORKER_METRICS).sort(),
  );
  for (const [name, { kind }] of Object.entries<WorkerMetric>(WORKER_METRICS))
    expect({ name, kind: types.get(name) }).toEqual({ name, kind });
  for (const { name, labels } of ours) {
    const metric: WorkerMetric = WORKER_METRICS[name as keyof typeof WORKER_METRICS];
    expect(Object.keys(labels).sort(), name).toEqual(Object.keys(metric.labels).sort());
    for (const [label, word] of Object.entries(labels))
      if (name === 'switchback_fleet_stopped_tenant')
        expect({ acme: true, shadow: true }).toHaveProperty(word);
      else expect(metric.labels[label]!.split(', '), `${name} ${label}`).toContain(word);
  }
  expect(valueOf(samples, 'switchback_fleet_tenants', { phase: 'shadow' })).toBe(1);
  expect(valueOf(samples, 'switchback_fleet_stopped_tenant', { tenant: 'acme' })).toBe(1);
  expect(valueOf(samples, 'switchback_fleet_drift_found_total', { class: 'different' })).toBe(1);
  expect(valueOf(samples, 'switchback_fleet_drift_open', { class: 'different' })).toBe(1);
  // By the drill, and by the ramp, which drift flipped back.
  expect(valueOf(samples, 'switchback_fleet_stage_changes_total', { to: 'read-target' })).toBe(2);
  expect(
    valueOf(samples, 'switchback_fleet_stage_changes_total', { from: 'read-target', to: 'shadow-read' }),
  ).toBe(2);
  expect(valueOf(samples, 'switchback_fleet_backfill_rows', { state: 'copied' })).toBeGreaterThanOrEqual(100);
  expect(valueOf(samples, 'switchback_fleet_nodes', { state: 'following' })).toBe(1);
  expect(valueOf(samples, 'switchback_worker_mirrored_rows_total')).toBeGreaterThan(0);
  expect(valueOf(samples, 'switchback_worker_serving')).toBe(1);
  expect(valueOf(samples, 'switchback_worker_control_readable')).toBe(1);
  const found = new Set(samples.map(({ name }) => name));
  for (const name of TEMPORAL_METRICS.filter((each) => !each.endsWith('_failed')))
    expect(found).toContain(name);
  expect((await fetch(new URL('/', url))).status).toBe(404);
});

it('says that the control schemas can’t be read, and nothing of the fleet then', async () => {
  const metrics = new WorkerMetrics(null);
  const nowhere = { side: 'source', url: 'mysql://nobody:x@127.0.0.1:9' } as const;
  const [source, target] = [new Database(nowhere), new Database({ ...nowhere, side: 'target' })];
  ends.push(() => Promise.all([source.close(), target.close()]));
  metrics.watch({ ...world().pair, source, target });
  const server = await serveMetrics('127.0.0.1:0', () => metrics.text());
  ends.push(() => server.close());

  const samples = await scrape(`http://${server.address}/metrics`);

  expect(samples.map(({ name }) => name).sort()).toEqual(
    Object.keys(WORKER_METRICS)
      .filter((name) => name.startsWith('switchback_worker_'))
      .sort(),
  );
  expect(valueOf(samples, 'switchback_worker_control_readable')).toBe(0);
});

it('counts a change of stage once, whenever it is read', async () => {
  const { pair } = world();
  const changes = new StageChanges(pair);
  const first = await changes.read();
  expect(await changes.read()).toEqual(first);
  await pair.source.run(
    `INSERT INTO ${pair.control}.audit (tenant, event, before_value, after_value, actor, reason) VALUES ('globex', 'stage', 'write-hold', 'dual-write', 'test', 'test')`,
  );

  expect(await changes.read()).toEqual([...first, { from: 'write-hold', to: 'dual-write', count: 1 }]);
});

it.each([
  ['source has 70 threads running, more than 64', 'source', 'threads'],
  [
    'target has 900 changes that purge has not removed, and they grow: is a transaction open for long?',
    'target',
    'history-list',
  ],
  ['target has filled 80 % of its redo log, more than 70 %', 'target', 'redo-log'],
  ['source has a replica that is 900 ms behind, more than 500 ms', 'source', 'replica-lag'],
  ['target takes 7.0 times as long as usual for messages copy', 'target', 'slow-statements'],
  ['source hides its redo log (denied); let its user run SHOW GLOBAL STATUS', 'source', 'unreadable'],
  ['pace of 100 rows a second', 'none', 'pace'],
  ['something new', 'none', 'other'],
])('%s: %s, %s', (slow, side, reason) => {
  expect(kindOf(slow)).toEqual({ side, reason });
});

it('an address that can’t be read or had is one line, and exit 2', async () => {
  const path = await writePlan(await folder(), world().plan);
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  ends.push(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  for (const [address, problem] of [
    ['nonsense', 'is no address; give HOST:PORT or PORT'],
    [`127.0.0.1:${port}`, "can't be listened on (EADDRINUSE); give another host or port"],
  ] as const) {
    const { code, stderr } = await switchback(['worker', '--plan', path, '--metrics', address]);
    expect(code, stderr).toBe(2);
    expect(stderr).toContain(`--metrics: "${address}" ${problem}`);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  }
});
