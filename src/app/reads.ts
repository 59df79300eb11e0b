/** Plain reads: to the side that the stage says, and to the source whenever the target fails them. */
import type { ApplicationPool } from './pool.ts';
import { SideFault } from './pool.ts';
import type { Bounds } from './bounded.ts';
import type { CaughtUp } from './caught-up.ts';
import { DeadlineError } from './errors.ts';
import type { Flag, Flags } from './flags.ts';
import { reasonOf, type Guard } from './guard.ts';
import { NeedsAuthority, type ReadFunction } from './handle.ts';
import type { LoadLedger } from './load-ledger.ts';
import type { Mirroring } from './mirror-hints.ts';
import type { Notices } from './notices.ts';
import type { Settings } from './options.ts';
import { assertSameSchema, joined, scoped, type Scopes } from './scope.ts';
import { clocked } from './shadow-look.ts';
import { Transcript } from './shadow-repeats.ts';
import type { ShadowReader } from './shadow.ts';
import type { FallbackReason, Stats } from './stats.ts';
import { safeMessage, type Telemetry } from './telemetry.ts';
import type { ReadOptions } from './tenant.ts';
import { isCovered } from './token.ts';
import type { UnderWay } from './under-way.ts';
import type { Milliseconds } from '../domain/duration.ts';
import { STAGES, type Side, type Stage } from '../domain/stage.ts';

export interface ReadParts {
  readonly settings: Settings;
  readonly scopes: Scopes;
  readonly flags: Flags;
  readonly pools: { readonly sourceReads: ApplicationPool; readonly targetReads: ApplicationPool };
  readonly guard: Guard;
  readonly mirror: () => Mirroring;
  readonly caughtUp: CaughtUp;
  readonly shadow: ShadowReader;
  readonly load: LoadLedger;
  readonly stats: Stats;
  readonly telemetry: Telemetry;
  readonly notices: Notices;
  readonly underWay: UnderWay;
}

/** One read on its way. */
interface Asked<T> {
  readonly tenant: string;
  readonly stage: Stage;
  readonly name: string;
  readonly fn: ReadFunction<T>;
  readonly endsAt: Milliseconds;
  readonly signal: AbortSignal | undefined;
}

type Route = { readonly side: Side } | { readonly side: 'source'; readonly insteadOfTarget: FallbackReason };

/** Names are few, unless somebody makes one for each request. */
const LOCKING_MAX = 1_000;

export class Reads {
  readonly #parts: ReadParts;
  /** Names of reads that lock: they go to the authority at once. */
  readonly #locking = new Set<string>();

  constructor(parts: ReadParts) {
    this.#parts = parts;
  }

  async read<T>(tenant: string, name: string, fn: ReadFunction<T>, options: ReadOptions): Promise<T> {
    const { scopes, settings, underWay } = this.#parts;
    const outer = joined(scopes);
    if (outer !== null) {
      assertSameSchema(outer, tenant, settings.schema.source);
      return fn(outer.conn);
    }
    underWay.enter();
    try {
      return await this.#ask(tenant, name, fn, options);
    } finally {
      underWay.leave();
    }
  }

  async #ask<T>(tenant: string, name: string, fn: ReadFunction<T>, options: ReadOptions): Promise<T> {
    const { scopes, flags } = this.#parts;
    options.signal?.throwIfAborted();
    const flag = flags.get(tenant);
    const asked: Asked<T> = {
      tenant,
      stage: flag.stage,
      name,
      fn: scoped(scopes, { kind: 'read', tenant, tenants: new Set() }, fn),
      endsAt: options.deadlineMs === undefined ? Infinity : performance.now() + options.deadlineMs,
      signal: options.signal,
    };
    const route = this.#route(tenant, name, flag);
    if (route.side === 'target' && !(await this.#mayReadTarget(tenant, options.after)))
      return this.#readInstead(asked, 'lagging');
    if ('insteadOfTarget' in route) return this.#readInstead(asked, route.insteadOfTarget);
    const shadow = this.#sampledOn(tenant, name, flag.stage);
    if (shadow === null)
      return route.side === 'source' ? await this.#readSource(asked) : (await this.#readTarget(asked)).value;
    const transcript = new Transcript();
    const clock = clocked(transcript.by(asked.fn));
    const { value, side } = await this.#readOn(route.side, { ...asked, fn: clock.fn });
    // What the target failed, and the source then answered, is asked of the target again.
    const other = side === route.side ? shadow : 'target';
    const tookMs = clock.tookMs() ?? 0;
    this.#parts.shadow.offer({ tenant, name, side: other, fn: asked.fn, value, transcript, tookMs });
    return value;
  }

  async #readOn<T>(side: Side, asked: Asked<T>): Promise<{ value: T; side: Side }> {
    return side === 'target' ? this.#readTarget(asked) : { value: await this.#readSource(asked), side };
  }

  /** May what this read gives be taken from others, and given to them? Not while this process knows better than the stage. */
  isOrdinary(tenant: string, name: string): boolean {
    const { scopes, flags, caughtUp } = this.#parts;
    if (joined(scopes) !== null) return false;
    const route = this.#route(tenant, name, flags.get(tenant));
    return !('insteadOfTarget' in route) && (route.side === 'source' || !caughtUp.isBehind(tenant));
  }

  /** The buffer handed out somebody else's read, of a side that the stage said: what follows must not be older. */
  handedOut(tenant: string, { stage }: Flag): void {
    this.#parts.load.add(tenant, stage, 'buffer', 0);
    if (STAGES[stage].reads === 'source') this.#parts.caughtUp.sourceAnswered(tenant);
  }

  #route(tenant: string, name: string, flag: Flag): Route {
    const { reads } = STAGES[flag.stage];
    if (reads === 'source') return { side: 'source' };
    if (this.#locking.has(name)) return { side: 'source', insteadOfTarget: 'locking' };
    if (this.#staysOnSource(name)) return { side: 'source' };
    if (this.#parts.flags.cutOff) return { side: 'source', insteadOfTarget: 'lease' };
    if (flag.dirty) return { side: 'source', insteadOfTarget: 'dirty' };
    if (this.#parts.mirror().isLagging(tenant)) return { side: 'source', insteadOfTarget: 'lagging' };
    return { side: 'target' };
  }

  /** Neither older than what this process read on the source, nor than what the token stands for. */
  #mayReadTarget(tenant: string, token: string | undefined): Promise<boolean> | boolean {
    const { caughtUp, flags, telemetry } = this.#parts;
    const hasToken = token !== undefined && !isCovered(token, tenant);
    // Without a journal nobody can tell when the application's own target write has come.
    if (flags.capture === 'application') return !hasToken;
    if (!hasToken && !caughtUp.isBehind(tenant)) return true;
    return telemetry.wait('switchback.catch_up.wait', tenant, () => caughtUp.reach(tenant));
  }

  async #readSource<T>(asked: Asked<T>, reason?: FallbackReason): Promise<T> {
    const { pools, stats, caughtUp, load, telemetry } = this.#parts;
    const { tenant, name, stage } = asked;
    const began = performance.now();
    const value = await telemetry.operation(
      { tenant, name, side: 'source', purpose: 'request', reason },
      () => pools.sourceReads.read(tenant, asked.fn, bounds(asked)),
    );
    load.add(tenant, stage, 'source', performance.now() - began);
    stats.reads.source += 1;
    // What never comes from the target says nothing about what the target must hold.
    if (!this.#staysOnSource(asked.name)) caughtUp.sourceAnswered(asked.tenant);
    return value;
  }

  #staysOnSource(name: string): boolean {
    return this.#locking.has(name) || this.#parts.settings.reads[name]?.neverTarget === true;
  }

  async #readTarget<T>(asked: Asked<T>): Promise<{ value: T; side: Side }> {
    const began = performance.now();
    try {
      const value = await this.#askTarget(asked);
      this.#parts.load.add(asked.tenant, asked.stage, 'target', performance.now() - began);
      this.#parts.stats.reads.target += 1;
      return { value, side: 'target' };
    } catch (error) {
      if (asked.signal?.aborted === true) throw error;
      const reason = isLockingRead(error) ? 'locking' : reasonOf(error);
      if (reason === null) throw error;
      if (reason === 'locking' && this.#locking.size < LOCKING_MAX) this.#locking.add(asked.name);
      return { value: await this.#readInstead(asked, reason, error), side: 'source' };
    }
  }

  async #readInstead<T>(asked: Asked<T>, reason: FallbackReason, error?: unknown): Promise<T> {
    const { stats, notices } = this.#parts;
    const { tenant, name: read } = asked;
    stats.fallbacks[reason] += 1;
    const why = error === undefined ? { reason } : { reason, error: safeMessage('target', error) };
    notices.warn('read from the source instead of the target', { tenant, read, side: 'target', ...why });
    try {
      return await this.#readSource(asked, reason);
    } catch (error) {
      // Cut off, the stage is a guess: with the source gone too, the target is better than nothing.
      if (reason !== 'lease' || asked.signal?.aborted === true) throw error;
      const value = await this.#askTarget(asked).catch(() => {
        throw error;
      });
      stats.rescuedByTarget += 1;
      return value;
    }
  }

  #askTarget<T>(asked: Asked<T>): Promise<T> {
    const { guard, pools, settings, telemetry } = this.#parts;
    const { tenant, name, fn, signal } = asked;
    return guard.execute(() => {
      // Of a read with a deadline the target gets half, so that the source can still answer.
      const deadlineMs = Math.min(settings.targetReadMs, Math.max(1, left(asked) / 2));
      return telemetry.operation({ tenant, name, side: 'target', purpose: 'request' }, () =>
        pools.targetReads.read(tenant, fn, { deadlineMs, signal }),
      );
    });
  }

  /** @returns the side to compare with; null: not this time */
  #sampledOn(tenant: string, name: string, stage: Stage): Side | null {
    const { settings, shadow } = this.#parts;
    const options = settings.reads[name];
    if (STAGES[stage].shadow === null || options?.neverTarget === true) return null;
    shadow.saw(tenant, name);
    return Math.random() < (options?.sampleRate ?? settings.sampleRate) ? STAGES[stage].shadow : null;
  }
}

const left = ({ endsAt }: Asked<unknown>): Milliseconds => endsAt - performance.now();

/** @throws DeadlineError when there is no time left */
function bounds(asked: Asked<unknown>): Bounds {
  if (asked.endsAt === Infinity) return { signal: asked.signal };
  const deadlineMs = left(asked);
  if (deadlineMs <= 0) throw new DeadlineError('no time was left to ask the source');
  return { deadlineMs, signal: asked.signal };
}

const isLockingRead = (error: unknown): boolean =>
  error instanceof SideFault && error.cause instanceof NeedsAuthority;
