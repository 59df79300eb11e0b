/**
 * Steady traffic against portals that run elsewhere, and a book of what they acknowledged.
 *
 * Each lane owns the rows that it writes, so the last acknowledged state of each is known; a request whose
 * answer was lost leaves its row open, and the book does not hold anybody to it.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { Book, type Acknowledged } from './book.ts';
import { Latencies, type LatencyRow } from './latencies.ts';

export interface LoadOptions {
  /** `http://host:port` of at least two portals. */
  readonly portals: readonly string[];
  readonly tenants: readonly string[];
  /** Of all lanes together. */
  readonly requestsPerSecond?: number;
  readonly lanesPerTenant?: number;
  readonly timeoutMs?: number;
  /** Customers and senders of each tenant to write with. */
  readonly parties: Readonly<Record<string, Parties>>;
}

export interface Parties {
  readonly customers: readonly string[];
  /** Used in pairs: each pair belongs to one lane. */
  readonly senders: readonly { readonly id: string; readonly number: string | null }[];
}

export interface LoadReport {
  readonly requests: number;
  readonly failedRequests: number;
  /** The first failures, as one line each. */
  readonly failures: readonly string[];
  /** A process that did not see its own write at once. */
  readonly staleReads: number;
  readonly latencies: readonly LatencyRow[];
  readonly acknowledged: readonly Acknowledged[];
  /** Writes that were acknowledged, several to one row included. */
  readonly acknowledgedWrites: number;
}

export interface Load {
  /** Counts so far, for a line of progress. */
  readonly now: () => {
    readonly requests: number;
    readonly failedRequests: number;
    readonly acknowledgedWrites: number;
  };
  /** Portals may come and go: the lanes use these from their next request on. */
  readonly usePortals: (portals: readonly string[]) => void;
  /** Lets every request that is out come back. */
  readonly stop: () => Promise<LoadReport>;
}

const FAILURES_KEPT = 20;
const MESSAGES_PER_LANE = 30;

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

interface Message {
  readonly id: string;
  readonly portal: string;
}

interface Lane {
  readonly tenant: string;
  readonly index: number;
  readonly customers: readonly string[];
  readonly pair: readonly [Sender, Sender] | null;
  readonly messages: Message[];
  turn: number;
}

interface Sender {
  readonly id: string;
  number: string | null;
}

export function startLoad(options: LoadOptions): Load {
  const runner = new Runner(options);
  return {
    now: () => runner.counts(),
    usePortals: (portals) => runner.usePortals(portals),
    stop: () => runner.stop(),
  };
}

class Runner {
  readonly #options: LoadOptions;
  readonly #book = new Book();
  readonly #latencies = new Latencies();
  readonly #failures: string[] = [];
  readonly #lanes: Promise<void>[];
  #portals: readonly string[];
  #requests = 0;
  #failed = 0;
  #stale = 0;
  #next = 0;
  #isStopping = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#portals = options.portals;
    const lanes = options.tenants.flatMap((tenant) => lanesOf(tenant, options));
    const pause = (1_000 * lanes.length) / (options.requestsPerSecond ?? 150);
    this.#lanes = lanes.map((lane) => this.#drive(lane, pause));
  }

  counts() {
    return { requests: this.#requests, failedRequests: this.#failed, acknowledgedWrites: this.#book.writes };
  }

  usePortals(portals: readonly string[]): void {
    this.#portals = portals;
  }

  async stop(): Promise<LoadReport> {
    this.#isStopping = true;
    await Promise.all(this.#lanes);
    return {
      ...this.counts(),
      failures: this.#failures,
      staleReads: this.#stale,
      latencies: this.#latencies.rows(),
      acknowledged: this.#book.entries(),
    };
  }

  async #drive(lane: Lane, pause: number): Promise<void> {
    await sleep(Math.random() * pause);
    while (!this.#isStopping) {
      const began = performance.now();
      const step = STEPS[lane.turn++ % STEPS.length]!;
      await this[step](lane);
      await sleep(Math.max(0, pause - (performance.now() - began)));
    }
  }

  async send(lane: Lane): Promise<void> {
    if (lane.messages.length >= MESSAGES_PER_LANE) return this.remove(lane);
    const portal = this.#portal();
    const body = `lane ${lane.index} turn ${lane.turn}: größe ✓ 😀 '\\`;
    const customerId = lane.customers[lane.turn % lane.customers.length]!;
    const answer = await this.#ask(portal, 'POST', `/tenants/${lane.tenant}/messages`, {
      customerId,
      body,
      price: '0.070000',
    });
    if (answer === null) return;
    const { id } = answer.body as { id: string };
    this.#book.acknowledge(lane.tenant, 'messages', id, { body, status: 'queued', customer_id: customerId });
    lane.messages.push({ id, portal });
  }

  async report(lane: Lane): Promise<void> {
    const message = lane.messages[lane.turn % Math.max(1, lane.messages.length)];
    if (message === undefined) return this.send(lane);
    const status = ['sent', 'delivered', 'failed'][lane.turn % 3]!;
    const raw = Buffer.from([lane.turn & 255, 0, 39]).toString('hex');
    this.#book.doubt('messages', message.id);
    const answer = await this.#ask(
      this.#portal(),
      'POST',
      `/tenants/${lane.tenant}/messages/${message.id}/status`,
      { status, raw },
    );
    if (answer === null) return;
    const { deliveryId, attempt } = answer.body as { deliveryId: string; attempt: number };
    this.#book.acknowledge(lane.tenant, 'messages', message.id, { status });
    const delivery = { message_id: message.id, attempt: String(attempt), raw: raw.toUpperCase() };
    this.#book.acknowledgeChild(
      { table: 'messages', id: message.id },
      { table: 'deliveries', id: deliveryId },
      delivery,
    );
  }

  async remove(lane: Lane): Promise<void> {
    const message = lane.messages.shift();
    if (message === undefined) return this.send(lane);
    this.#book.doubtAll('messages', message.id);
    const answer = await this.#ask(
      this.#portal(),
      'DELETE',
      `/tenants/${lane.tenant}/messages/${message.id}`,
    );
    if (answer !== null) this.#book.remove('messages', message.id);
  }

  async swap(lane: Lane): Promise<void> {
    const { pair } = lane;
    if (pair === null) return this.send(lane);
    const [one, other] = pair;
    for (const { id } of pair) this.#book.doubt('senders', id);
    const answer = await this.#ask(this.#portal(), 'POST', `/tenants/${lane.tenant}/senders/swap`, {
      a: one.id,
      b: other.id,
    });
    if (answer === null) return;
    for (const { id, number } of answer.body as { id: string; number: string | null }[]) {
      this.#book.acknowledge(lane.tenant, 'senders', id, { number });
    }
  }

  /** Where it was written, it must be seen at once; another process may be behind within its bound. */
  async readOwn(lane: Lane): Promise<void> {
    const message = lane.messages.at(-1);
    if (message === undefined || !this.#portals.includes(message.portal)) return this.send(lane);
    const path = `/tenants/${lane.tenant}/messages/${message.id}`;
    const answer = await this.#ask(message.portal, 'GET', path, undefined, [404]);
    if (answer?.status === 404) this.#stale += 1;
  }

  async readLatest(lane: Lane): Promise<void> {
    await this.#ask(this.#portal(), 'GET', `/tenants/${lane.tenant}/messages?latest=20`);
  }

  async readSenders(lane: Lane): Promise<void> {
    await this.#ask(this.#portal(), 'GET', `/tenants/${lane.tenant}/senders`);
  }

  #portal(): string {
    this.#next += 1;
    return this.#portals[this.#next % this.#portals.length]!;
  }

  /** @returns null when it failed: not 2xx, no answer in time, no answer at all */
  async #ask(
    portal: string,
    method: string,
    path: string,
    body?: unknown,
    alsoFine: readonly number[] = [],
  ): Promise<Answer | null> {
    const began = performance.now();
    this.#requests += 1;
    try {
      const response = await fetch(portal + path, {
        method,
        signal: AbortSignal.timeout(this.#options.timeoutMs ?? 5_000),
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
      const answer = { status: response.status, body: await response.json() };
      this.#latencies.add(
        response.headers.get('switchback-stage') ?? 'unknown',
        method === 'GET' ? 'read' : 'write',
        performance.now() - began,
      );
      if (response.ok || alsoFine.includes(response.status)) return answer;
      this.#fail(`${method} ${path}: ${response.status}`);
    } catch (error) {
      const { name, cause } = error as { name: string; cause?: { code?: string } };
      this.#fail(
        `${method} ${path}: ${cause?.code ?? name} after ${Math.round(performance.now() - began)} ms`,
      );
    }
    return null;
  }

  #fail(line: string): void {
    this.#failed += 1;
    if (this.#failures.length < FAILURES_KEPT) this.#failures.push(`${new Date().toISOString()} ${line}`);
  }
}

/** One round of a lane: five writes of every kind, five reads. */
const STEPS = [
  'send',
  'readOwn',
  'readLatest',
  'report',
  'readOwn',
  'send',
  'readLatest',
  'swap',
  'readSenders',
  'remove',
] as const;

function lanesOf(tenant: string, { lanesPerTenant = 4, parties }: LoadOptions): Lane[] {
  const { customers, senders } = parties[tenant]!;
  return Array.from({ length: lanesPerTenant }, (_, index): Lane => {
    const [one, other] = [senders[2 * index], senders[2 * index + 1]];
    return {
      tenant,
      index,
      customers: customers.filter((__, position) => position % lanesPerTenant === index),
      pair: one === undefined || other === undefined ? null : [{ ...one }, { ...other }],
      messages: [],
      turn: index,
    };
  });
}
