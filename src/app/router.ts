/**
 * The one object that an application talks to: it reads where the tenant's stage says, and writes to the
 * authority.
 *
 * Promise P1 is kept by what this file does not do: before reads move, no request touches the target or waits
 * for anything that does. After that the target has a deadline, a breaker and a queue of its own, and every
 * read that it fails is answered by the source.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

import { Buffer, LoadsUnderWay, type BufferOptions, type ReadBuffer } from './buffer.ts';
import { CaughtUp } from './caught-up.ts';
import { Flags, type Flag } from './flags.ts';
import { Guard } from './guard.ts';
import { healthOf, type Health } from './health.ts';
import { subscribe, type Subscription } from './hints.ts';
import { Invalidations } from './invalidations.ts';
import { LoadLedger } from './load-ledger.ts';
import { MirrorHints, NOT_OURS, type Mirroring } from './mirror-hints.ts';
import { Notices } from './notices.ts';
import { settle, shadowSlots, type PlannedOptions, type RouterOptions, type Settings } from './options.ts';
import { ApplicationPool } from './pool.ts';
import { Reads } from './reads.ts';
import { ReplicaLink } from './replica.ts';
import type { Scope } from './scope.ts';
import { ShadowLedger } from './shadow-ledger.ts';
import { ShadowReader } from './shadow.ts';
import { newStats, type Stats } from './stats.ts';
import { Telemetry, type Seen } from './telemetry.ts';
import { BoundTenant, type TenantRouter } from './tenant.ts';
import { UnderWay } from './under-way.ts';
import { Writes } from './writes.ts';
import { Database } from '../db/database.ts';
import { SECOND } from '../domain/duration.ts';
import type { Stage } from '../domain/stage.ts';

const CLOSE_MS = 3 * SECOND;
const CONNECT_MS = 5 * SECOND;

/**
 * @throws ControlUnavailableError when the source's control schema can't be read at this first start
 * @throws ConfigError when the plan, or a variable that it names, is wrong
 */
export async function createRouter(options: RouterOptions | PlannedOptions): Promise<Router> {
  // Only whoever brings a plan pays for what reads one.
  const given = 'plan' in options ? await (await import('./plan-options.ts')).withPlan(options) : options;
  const router = new Router(settle(given));
  try {
    await router.start();
    return router;
  } catch (error) {
    await router.close();
    throw error;
  }
}

export class Router {
  readonly #settings: Settings;
  readonly #stats = newStats();
  readonly #telemetry: Telemetry;
  readonly #notices: Notices;
  readonly #control: Database;
  readonly #flags: Flags;
  readonly #pools;
  readonly #link: ReplicaLink;
  readonly #guard: Guard;
  #mirror: Mirroring;
  readonly #ledger: ShadowLedger;
  readonly #load: LoadLedger;
  readonly #shadow: ShadowReader;
  readonly #reads: Reads;
  readonly #writes: Writes;
  readonly #invalidations: Invalidations | null;
  readonly #loads = new LoadsUnderWay();
  readonly #listeners = new Set<() => void>();
  readonly #underWay = new UnderWay();
  #subscription: Subscription | null = null;
  #endReport = (): void => {};
  #closing: Promise<void> | null = null;

  constructor(settings: Settings) {
    this.#settings = settings;
    const { control, connections, leaseMs, redisUrl, bufferMs, sourceUrl, targetUrl, schema } = settings;
    this.#telemetry = new Telemetry({
      source: { url: sourceUrl, schema: schema.source },
      target: { url: targetUrl, schema: schema.target },
    });
    this.#notices = new Notices(settings.log);
    const seen = { stats: this.#stats, telemetry: this.#telemetry, notices: this.#notices };
    this.#invalidations = redisUrl === null ? null : new Invalidations(redisUrl, control, bufferMs);
    const changed = async (tenants: readonly string[]): Promise<void> => {
      this.#loads.forget(tenants);
      const told = this.#invalidations?.changed(tenants);
      // Without a buffer here only others profit: nobody has to wait.
      if (Object.keys(this.#stats.buffers).length > 0) await told;
    };
    this.#control = new Database({
      side: 'source',
      url: sourceUrl,
      connections: 2,
      deadline: Math.min(leaseMs, 2 * SECOND),
    });
    this.#flags = new Flags({
      ...settings,
      database: this.#control,
      stats: this.#stats.flags,
      notices: this.#notices,
      changed: () => this.#stagesChanged(),
    });
    this.#pools = openPools(settings, this.#stats);
    const guard = new Guard(connections, 2 * connections);
    this.#guard = guard;
    this.#link = new ReplicaLink(settings, changed);
    this.#mirror = new MirrorHints(this.#link, this.#flags, settings, seen);
    this.#ledger = new ShadowLedger(this.#control, control, settings.node);
    this.#load = new LoadLedger(this.#control, control);
    this.#shadow = new ShadowReader({
      settings,
      pools: { source: this.#pools.sourceShadow, target: this.#pools.targetShadow },
      guard,
      link: this.#link,
      ledger: this.#ledger,
      ...seen,
      stats: this.#stats.shadow,
    });
    const parts = {
      settings,
      scopes: new AsyncLocalStorage<Scope>(),
      flags: this.#flags,
      mirror: () => this.#mirror,
      caughtUp: new CaughtUp(this.#link, this.#flags, settings, this.#stats),
      ...seen,
      underWay: this.#underWay,
    };
    this.#reads = new Reads({ ...parts, pools: this.#pools, guard, shadow: this.#shadow, load: this.#load });
    this.#writes = new Writes({ ...parts, changed, pool: this.#pools.sourceWrites });
  }

  async start(): Promise<void> {
    await this.#flags.start();
    this.#endReport = this.#telemetry.report(() => this.#seen());
    if (!this.#flags.isFromTable)
      this.#notices.warn('started from the snapshot file', { side: 'source', reason: 'no stage table' });
    if (this.#flags.capture === 'application') {
      this.#mirror.close();
      this.#mirror = NOT_OURS;
    }
    const { redisUrl, control } = this.#settings;
    if (redisUrl === null) return;
    this.#subscription = subscribe(redisUrl, control, {
      hear: (hint) => this.#flags.hear(hint),
      caughtUp: () => this.#flags.pollSoon(),
    });
  }

  /** One tenant, by its id; costs nothing, so it can be asked for in each request. */
  tenant(id: string): TenantRouter {
    return new BoundTenant(id, this.#reads, this.#writes, (tenant) => this.stage(tenant));
  }

  /**
   * A read that Redis answers for a while, as docs/buffer.md says. Asked for once, when the process starts.
   *
   * @param name of the kind of read, as `read` takes it, and of its counters in `stats().buffers`
   * @throws TypeError when the name is taken, or holds a colon
   */
  buffer<A, V>(name: string, options: BufferOptions<A, V>): ReadBuffer<A, V> {
    if (name.includes(':') || this.#stats.buffers[name] !== undefined)
      throw new TypeError(`a buffer can't be called ${name}: taken, or with a colon`);
    const stats = { hit: 0, miss: 0, bypassed: 0, stale: 0, error: 0 };
    this.#stats.buffers[name] = stats;
    const parts = {
      reads: this.#reads,
      flags: this.#flags,
      invalidations: this.#invalidations,
      notices: this.#notices,
    };
    return new Buffer(name, options, parts, this.#loads, stats);
  }

  /** What this node obeys for the tenant now. */
  stage(tenant: string): Stage {
    return this.#flags.get(tenant).stage;
  }

  flag(tenant: string): Flag {
    return this.#flags.get(tenant);
  }

  /**
   * Calls the listener after this node took over what the stage table or a hint said; `flag` and `stage` answer by it
   * then. It may be called although nothing has changed.
   *
   * @returns ends it
   */
  onStages(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  stats(): Stats {
    this.#stats.flags.ageMs = this.#flags.ageMs;
    return structuredClone(this.#stats);
  }

  /** For a health endpoint; asks no server. */
  health(): Health {
    const isUp = this.#subscription?.isUp;
    return healthOf({
      isReady: !this.#underWay.isClosed,
      stagesAgeMs: this.#flags.ageMs,
      stagesFrom: this.#flags.isFromTable ? 'table' : 'file',
      isCutOff: this.#flags.cutOff,
      target: this.#isTargetFailing ? 'failing' : 'answers',
      redis: isUp === undefined ? 'none' : isUp ? 'answers' : 'away',
    });
  }

  get #isTargetFailing(): boolean {
    return this.#guard.isFailing || this.#link.isFailing;
  }

  #seen(): Seen {
    return {
      stats: this.stats(),
      isCutOff: this.#flags.cutOff,
      isTargetFailing: this.#isTargetFailing,
      ...this.#flags.census(),
      connections: this.#connections(),
    };
  }

  #connections(): Seen['connections'] {
    const { sourceReads, sourceWrites, targetReads } = this.#pools;
    const pools = { 'source reads': sourceReads, 'source writes': sourceWrites, 'target reads': targetReads };
    return Object.fromEntries(
      Object.entries(pools).flatMap(([name, { census }]) => (census === null ? [] : [[name, census]])),
    );
  }

  /**
   * Takes no further read or write, waits for those under way, `drainMs` at most, and ends its connections, within three
   * seconds more, whatever the servers do. What is cut then fails; pools that were brought stay open.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#underWay.close(this.#settings.drainMs);
    this.#endReport();
    this.#subscription?.close();
    this.#invalidations?.close();
    this.#mirror.close();
    this.#shadow.close();
    const orderly = async () => {
      await Promise.allSettled([this.#flags.close(), this.#ledger.close(), this.#load.close()]);
      await Promise.allSettled([this.#link.close(), this.#control.close()]);
    };
    const pools = Object.values(this.#pools).map((pool) => pool.close());
    await Promise.race([
      Promise.allSettled([orderly(), ...pools]),
      sleep(CLOSE_MS, undefined, { ref: false }),
    ]);
  }

  #stagesChanged(): void {
    this.#link.forget();
    this.#mirror.drainLagging();
    this.#writes.stagesChanged();
    // Later: what a listener throws is not the poll's.
    for (const listener of this.#listeners) queueMicrotask(listener);
  }
}

function openPools(settings: Settings, stats: Stats) {
  const { sourceUrl, targetUrl, schema, connections, waiting, targetReadMs, brought } = settings;
  const requests = { connections, waiting, refused: () => (stats.refused += 1) };
  const apart = { connections: Math.max(1, shadowSlots(settings)), waiting, brought: null };
  const source = { side: 'source', url: sourceUrl, schema: schema.source, connectMs: CONNECT_MS } as const;
  const target = { side: 'target', url: targetUrl, schema: schema.target, connectMs: targetReadMs } as const;
  const borrowed = { source: brought?.source ?? null, target: brought?.target ?? null };
  const [sourceReads, targetReads] = [
    new ApplicationPool({ ...source, ...requests, brought: borrowed.source, readOnly: true }),
    new ApplicationPool({ ...target, ...requests, brought: borrowed.target, readOnly: true }),
  ];
  return {
    sourceReads,
    targetReads,
    sourceWrites: new ApplicationPool({ ...source, ...requests, brought: borrowed.source, readOnly: false }),
    // Their answers are compared with those of requests: by the same pools where the application chose their form.
    sourceShadow: brought ? sourceReads : new ApplicationPool({ ...source, ...apart, readOnly: true }),
    targetShadow: brought ? targetReads : new ApplicationPool({ ...target, ...apart, readOnly: true }),
  };
}
