/** Plain reads: to the side that the stage says, and to the source whenever the target fails them. */
import type { ApplicationPool } from './pool.ts';
import { SideFault } from './pool.ts';
import type { Bounds } from './bounded.ts';
import { canonical } from './canonical.ts';
import type { CaughtUp } from './caught-up.ts';
import { DeadlineError } from './errors.ts';
import type { Flag, Flags } from './flags.ts';
import { reasonOf, type Guard } from './guard.ts';
import { NeedsAuthority, type ReadFunction } from './handle.ts';
import type { Mirroring } from './mirror-hints.ts';
import type { Settings } from './options.ts';
import { assertSameSchema, scoped, type Scopes } from './scope.ts';
import type { ShadowReader } from './shadow.ts';
import type { FallbackReason, Stats } from './stats.ts';
import type { ReadOptions } from './tenant.ts';
import { isCovered } from './token.ts';
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
  readonly stats: Stats;
  readonly assertOpen: () => void;
}

/** One read on its way. */
interface Asked<T> {
  readonly tenant: string;
  readonly name: string;
  readonly fn: ReadFunction<T>;
  readonly endsAt: Milliseconds;
  readonly signal: AbortSignal | undefined;
}

type Route = { readonly side: Side } | { readonly side: 'source'; readonly insteadOfTarget: FallbackReason };

export class Reads {
  readonly #parts: ReadParts;
  /** Names of reads that lock: they go to the authority at once. */
  readonly #locking = new Set<string>();

  constructor(parts: ReadParts) {
    this.#parts = parts;
  }

  async read<T>(tenant: string, name: string, fn: ReadFunction<T>, options: ReadOptions): Promise<T> {
    const { scopes, settings, flags } = this.#parts;
    const outer = scopes.getStore();
    if (outer?.isOpen === true) {
      assertSameSchema(outer, tenant, settings.schema.source);
      return fn(outer.conn);
    }
    this.#parts.assertOpen();
    options.signal?.throwIfAborted();
    const asked: Asked<T> = {
      tenant,
      name,
      fn: scoped(scopes, { kind: 'read', tenant, tenants: new Set() }, fn),
      endsAt: options.deadlineMs === undefined ? Infinity : performance.now() + options.deadlineMs,
      signal: options.signal,
    };
    const flag = flags.get(tenant);
    const route = this.#route(tenant, name, flag);
    if (route.side === 'target' && !(await this.#mayReadTarget(tenant, options.after)))
      return this.#readInstead(asked, 'lagging');
    if ('insteadOfTarget' in route) return this.#readInstead(asked, route.insteadOfTarget);
    const { value, side } =
      route.side === 'target'
        ? await this.#readTarget(asked)
        : { value: await this.#readSource(asked), side: 'source' as const };
    if (side === route.side) this.#sample(asked, flag.stage, value);
    return value;
  }

  /** May what this read gives be taken from others, and given to them? Not while this process knows better than the stage. */
  isOrdinary(tenant: string, name: string): boolean {
    const { scopes, flags, caughtUp } = this.#parts;
    if (scopes.getStore()?.isOpen === true) return false;
    const route = this.#route(tenant, name, flags.get(tenant));
    return !('insteadOfTarget' in route) && (route.side === 'source' || !caughtUp.isBehind(tenant));
  }

  /** Somebody else's read, of a side that the stage said, was handed out here: what follows must not be older. */
  handedOut(tenant: string, { stage }: Flag): void {
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
    const { caughtUp, flags } = this.#parts;
    const hasToken = token !== undefined && !isCovered(token, tenant);
    // Without a journal nobody can tell when the application's own target write has come.
    if (flags.capture === 'application') return !hasToken;
    return !hasToken && !caughtUp.isBehind(tenant) ? true : caughtUp.reach(tenant);
  }

  async #readSource<T>(asked: Asked<T>): Promise<T> {
    const { pools, stats, caughtUp } = this.#parts;
    const value = await pools.sourceReads.read(asked.tenant, asked.fn, bounds(asked));
    stats.reads.source += 1;
    // What never comes from the target says nothing about what the target must hold.
    if (!this.#staysOnSource(asked.name)) caughtUp.sourceAnswered(asked.tenant);
    return value;
  }

  #staysOnSource(name: string): boolean {
    return this.#locking.has(name) || this.#parts.settings.reads[name]?.neverTarget === true;
  }

  async #readTarget<T>(asked: Asked<T>): Promise<{ value: T; side: Side }> {
    try {
      const value = await this.#askTarget(asked);
      this.#parts.stats.reads.target += 1;
      return { value, side: 'target' };
    } catch (error) {
      if (asked.signal?.aborted === true) throw error;
      const reason = isLockingRead(error) ? 'locking' : reasonOf(error);
      if (reason === null) throw error;
      if (reason === 'locking') this.#locking.add(asked.name);
      return { value: await this.#readInstead(asked, reason), side: 'source' };
    }
  }

  async #readInstead<T>(asked: Asked<T>, reason: FallbackReason): Promise<T> {
    const { stats } = this.#parts;
    stats.fallbacks[reason] += 1;
    try {
      return await this.#readSource(asked);
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
    const { guard, pools, settings } = this.#parts;
    return guard.execute(() => {
      // Of a read with a deadline the target gets half, so that the source can still answer.
      const deadlineMs = Math.min(settings.targetReadMs, Math.max(1, left(asked) / 2));
      return pools.targetReads.read(asked.tenant, asked.fn, { deadlineMs, signal: asked.signal });
    });
  }

  #sample<T>({ tenant, name, fn }: Asked<T>, stage: Stage, value: T): void {
    const { settings, shadow } = this.#parts;
    const side = STAGES[stage].shadow;
    const options = settings.reads[name];
    if (side === null || options?.neverTarget === true) return;
    if (Math.random() >= (options?.sampleRate ?? settings.sampleRate)) return;
    // As text at once: the caller may change the object that it gets.
    shadow.offer({ tenant, name, side, fn, answer: canonical(value) });
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
