/**
 * What the library tells OpenTelemetry. The table is all of it: named by the semantic conventions of database clients
 * where these have a word for the thing, and below `switchback.` where they have none.
 *
 * Counters and gauges are read off `stats()` when somebody collects, and cost a request nothing; histograms and spans
 * are recorded as things happen. A tenant is an attribute of spans and never a label: there may be thousands.
 *
 * Only the API is used, and an SDK has to stand before the router is created: without one nothing here is done at all.
 */
import {
  context,
  createNoopMeter,
  metrics,
  ProxyTracerProvider,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Histogram,
  type Meter,
  type MeterProvider,
} from '@opentelemetry/api';

import type { FallbackReason, Stats } from './stats.ts';
import { errnoOf, stripError, type DriverError } from '../db/faults.ts';
import { SECOND, type Milliseconds } from '../domain/duration.ts';
import { DIFFERENCES } from '../domain/shadow.ts';
import type { Side, Stage } from '../domain/stage.ts';
import { isPerTenant } from '../domain/tenant-schema.ts';
import type { Connections } from '../db/server-pool.ts';
import { Sums, type Kind, type Point } from './sums.ts';

/** What counters and gauges are read off. */
export interface Seen {
  readonly stats: Stats;
  readonly isCutOff: boolean;
  readonly isTargetFailing: boolean;
  /** Tenants that this node knows, by what it obeys for them. */
  readonly stages: Readonly<Partial<Record<Stage, number>>>;
  readonly dirty: number;
  /** Of the pools that answer requests, and of none that was brought. */
  readonly connections: Readonly<Record<string, Connections & { readonly pending: number }>>;
}

export interface Instrument {
  readonly kind: Kind;
  readonly unit: string;
  /** And what each may say. */
  readonly labels: Readonly<Record<string, string>>;
  readonly means: string;
  /** Histograms have none. */
  readonly points?: (seen: Seen) => readonly Point[];
}

const SCOPE = 'switchback';
const SIDE = 'switchback.side';
const OUTCOME = 'switchback.outcome';
const REASON = 'switchback.fallback.reason';
const PURPOSE = 'switchback.purpose';
const STAGE = 'switchback.stage';
const BUFFER = 'switchback.buffer.name';
const POOL = 'db.client.connection.pool.name';
const STATE = 'db.client.connection.state';
const CLASS = 'switchback.difference.class';
/** Of a span, never of a metric. */
const TENANT = 'switchback.tenant';
const SIDES = 'source, target';
const POOLS = 'source reads, source writes, target reads';
/** Names of reads kept apart by one process; what comes later is `_OTHER`. */
const NAMES_MAX = 100;
const OTHER = '_OTHER';

const each = (counts: Readonly<Record<string, number>>, label: string): Point[] =>
  Object.entries(counts).map(([word, count]) => [count, { [label]: word }]);
const one = (count: number): Point[] => [[count, {}]];

const ofBuffers = ({ stats }: Seen): Point[] =>
  Object.entries(stats.buffers).flatMap(([name, { hit, miss, bypassed, stale }]) =>
    each({ hit, miss, bypassed, stale }, OUTCOME).map(([count, labels]): Point => [
      count,
      { [BUFFER]: name, ...labels },
    ]),
  );
const bufferErrors = ({ stats }: Seen): Point[] =>
  Object.entries(stats.buffers).map(([name, { error }]) => [error, { [BUFFER]: name }]);

const ofPools = ({ connections }: Seen): Point[] =>
  Object.entries(connections).flatMap(([pool, { idle, used }]) =>
    each({ idle, used }, STATE).map(([count, labels]): Point => [count, { [POOL]: pool, ...labels }]),
  );
const pending = ({ connections }: Seen): Point[] =>
  Object.entries(connections).map(([pool, found]) => [found.pending, { [POOL]: pool }]);

const comparisons = ({ stats: { shadow } }: Seen): Point[] => {
  const { samples, differing, reordered, undecided } = shadow;
  return each({ equal: samples - differing - reordered, reordered, differing, undecided }, OUTCOME);
};

/** Labels of the one instrument that the conventions require. */
const OPERATION = {
  'db.system.name': 'mysql',
  'db.namespace': 'the schema; missing where every tenant has its own',
  'db.operation.name': 'read, write',
  'db.query.summary': `name of the read; the first ${NAMES_MAX} of a process, then \`${OTHER}\``,
  'server.address': 'host of the side',
  'server.port': 'unless 3306',
  [SIDE]: SIDES,
  [PURPOSE]: 'request, shadow',
  'error.type': "the driver's code, or the error's name; only of what failed",
  'db.response.status_code': "the server's errno; only of what a server refused",
};

// prettier-ignore
export const INSTRUMENTS = {
  'db.client.operation.duration':   { kind: 'histogram', unit: 's',        labels: OPERATION, means: 'One function given to `read`, or one transaction of `write`, on one side; waiting for a connection is part of it' },
  'db.client.connection.count':     { kind: 'level',     unit: '{connection}', labels: { [POOL]: POOLS, [STATE]: 'idle, used' }, means: 'Connections of the router that answer requests; pools that were brought are the application’s to report', points: ofPools },
  'db.client.connection.pending_requests': { kind: 'level', unit: '{request}', labels: { [POOL]: POOLS }, means: 'Requests that wait for one of them', points: pending },
  'switchback.mirror.wait':         { kind: 'histogram', unit: 's',        labels: { [OUTCOME]: 'in-time, late' }, means: 'What a write waited for its mirror after its commit, from `read-target` on' },
  'switchback.catch_up.wait':       { kind: 'histogram', unit: 's',        labels: { [OUTCOME]: 'in-time, late' }, means: 'What a read waited until the target held what its process or its token had seen' },
  'switchback.reads':               { kind: 'counter',   unit: '{read}',   labels: { [SIDE]: SIDES }, means: 'Reads answered, by the side that answered', points: ({ stats }) => each(stats.reads, SIDE) },
  'switchback.read.fallbacks':      { kind: 'counter',   unit: '{read}',   labels: { [REASON]: 'dirty, lagging, lease, locking, error, deadline, breaker, busy' }, means: 'Reads that the stage sends to the target and the source was asked instead', points: ({ stats }) => each(stats.fallbacks, REASON) },
  'switchback.read.rescues':        { kind: 'counter',   unit: '{read}',   labels: {}, means: 'Reads that the target answered since the lease had run out and the source failed', points: ({ stats }) => one(stats.rescuedByTarget) },
  'switchback.writes':              { kind: 'counter',   unit: '{write}',  labels: { [OUTCOME]: 'committed, rolled-back, unknown, held' }, means: 'Transactions of `write`, by their end; `unknown`: the answer to COMMIT was lost', points: ({ stats }) => each({ committed: stats.writes, ...stats.failedWrites }, OUTCOME) },
  'switchback.requests.refused':     { kind: 'counter',   unit: '{request}', labels: {}, means: 'Requests that failed at once, as too many waited for a connection already', points: ({ stats }) => one(stats.refused) },
  'switchback.aurora.write.fail':   { kind: 'counter',   unit: '{write}',  labels: {}, means: 'Committed writes whose mirror by this node failed; the journal keeps them for the workers', points: ({ stats }) => one(stats['aurora.write.fail']) },
  'switchback.mirror.over_budget':  { kind: 'counter',   unit: '{write}',  labels: {}, means: 'Writes that were told to their caller before they were on the target; the tenant is read from the source until they are', points: ({ stats }) => one(stats.mirror.overBudget) },
  'switchback.shadow.comparisons':  { kind: 'counter',   unit: '{read}',   labels: { [OUTCOME]: 'equal, reordered, differing, undecided' }, means: 'Shadow reads, by what the comparison came to', points: comparisons },
  'switchback.shadow.differences':   { kind: 'counter',   unit: '{read}',   labels: { [CLASS]: Object.keys(DIFFERENCES).join(', ') }, means: 'Shadow reads by how they differed; one may differ in several ways, and a slower one need not differ at all', points: ({ stats }) => each(stats.shadow.classes, CLASS) },
  'switchback.shadow.dropped':      { kind: 'counter',   unit: '{read}',   labels: {}, means: 'Shadow reads given up for want of room: queue full, breaker open, answer too large', points: ({ stats }) => one(stats.shadow.dropped) },
  'switchback.buffer.requests':     { kind: 'counter',   unit: '{read}',   labels: { [BUFFER]: 'as the application named it', [OUTCOME]: 'hit, miss, bypassed, stale' }, means: 'Buffered reads, by where their answer came from; `stale` is a failed load that was answered all the same', points: ofBuffers },
  'switchback.buffer.errors':       { kind: 'counter',   unit: '{command}', labels: { [BUFFER]: 'as the application named it' }, means: 'Commands of the read buffer that Redis failed', points: bufferErrors },
  'switchback.flags.polls':         { kind: 'counter',   unit: '{poll}',   labels: { [OUTCOME]: 'ok, failed' }, means: 'Looks at the stage table', points: ({ stats: { flags } }) => each({ ok: flags.polls - flags.pollFailures, failed: flags.pollFailures }, OUTCOME) },
  'switchback.flags.hints':         { kind: 'counter',   unit: '{message}', labels: {}, means: 'Flips heard over Redis before the poll brought them', points: ({ stats }) => one(stats.flags.hints) },
  'switchback.flags.hints_dropped':  { kind: 'counter',   unit: '{message}', labels: {}, means: 'Flips heard over Redis that there was no room for; the poll brings what they said', points: ({ stats }) => one(stats.flags.hintsDropped) },
  'switchback.flags.age':           { kind: 'gauge',     unit: 's',        labels: {}, means: 'Since the stages were last read from their table', points: ({ stats }) => one(stats.flags.ageMs / SECOND) },
  'switchback.flags.cut_off':       { kind: 'gauge',     unit: '{node}',   labels: {}, means: '1: out of reach of the control schema for longer than a lease, so reads go to the source', points: ({ isCutOff }) => one(Number(isCutOff)) },
  'switchback.target.failing':      { kind: 'gauge',     unit: '{node}',   labels: {}, means: '1: a breaker keeps reads or mirror of this node from the target', points: ({ isTargetFailing }) => one(Number(isTargetFailing)) },
  'switchback.tenants':             { kind: 'gauge',     unit: '{tenant}', labels: { [STAGE]: 'source-only, dual-write, shadow-read, read-target, write-hold' }, means: 'Tenants by the stage that this node obeys; those that it never heard of are missing', points: ({ stages }) => each(stages, STAGE) },
  'switchback.tenants.forgotten':    { kind: 'counter',   unit: '{tenant}', labels: {}, means: 'Tenants of which was forgotten what this process has read of them; their next read of the target waits first', points: ({ stats }) => one(stats.forgotten) },
  'switchback.tenants.dirty':       { kind: 'gauge',     unit: '{tenant}', labels: {}, means: 'Tenants read from the source whatever their stage: mirror behind, or capture lost', points: ({ dirty }) => one(dirty) },
} as const satisfies Readonly<Record<string, Instrument>>;

type Name = keyof typeof INSTRUMENTS;

/** Seconds; of operations the conventions' own. */
const BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];
const NAMES = Object.keys(INSTRUMENTS) as Name[];
const tracer = trace.getTracer(SCOPE);

/** Of all routers of this process: they report as one, or several would overwrite each other. */
const sums = new Sums<Seen>(INSTRUMENTS);
let provider: MeterProvider | null = null;
let histograms: Readonly<Partial<Record<Name, Histogram>>> = {};
const names = new Set<string>();

function attach(): void {
  const standing = metrics.getMeterProvider();
  if (standing === provider) return;
  provider = standing;
  const meter = standing.getMeter(SCOPE);
  const of = (kind: Instrument['kind']) => NAMES.filter((name) => INSTRUMENTS[name].kind === kind);
  histograms = Object.fromEntries(of('histogram').map((name) => [name, histogramOf(meter, name)]));
  const observed = new Map([
    ...of('counter').map((name) => [name, meter.createObservableCounter(name, about(name))] as const),
    ...of('level').map((name) => [name, meter.createObservableUpDownCounter(name, about(name))] as const),
    ...of('gauge').map((name) => [name, meter.createObservableGauge(name, about(name))] as const),
  ]);
  meter.addBatchObservableCallback(
    (result) => {
      for (const [name, value, labels] of sums.points())
        result.observe(observed.get(name as Name)!, value, labels);
    },
    [...observed.values()],
  );
}

/** Is there anybody to tell? */
function isHeard(): boolean {
  const tracers = trace.getTracerProvider();
  const silent = new ProxyTracerProvider().getDelegate();
  const isTraced = !(tracers instanceof ProxyTracerProvider) || tracers.getDelegate() !== silent;
  return isTraced || metrics.getMeter(SCOPE) !== createNoopMeter();
}

const about = (name: Name) => ({ unit: INSTRUMENTS[name].unit, description: INSTRUMENTS[name].means });
const histogramOf = (meter: Meter, name: Name): Histogram =>
  meter.createHistogram(name, { ...about(name), advice: { explicitBucketBoundaries: BUCKETS } });

/** One function of the application on its way to one side. */
export interface Operation {
  readonly tenant: string;
  readonly side: Side;
  /** Of a read; null: a write. */
  readonly name: string | null;
  readonly purpose: 'request' | 'shadow';
  /** Why the source is asked although the stage says target. */
  readonly reason?: FallbackReason | undefined;
}

export interface SideAddress {
  readonly url: string;
  readonly schema: string;
}

export class Telemetry {
  readonly #sides: Readonly<Record<Side, Attributes>>;
  readonly #isHeard = isHeard();

  constructor(sides: Readonly<Record<Side, SideAddress>>) {
    this.#sides = {
      source: attributesOf('source', sides.source),
      target: attributesOf('target', sides.target),
    };
    attach();
  }

  /** @returns ends it; what was counted stays counted */
  report(seen: () => Seen): () => void {
    return sums.add(seen);
  }

  /** A span of the conventions around the work, which runs inside it, and its duration. */
  operation<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    return this.#isHeard ? this.#tell(operation, work) : work();
  }

  async #tell<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    const { tenant, side, name, purpose, reason } = operation;
    const summary = name === null ? null : bounded(name);
    const labels: Attributes = {
      ...this.#sides[side],
      'db.operation.name': summary === null ? 'write' : 'read',
      ...(summary === null ? {} : { 'db.query.summary': summary }),
      [PURPOSE]: purpose,
    };
    const span = tracer.startSpan(summary ?? `write ${side}`, {
      kind: SpanKind.CLIENT,
      attributes: { ...labels, [TENANT]: tenant, ...(reason === undefined ? {} : { [REASON]: reason }) },
    });
    const began = performance.now();
    let failure: Attributes = {};
    try {
      return await context.with(trace.setSpan(context.active(), span), work);
    } catch (error) {
      failure = failureOf(error);
      // Never the message: a server quotes values in it.
      span.setAttributes(failure).setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      histograms['db.client.operation.duration']?.record(since(began), { ...labels, ...failure });
      span.end();
    }
  }

  /** Somebody waits for the target to hold something; false: it was not in time. */
  async wait(
    what: 'switchback.mirror.wait' | 'switchback.catch_up.wait',
    tenant: string,
    work: () => Promise<boolean>,
  ): Promise<boolean> {
    if (!this.#isHeard) return work();
    const span = tracer.startSpan(what, { attributes: { [TENANT]: tenant } });
    const began = performance.now();
    let outcome = 'late';
    try {
      const isInTime = await work();
      if (isInTime) outcome = 'in-time';
      return isInTime;
    } finally {
      histograms[what]?.record(since(began), { [OUTCOME]: outcome });
      span.setAttribute(OUTCOME, outcome).end();
    }
  }
}

const since = (began: Milliseconds): number => (performance.now() - began) / SECOND;

function bounded(name: string): string {
  if (names.has(name)) return name;
  if (names.size >= NAMES_MAX) return OTHER;
  names.add(name);
  return name;
}

function attributesOf(side: Side, { url, schema }: SideAddress): Attributes {
  const { hostname, port } = new URL(url);
  return {
    'db.system.name': 'mysql',
    ...(isPerTenant(schema) ? {} : { 'db.namespace': schema }),
    'server.address': hostname,
    ...(port === '' || port === '3306' ? {} : { 'server.port': Number(port) }),
    [SIDE]: side,
  };
}

function failureOf(error: unknown): Attributes {
  const errno = errnoOf(driverError(error));
  return {
    'error.type': errorType(error),
    ...(errno === null ? {} : { 'db.response.status_code': String(errno) }),
  };
}

/** What may be said of an error anywhere: a code or a name, both few. Its message may quote values. */
export function errorType(error: unknown): string {
  const { code, name, constructor } = driverError(error);
  return code ?? (name === 'Error' ? constructor.name : name) ?? OTHER;
}

/** Of an error of a server or of this library, what may be logged: nothing that a server quotes. */
export const safeMessage = (side: Side, error: unknown): string =>
  stripError(side, driverError(error)).message;

/** Of a failed target read, what failed it. */
function driverError(error: unknown): DriverError & Partial<Error> {
  const { name, cause } = (error ?? {}) as Partial<Error>;
  return ((name === 'SideFault' ? cause : error) ?? {}) as DriverError & Partial<Error>;
}
