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

import { canonical } from './canonical.ts';
import { OtherSchemaError, RouterClosedError } from './errors.ts';
import { Flags, type Flag } from './flags.ts';
import { Guard, reasonOf } from './guard.ts';
import { subscribe, type Subscription } from './hints.ts';
import type { ReadFunction, WriteFunction, WriteHandle } from './handle.ts';
import { MirrorHints, NOT_OURS, type Mirroring } from './mirror-hints.ts';
import { settle, type RouterOptions, type Settings } from './options.ts';
import { ApplicationPool } from './pool.ts';
import { ReplicaLink } from './replica.ts';
import { ShadowLedger } from './shadow-ledger.ts';
import { ShadowReader } from './shadow.ts';
import { newStats, type FallbackReason, type Stats } from './stats.ts';
import { runTransaction } from './transaction.ts';
import { installedCapture } from '../db/capture-install.ts';
import { Database } from '../db/database.ts';
import { SECOND } from '../domain/duration.ts';
import { STAGES, type Side, type Stage } from '../domain/stage.ts';
import { isPerTenant } from '../domain/tenant-schema.ts';

const CLOSE_MS = 3 * SECOND;
const CONNECT_MS = 5 * SECOND;

/** The write transaction that the running code is part of. */
interface Writing {
  readonly handle: WriteHandle;
  /** Whose schema its statements run in, where each tenant has its own. */
  readonly tenant: string;
  readonly tenants: Set<string>;
  isOpen: boolean;
}

type Route = { readonly side: Side } | { readonly side: 'source'; readonly insteadOfTarget: FallbackReason };

/** @throws ControlUnavailableError when the source's control schema can't be read at this first start */
export async function createRouter(options: RouterOptions): Promise<Router> {
  const router = new Router(settle(options));
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
  readonly #writing = new AsyncLocalStorage<Writing>();
  readonly #control: Database;
  readonly #flags: Flags;
  readonly #pools;
  readonly #targetReads: Guard;
  readonly #link: ReplicaLink;
  #mirror: Mirroring;
  readonly #ledger: ShadowLedger;
  readonly #shadow: ShadowReader;
  #subscription: Subscription | null = null;
  #isClosed = false;

  constructor(settings: Settings) {
    this.#settings = settings;
    const { control, connections, leaseMs } = settings;
    this.#control = new Database({
      side: 'source',
      url: settings.sourceUrl,
      connections: 2,
      deadline: Math.min(leaseMs, 2 * SECOND),
    });
    this.#flags = new Flags({
      ...settings,
      database: this.#control,
      stats: this.#stats.flags,
      changed: () => this.#stagesChanged(),
    });
    this.#pools = openPools(settings);
    this.#targetReads = new Guard(connections, 2 * connections);
    this.#link = new ReplicaLink(settings);
    this.#mirror = new MirrorHints(this.#link, this.#flags, settings, this.#stats);
    this.#ledger = new ShadowLedger(this.#control, control, settings.node);
    this.#shadow = new ShadowReader({
      settings,
      pools: { source: this.#pools.sourceShadow, target: this.#pools.targetShadow },
      guard: this.#targetReads,
      link: this.#link,
      ledger: this.#ledger,
      stats: this.#stats.shadow,
    });
  }

  async start(): Promise<void> {
    await this.#flags.start();
    const { control: schema } = this.#settings;
    if ((await installedCapture(this.#control, schema)) === 'application') {
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

  /**
   * Inside `write`, the read joins its transaction. Elsewhere `fn` runs in a read-only session of the side that
   * the stage says; it may run a second time, on the source, when the target fails it.
   *
   * @param name of the kind of read; its shadow comparisons are counted under it
   * @throws what `fn` throws, and the driver's errors of the source
   */
  async read<T>(tenant: string, name: string, fn: ReadFunction<T>): Promise<T> {
    const writing = this.#writing.getStore();
    if (writing?.isOpen === true) {
      this.#assertSameSchema(writing, tenant);
      return fn(writing.handle);
    }
    this.#assertOpen();
    const flag = this.#flags.get(tenant);
    const route = this.#route(tenant, flag);
    if ('insteadOfTarget' in route) return this.#readInstead(tenant, route.insteadOfTarget, fn);
    const { value, side } =
      route.side === 'target'
        ? await this.#readTarget(tenant, fn)
        : { value: await this.#readSource(tenant, fn), side: 'source' as const };
    if (side === route.side) this.#sample(tenant, name, flag.stage, { fn, value });
    return value;
  }

  /**
   * One transaction on the authority. A `write` inside a `write` joins it. Once it is committed nothing fails
   * it any more; from `read-target` on it waits for its mirror, within the budget. Capture `application`: nothing
   * is mirrored here, the application writes the target itself after this returned.
   */
  async write<T>(tenant: string, fn: WriteFunction<T>): Promise<T> {
    const outer = this.#writing.getStore();
    if (outer?.isOpen === true) {
      this.#assertSameSchema(outer, tenant);
      outer.tenants.add(tenant);
      return fn(outer.handle);
    }
    this.#assertOpen();
    const tenants = new Set([tenant]);
    const { value, mayBeCommitted, error } = await runTransaction(
      this.#pools.sourceWrites,
      tenant,
      async (handle) => {
        const writing: Writing = { handle, tenant, tenants, isOpen: true };
        try {
          return await this.#writing.run(writing, () => fn(handle));
        } finally {
          writing.isOpen = false;
        }
      },
    );
    if (error !== null) {
      // The commit may have happened though its answer was lost; the mirror finds out.
      if (mayBeCommitted) for (const each of tenants) void this.#mirror.afterCommit(each);
      throw error;
    }
    this.#stats.writes += 1;
    await Promise.all([...tenants].map((each) => this.#mirror.afterCommit(each)));
    return value as T;
  }

  /** What this node obeys for the tenant now. */
  stage(tenant: string): Stage {
    return this.#flags.get(tenant).stage;
  }

  flag(tenant: string): Flag {
    return this.#flags.get(tenant);
  }

  stats(): Stats {
    return structuredClone(this.#stats);
  }

  /** Ends within three seconds, whatever the servers do. Requests should have ended before. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#subscription?.close();
    this.#mirror.close();
    this.#shadow.close();
    const orderly = async () => {
      await Promise.allSettled([this.#flags.close(), this.#ledger.close()]);
      const parts = [...Object.values(this.#pools), this.#link, this.#control];
      await Promise.allSettled(parts.map((part) => part.close()));
    };
    await Promise.race([orderly(), sleep(CLOSE_MS, undefined, { ref: false })]);
  }

  #route(tenant: string, flag: Flag): Route {
    const { reads } = STAGES[flag.stage];
    if (reads === 'source') return { side: 'source' };
    if (this.#flags.cutOff) return { side: 'source', insteadOfTarget: 'lease' };
    if (flag.dirty) return { side: 'source', insteadOfTarget: 'dirty' };
    if (this.#mirror.isLagging(tenant)) return { side: 'source', insteadOfTarget: 'lagging' };
    return { side: 'target' };
  }

  async #readSource<T>(tenant: string, fn: ReadFunction<T>): Promise<T> {
    const value = await this.#pools.sourceReads.read(tenant, fn);
    this.#stats.reads.source += 1;
    return value;
  }

  async #readTarget<T>(tenant: string, fn: ReadFunction<T>): Promise<{ value: T; side: Side }> {
    try {
      const value = await this.#askTarget(tenant, fn);
      this.#stats.reads.target += 1;
      return { value, side: 'target' };
    } catch (error) {
      const reason = reasonOf(error);
      if (reason === null) throw error;
      return { value: await this.#readInstead(tenant, reason, fn), side: 'source' };
    }
  }

  async #readInstead<T>(tenant: string, reason: FallbackReason, fn: ReadFunction<T>): Promise<T> {
    this.#stats.fallbacks[reason] += 1;
    try {
      return await this.#readSource(tenant, fn);
    } catch (error) {
      // Cut off, the stage is a guess: with the source gone too, the target is better than nothing.
      if (reason !== 'lease') throw error;
      const value = await this.#askTarget(tenant, fn).catch(() => {
        throw error;
      });
      this.#stats.rescuedByTarget += 1;
      return value;
    }
  }

  #askTarget<T>(tenant: string, fn: ReadFunction<T>): Promise<T> {
    return this.#targetReads.execute(() =>
      this.#pools.targetReads.read(tenant, fn, this.#settings.targetReadMs),
    );
  }

  #sample<T>(tenant: string, name: string, stage: Stage, read: { fn: ReadFunction<T>; value: T }): void {
    const side = STAGES[stage].shadow;
    if (side === null || Math.random() >= this.#settings.sampleRate) return;
    // As text at once: the caller may change the object that it gets.
    this.#shadow.offer({ tenant, name, side, fn: read.fn, answer: canonical(read.value) });
  }

  #stagesChanged(): void {
    this.#link.forget();
    this.#mirror.drainLagging();
  }

  /** A transaction has one default schema. */
  #assertSameSchema(writing: Writing, tenant: string): void {
    if (writing.tenant === tenant || !isPerTenant(this.#settings.schema.source)) return;
    throw new OtherSchemaError(
      `a write of tenant ${writing.tenant} is under way; ${tenant} has a schema of its own and needs a write of its own, after it`,
    );
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new RouterClosedError('the router was closed');
  }
}

function openPools({ sourceUrl, targetUrl, schema, connections, targetReadMs }: Settings) {
  const source = { side: 'source', url: sourceUrl, schema: schema.source, connectMs: CONNECT_MS } as const;
  const target = { side: 'target', url: targetUrl, schema: schema.target, connectMs: targetReadMs } as const;
  return {
    sourceReads: new ApplicationPool({ ...source, connections, readOnly: true }),
    sourceWrites: new ApplicationPool({ ...source, connections, readOnly: false }),
    targetReads: new ApplicationPool({ ...target, connections, readOnly: true }),
    sourceShadow: new ApplicationPool({ ...source, connections: 2, readOnly: true }),
    targetShadow: new ApplicationPool({ ...target, connections: 2, readOnly: true }),
  };
}
