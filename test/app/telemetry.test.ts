/** What OpenTelemetry's own SDK collects of routers on real servers, against the table of instruments. */
import { context, metrics, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
  type MetricData,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base';
import type { RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';

import type { Router } from '../../src/app/index.ts';
import { INSTRUMENTS, Telemetry, type Instrument } from '../../src/app/telemetry.ts';
import { stackInfo } from '../support/stack.ts';
import { add, bodies, plans, until, useApp } from './support.ts';

const { fixture, open } = useApp();
const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
const spans = new InMemorySpanExporter();
const TENANTS = ['ash', 'birch', 'cedar', 'dogwood', 'elm', 'fir'] as const;

beforeAll(async () => {
  await fixture().install(plans);
  await fixture().start('ash', 'dual-write');
  for (const tenant of TENANTS.slice(1)) await fixture().start(tenant, 'read-target');
});

it('without an SDK costs next to nothing', async () => {
  const side = { url: 'mysql://127.0.0.1:3307', schema: 'sms' };
  const telemetry = new Telemetry({ source: side, target: side });
  const operation = { tenant: 'ash', side: 'source', name: 'latest', purpose: 'request' } as const;
  const rounds = 20_000;
  const time = async (work: () => Promise<unknown>): Promise<number> => {
    const began = performance.now();
    for (let round = 0; round < rounds; round += 1) await work();
    return ((performance.now() - began) / rounds) * 1_000;
  };
  const work = () => Promise.resolve(1);
  await time(() => telemetry.operation(operation, work));
  const micros = (await time(() => telemetry.operation(operation, work))) - (await time(work));
  console.log(`an operation without an SDK: ${micros.toFixed(2)} µs more`);
  // A read takes some hundred; the bound is for a machine that does other things at the same time.
  expect(micros).toBeLessThan(5);
});

const register = (): void => {
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
};
afterAll(async () => {
  await reader.shutdown();
  for (const api of [metrics, trace, context]) api.disable();
});
beforeEach(({ task }) => {
  if (!task.name.startsWith('without') && trace.getTracer('test').startSpan('probe').isRecording() === false)
    register();
  spans.reset();
});

async function collect(): Promise<Map<string, MetricData>> {
  exporter.reset();
  await reader.forceFlush();
  const all = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics);
  expect(all.map(({ scope }) => scope.name)).toEqual(['switchback']);
  return new Map(all.flatMap(({ metrics: found }) => found).map((data) => [data.descriptor.name, data]));
}

type Labels = Readonly<Record<string, string>>;

const has = (attributes: object, labels: Labels): boolean =>
  Object.entries(labels).every(([label, value]) => (attributes as Labels)[label] === value);

/** The sum of a counter or a gauge, the count of a histogram, over what has these labels. */
async function value(name: string, labels: Labels = {}): Promise<number> {
  const data = (await collect()).get(name);
  const points = (data?.dataPoints ?? []).filter(({ attributes }) => has(attributes, labels));
  return points
    .map((point) => (typeof point.value === 'number' ? point.value : point.value.count))
    .reduce((a, b) => a + b, 0);
}

const fails = (router: Router, tenant: string): Promise<unknown> =>
  router.tenant(tenant).write(() => Promise.reject(new RangeError('of the application')));

const KINDS: Readonly<Record<DataPointType, Instrument['kind']>> = {
  [DataPointType.SUM]: 'counter', // or a level
  [DataPointType.GAUGE]: 'gauge',
  [DataPointType.HISTOGRAM]: 'histogram',
  [DataPointType.EXPONENTIAL_HISTOGRAM]: 'histogram',
};

it('everything in the table is reported, as it says, and nothing else; no label names a tenant', async () => {
  const router = await open({ redis: stackInfo().redisUrl, sampleRate: 1, mirrorBudgetMs: 5_000 });
  const buffer = router.buffer<string, string[]>('buffered', {
    ttl: 60_000,
    key: (tenant) => tenant,
    load: async (conn, tenant) => {
      const [rows] = await conn.query<RowDataPacket[]>('SELECT body FROM messages WHERE tenant_id = ?', [
        tenant,
      ]);
      return rows.map((row) => row['body'] as string);
    },
  });
  for (const tenant of TENANTS) {
    const { token } = await router
      .tenant(tenant)
      .write((conn) => conn.query('INSERT INTO messages (tenant_id, body) VALUES (?, ?)', [tenant, 'one']));
    await bodies(router, tenant, { after: token });
    await bodies(router, tenant, { after: router.tenant(tenant).token() });
    await fails(router, tenant).catch(() => {});
    await router
      .tenant(tenant)
      .read('locks', (conn) => conn.query('SELECT 1 FOR UPDATE'))
      .catch(() => {});
  }
  await until(async () => {
    await buffer.get('ash', 'ash');
    return router.stats().buffers['buffered']!.hit > 0;
  }, 'the buffer hits');
  await until(() => router.stats().shadow.samples > 0, 'a shadow read was compared', 30_000);

  const found = await collect();

  expect([...found.keys()].sort()).toEqual(Object.keys(INSTRUMENTS).sort());
  for (const [name, data] of found) {
    const { descriptor, dataPointType, dataPoints } = data;
    const { kind, unit, labels, means }: Instrument = INSTRUMENTS[name as keyof typeof INSTRUMENTS];
    const isLevel = data.dataPointType === DataPointType.SUM && !data.isMonotonic;
    expect({ name, kind: isLevel ? 'level' : KINDS[dataPointType] }).toEqual({ name, kind });
    expect(descriptor).toMatchObject({ unit, description: means });
    for (const { attributes } of dataPoints) {
      expect(Object.keys(labels)).toEqual(expect.arrayContaining(Object.keys(attributes)));
      for (const each of Object.values(attributes)) expect(TENANTS).not.toContain(each);
    }
  }
  for (const name of ['switchback.reads', 'switchback.writes', 'switchback.shadow.comparisons'])
    expect(await value(name), name).toBeGreaterThan(0);
  expect(await value('switchback.writes', { 'switchback.outcome': 'rolled-back' })).toBe(TENANTS.length);
  expect(
    await value('switchback.read.fallbacks', { 'switchback.fallback.reason': 'locking' }),
  ).toBeGreaterThan(0);
  expect(await value('switchback.buffer.requests', { 'switchback.outcome': 'hit' })).toBeGreaterThan(0);
  expect(await value('switchback.tenants', { 'switchback.stage': 'read-target' })).toBe(TENANTS.length - 1);
  const connections = (state: string) =>
    value('db.client.connection.count', { 'db.client.connection.state': state });
  expect(await connections('idle')).toBeGreaterThan(2);
  await router.tenant('ash').read('counts', async () => {
    expect(await connections('used')).toBe(1);
  });
  expect(await value('db.client.connection.pending_requests')).toBe(0);
  const failed = { 'db.operation.name': 'write', 'error.type': 'RangeError' };
  expect(await value('db.client.operation.duration', failed)).toBe(TENANTS.length);
});

it('a shadow read that differs is counted by its class', async () => {
  const differences = (way: string) =>
    value('switchback.shadow.differences', { 'switchback.difference.class': way });
  const [values, missing] = [await differences('value'), await differences('missing')];
  const router = await open({ sampleRate: 1 });
  await add(router, 'fir', 'as written');
  await fixture().sql('target', "UPDATE messages SET body = 'otherwise' WHERE tenant_id = 'fir'");
  await until(async () => {
    await bodies(router, 'fir');
    return (await differences('value')) > values;
  }, 'the difference is counted');
  expect(await differences('missing')).toBe(missing);
});

it('routers of one process add up, and what a closed one has counted stays', async () => {
  const before = await value('switchback.writes', { 'switchback.outcome': 'committed' });
  const [first, second] = [await open(), await open()];
  await add(first, 'ash', 'a');
  await add(second, 'ash', 'b');
  await first.close();
  await add(second, 'ash', 'c');

  expect(await value('switchback.writes', { 'switchback.outcome': 'committed' })).toBe(before + 3);
  const tenants = await value('switchback.tenants', { 'switchback.stage': 'read-target' });
  expect(tenants, 'a gauge is no sum').toBe(TENANTS.length - 1);
  await second.close();
  expect(await value('switchback.writes', { 'switchback.outcome': 'committed' })).toBe(before + 3);
});

const ended = (name: string): ReadableSpan[] => spans.getFinishedSpans().filter((span) => span.name === name);

it('a read that the target fails is two spans of the caller, and its function runs inside of them', async () => {
  const router = await open({ sampleRate: 0 });
  const inside: (string | undefined)[] = [];
  const tracer = trace.getTracer('test');
  await tracer.startActiveSpan('request', async (request) => {
    await router.tenant('birch').read('fallen', async (conn) => {
      inside.push(trace.getActiveSpan()?.spanContext().spanId);
      if (inside.length === 1) await conn.query('SELECT no_such_column FROM messages');
    });
    request.end();
  });

  const [request] = ended('request');
  const [target, source] = ended('fallen');
  expect(inside).toEqual([target, source].map((span) => span!.spanContext().spanId));
  for (const span of [target!, source!]) {
    expect(span.kind).toBe(SpanKind.CLIENT);
    expect(span.parentSpanContext?.spanId).toBe(request!.spanContext().spanId);
    expect(span.attributes).toMatchObject({
      'db.system.name': 'mysql',
      'db.operation.name': 'read',
      'db.query.summary': 'fallen',
      'db.namespace': fixture().pair.sourceSchema,
      'switchback.tenant': 'birch',
    });
  }
  expect(target!.attributes).toMatchObject({
    'switchback.side': 'target',
    'server.port': stackInfo().targetPort,
    'error.type': 'ER_BAD_FIELD_ERROR',
    'db.response.status_code': '1054',
  });
  expect(target!.status).toEqual({ code: SpanStatusCode.ERROR });
  expect(source!.attributes).toMatchObject({
    'switchback.side': 'source',
    'switchback.fallback.reason': 'error',
  });
  expect(source!.status.code).toBe(SpanStatusCode.UNSET);
});

it('no span and no metric holds what a server quotes in its error', async () => {
  const router = await open();
  const secret = 'secret-4711';
  await fixture().sql('source', `INSERT INTO countries VALUES ('zz', 'before')`);
  const write = router
    .tenant('cedar')
    .write((conn) => conn.query('INSERT INTO countries VALUES (?, ?)', ['zz', secret]));

  await expect(write).rejects.toMatchObject({ errno: 1062 });

  const [span] = spans
    .getFinishedSpans()
    .filter(({ attributes }) => attributes['db.operation.name'] === 'write');
  expect(span!.attributes).toMatchObject({ 'error.type': 'ER_DUP_ENTRY', 'db.response.status_code': '1062' });
  const all = JSON.stringify([span!.attributes, span!.status, span!.events, [...(await collect()).values()]]);
  expect(all).not.toContain(secret);
  expect(all).not.toContain('zz');
});

it('names of reads are few labels, however many an application makes up', async () => {
  const router = await open();
  for (let round = 0; round < 150; round += 1)
    await router.tenant('ash').read(`report-${round}`, (conn) => conn.query('SELECT 1'));

  const { dataPoints } = (await collect()).get('db.client.operation.duration')!;
  const summaries = new Set(dataPoints.map(({ attributes }) => attributes['db.query.summary']));
  expect(summaries.size).toBeLessThanOrEqual(102); // 100 names, _OTHER, and none of writes
  expect(summaries).toContain('_OTHER');
  expect(
    await value('db.client.operation.duration', { 'db.query.summary': '_OTHER' }),
  ).toBeGreaterThanOrEqual(50);
});
