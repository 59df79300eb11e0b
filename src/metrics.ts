/**
 * What a worker says to Prometheus: the table below, and behind it Temporal's own metrics as its SDK serves them. What is
 * read from the control schemas (`switchback_fleet_…`) is the same from every worker: take the highest, never the sum.
 */
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';

import { Counter, Gauge, Registry } from 'prom-client';

import {
  JOURNAL_COUNTED,
  readControlNumbers,
  StageChanges,
  STOPPED_NAMED,
  WAITS,
  type ControlNumbers,
} from './db/control-numbers.ts';
import type { Pair } from './db/tracked.ts';
import { SECOND } from './domain/duration.ts';
import { ConfigError } from './domain/errors.ts';
import { PHASES } from './domain/phase.ts';
import { STAGES } from './domain/stage.ts';

type Labels = Readonly<Record<string, string>>;
type Point = readonly [value: number, labels: Labels];
type Changes = Awaited<ReturnType<StageChanges['read']>>;

/** Of the control schemas, at one moment. */
export interface Fleet extends ControlNumbers {
  readonly changes: Changes;
}

/** Of this process. */
export interface Here {
  mirroredRows: number;
  mirrorFailures: number;
  isServing: boolean;
  isControlReadable: boolean;
}

export interface WorkerMetric {
  readonly kind: 'counter' | 'gauge';
  readonly unit: string;
  /** And what each may say. */
  readonly labels: Labels;
  readonly means: string;
  /** Missing while the control schemas can't be read. */
  readonly ofFleet?: (fleet: Fleet) => readonly Point[];
  readonly ofHere?: (here: Here) => readonly Point[];
}

const one = (value: number): Point[] => [[value, {}]];
const each = (counts: Readonly<Record<string, number>>, label: string): Point[] =>
  Object.entries(counts).map(([word, count]) => [count, { [label]: word }]);
const ofClasses = ({ drift }: Fleet, which: 'found' | 'open' | 'repaired'): Point[] =>
  Object.entries(drift).map(([name, numbers]) => [numbers[which], { class: name }]);

const waiting = (fleet: Fleet): Point[] => {
  const counts = new Map<string, Point>();
  for (const { activity, side, reason } of fleet.waiting) {
    const key = `${activity} ${side} ${reason}`;
    counts.set(key, [(counts.get(key)?.[0] ?? 0) + 1, { activity, side, reason }]);
  }
  return [...counts.values()];
};

/** All that can be, or the first of a kind would not count as an increase. */
const changesOf = ({ changes }: Fleet): Point[] =>
  Object.keys(STAGES).flatMap((from) =>
    Object.keys(STAGES)
      .filter((to) => to !== from)
      .map((to): Point => {
        const found = changes.find((change) => change.from === from && change.to === to);
        return [found?.count ?? 0, { from, to }];
      }),
  );

const words = (...kinds: readonly string[]): string => kinds.join(', ');
const CLASS = { class: 'missing, extra, different' };
const ACTIVITY = { activity: 'backfill, reconcile' };
const STAGE_WORDS = words(...Object.keys(STAGES));

// prettier-ignore
export const WORKER_METRICS = {
  switchback_fleet_tenants:               { kind: 'gauge',   unit: 'tenants', labels: { phase: words(...Object.keys(PHASES)) }, means: 'Tenants by phase', ofFleet: ({ phases }) => each(phases, 'phase') },
  switchback_fleet_tenants_in_mode:       { kind: 'gauge',   unit: 'tenants', labels: { mode: 'running, paused, stopped, waiting' }, means: 'Tenants by mode; `stopped`: the line is stopped and a person is needed', ofFleet: ({ modes }) => each(modes, 'mode') },
  switchback_fleet_stopped_tenant:        { kind: 'gauge',   unit: '1',       labels: { tenant: `the ${STOPPED_NAMED} that stand longest, no more`, phase: 'its phase' }, means: 'Always 1: a tenant that is stopped, by name', ofFleet: ({ stopped }) => stopped.map((labels): Point => [1, { ...labels }]) },
  switchback_fleet_stopped:               { kind: 'gauge',   unit: '1',       labels: {}, means: '1: the fleet stopped itself, and starts no further tenant', ofFleet: ({ isFleetStopped }) => one(Number(isFleetStopped)) },
  switchback_fleet_journal_rows:          { kind: 'gauge',   unit: 'rows',    labels: {}, means: `Keys in the journal, not yet on the target; counted up to ${JOURNAL_COUNTED}`, ofFleet: ({ journalRows }) => one(journalRows) },
  switchback_fleet_journal_age_seconds:   { kind: 'gauge',   unit: 'seconds', labels: { reads: 'source, target' }, means: 'How far the mirror is behind: age of the oldest journal row, over tenants that are read from that side', ofFleet: ({ journalAge }) => each(journalAge, 'reads') },
  switchback_fleet_backfill_rows:         { kind: 'gauge',   unit: 'rows',    labels: { state: 'copied, estimated' }, means: 'Rows that the backfill has copied, and rows there are by estimate, over all tenants; a tenant that begins again counts anew', ofFleet: ({ backfill }) => each(backfill, 'state') },
  switchback_fleet_rows_per_second:       { kind: 'gauge',   unit: 'rows/s',  labels: ACTIVITY, means: 'Pace of the last ten seconds, over all tenants', ofFleet: ({ rowsPerSecond }) => each(rowsPerSecond, 'activity') },
  switchback_fleet_waiting_tenants:       { kind: 'gauge',   unit: 'tenants', labels: { ...ACTIVITY, side: 'source, target, none', reason: words(...Object.keys(WAITS)) }, means: 'Tenants whose work the throttle holds, by why; `status` has the words', ofFleet: waiting },
  switchback_fleet_drift_found_total:     { kind: 'counter', unit: 'rows',    labels: CLASS, means: 'Rows that a verdict proved to differ', ofFleet: (fleet) => ofClasses(fleet, 'found') },
  switchback_fleet_drift_repaired_total:  { kind: 'counter', unit: 'rows',    labels: CLASS, means: 'Of those kept one by one: repaired, or copied anew', ofFleet: (fleet) => ofClasses(fleet, 'repaired') },
  switchback_fleet_drift_open:            { kind: 'gauge',   unit: 'rows',    labels: CLASS, means: 'Of those kept one by one: not repaired', ofFleet: (fleet) => ofClasses(fleet, 'open') },
  switchback_fleet_stage_changes_total:   { kind: 'counter', unit: 'changes', labels: { from: STAGE_WORDS, to: STAGE_WORDS }, means: 'Changes of a stage in the audit; to `read-target`: flips, from it: flips back', ofFleet: changesOf },
  switchback_fleet_nodes:                 { kind: 'gauge',   unit: 'nodes',   labels: { state: 'following, behind' }, means: 'Application nodes with a live lease; `behind`: they have not acknowledged the last change', ofFleet: ({ nodes }) => each({ ...nodes }, 'state') },
  switchback_worker_mirrored_rows_total:  { kind: 'counter', unit: 'rows',    labels: {}, means: 'Journal rows that this worker applied to the target; application nodes apply their own', ofHere: ({ mirroredRows }) => one(mirroredRows) },
  switchback_worker_mirror_failures_total: { kind: 'counter', unit: 'tries',  labels: {}, means: 'Tries of this worker to mirror a tenant that failed, and are made again', ofHere: ({ mirrorFailures }) => one(mirrorFailures) },
  switchback_worker_serving:              { kind: 'gauge',   unit: '1',       labels: {}, means: '1: it polls Temporal for work; 0: only its mirror goes on', ofHere: ({ isServing }) => one(Number(isServing)) },
  switchback_worker_control_readable:     { kind: 'gauge',   unit: '1',       labels: {}, means: '0: the control schemas could not be read, and everything of `switchback_fleet_` is missing', ofHere: ({ isControlReadable }) => one(Number(isControlReadable)) },
} as const satisfies Readonly<Record<string, WorkerMetric>>;

const FRESH = 5 * SECOND;
const READ_WITHIN = 8 * SECOND;

export class WorkerMetrics {
  readonly here: Here = { mirroredRows: 0, mirrorFailures: 0, isServing: false, isControlReadable: false };
  readonly #registry = new Registry();
  /** Where Temporal's SDK serves its own; null: nowhere. */
  readonly #sdk: string | null;
  #look: (() => Promise<Fleet>) | null = null;
  #fleet: { readonly at: number; readonly numbers: Promise<Fleet | null> } | null = null;

  constructor(sdk: string | null) {
    this.#sdk = sdk;
    for (const [name, metric] of Object.entries<WorkerMetric>(WORKER_METRICS)) {
      const common = {
        name,
        help: metric.means,
        labelNames: Object.keys(metric.labels),
        registers: [this.#registry],
      };
      const points = (): Promise<readonly Point[]> => this.#points(metric);
      if (metric.kind === 'gauge')
        new Gauge({
          ...common,
          async collect() {
            const found = await points();
            this.reset();
            // Without labels it would stand as 0.
            if (found.length === 0 && common.labelNames.length === 0) this.remove();
            for (const [value, labels] of found) this.set(labels, value);
          },
        });
      else
        new Counter({
          ...common,
          async collect() {
            const found = await points();
            this.reset();
            for (const [value, labels] of found) this.inc(labels, value);
          },
        });
    }
  }

  /** From now on the numbers of this migration. */
  watch(pair: Pair): void {
    const changes = new StageChanges(pair);
    this.#look = async () => {
      const [numbers, changed] = await Promise.all([readControlNumbers(pair), changes.read()]);
      return { ...numbers, changes: changed };
    };
  }

  async text(): Promise<string> {
    await this.#seen(); // before this process says whether it could
    const [ours, sdk] = await Promise.all([this.#registry.metrics(), this.#sdkText()]);
    return `${ours}\n${sdk}`;
  }

  async #points({ ofFleet, ofHere }: WorkerMetric): Promise<readonly Point[]> {
    if (ofHere !== undefined) return ofHere(this.here);
    const fleet = await this.#seen();
    return fleet === null ? [] : ofFleet!(fleet);
  }

  /** One look for all rows of a scrape, and for scrapes that follow closely. */
  #seen(): Promise<Fleet | null> {
    const known = this.#fleet;
    if (known !== null && performance.now() - known.at < FRESH) return known.numbers;
    const numbers = this.#lookOnce();
    this.#fleet = { at: performance.now(), numbers };
    return numbers;
  }

  async #lookOnce(): Promise<Fleet | null> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => (timer = setTimeout(() => resolve(null), READ_WITHIN)));
    const fleet = await Promise.race([this.#look?.() ?? null, late]).catch(() => null);
    clearTimeout(timer);
    this.here.isControlReadable = fleet !== null;
    return fleet;
  }

  async #sdkText(): Promise<string> {
    if (this.#sdk === null) return '';
    try {
      return await (
        await fetch(`http://${this.#sdk}/metrics`, { signal: AbortSignal.timeout(2 * SECOND) })
      ).text();
    } catch {
      return ''; // our own are still worth a scrape
    }
  }
}

export interface MetricsServer {
  /** `host:port`, as it came out where no port was named. */
  readonly address: string;
  readonly close: () => Promise<void>;
}

const FIELD = '--metrics';

/** @throws ConfigError when the address can't be read, or can't be had */
export async function serveMetrics(address: string, text: () => Promise<string>): Promise<MetricsServer> {
  const { host, port } = parseAddress(address);
  const server = createHttpServer((request, response) => {
    if (request.url?.split('?')[0] === '/metrics') void answer(response, text);
    else response.writeHead(404).end('the metrics are at /metrics\n');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', ({ code }: NodeJS.ErrnoException) => {
      const problem = `can't be listened on (${code})`;
      reject(
        new ConfigError([{ field: FIELD, value: address, problem, remedy: 'give another host or port' }]),
      );
    });
    server.listen(port, host, resolve);
  });
  return {
    address: `${host}:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(response: ServerResponse, text: () => Promise<string>): Promise<void> {
  try {
    const body = await text();
    response.writeHead(200, { 'content-type': Registry.PROMETHEUS_CONTENT_TYPE }).end(body);
  } catch {
    response.writeHead(500).end('the metrics could not be made\n'); // the worker goes on
  }
}

function parseAddress(address: string): { host: string; port: number } {
  const [, host = '', digits = ''] = /^(?:(.*):)?(\d+)$/.exec(address) ?? [];
  const port = Number(digits);
  if (digits !== '' && port <= 65_535) return { host: host === '' ? '127.0.0.1' : host, port };
  const remedy = 'give HOST:PORT or PORT, such as 127.0.0.1:9464';
  throw new ConfigError([{ field: FIELD, value: address, problem: 'is no address', remedy }]);
}

/** For Temporal's SDK, which wants to be told a port and can't say which one it got. */
export async function freeAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}
