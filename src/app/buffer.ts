/**
 * The read buffer: reads that many requests repeat are answered by Redis for a while.
 *
 * Three rules keep a wrong value out. A value stands under the versions that were read before its load began, and a
 * write moves them before it returns. Its key holds the tenant's epoch, so a flip leaves all older ones behind.
 * And while this process knows better than the stage (dirty, lagging, cut off, inside a write, a change that Redis
 * was not told of) nothing is taken and nothing is given.
 */
import { createHash } from 'node:crypto';

import { BrokenCircuitError } from 'cockatiel';

import { DeadlineError } from './errors.ts';
import type { Begun, Place } from './buffer-redis.ts';
import type { Flags } from './flags.ts';
import type { ReadFunction } from './handle.ts';
import type { Invalidations } from './invalidations.ts';
import type { Notices } from './notices.ts';
import type { Reads } from './reads.ts';
import type { BufferStats } from './stats.ts';
import { errorType } from './telemetry.ts';
import { stripError } from '../db/faults.ts';
import { SECOND, type Milliseconds } from '../domain/duration.ts';
import { TransientDatabaseError } from '../domain/errors.ts';

/** Characters of a longer value cost more to keep than to read again. */
const VALUE_MAX = 256 * 1024;
const KEY_MAX = 128;
/** A value lives for 0.9 to 1 of its `ttl`, so that what was loaded together does not expire together. */
const JITTER = 0.1;

export interface BufferOptions<A, V> {
  /** From before the load, milliseconds: no value is older, whoever wrote, and whatever became of Redis. */
  readonly ttl: Milliseconds;
  /** Tells the values of one tenant apart. */
  readonly key: (args: A) => string;
  /** A read as in `router.tenant(id).read`; `null`: there is no such thing. What it gives must survive JSON. */
  readonly load: (conn: Parameters<ReadFunction<V>>[0], args: A) => Promise<V | null>;
  /** How long "no such thing" is believed; `ttl`, but at most 1 s, when missing. */
  readonly negativeTtl?: Milliseconds;
  /** When a server fails the load: a value this old, from before its load, is served if no known write overtook it. 0. */
  readonly staleFor?: Milliseconds;
  /** Of one load; none when missing. */
  readonly deadlineMs?: Milliseconds;
}

export interface ReadBuffer<A, V> {
  /**
   * @returns what `load` gave, as JSON brings it back: a copy of the caller's own
   * @throws what the load throws
   */
  get(tenant: string, args: A): Promise<V | null>;
  /** For writers that neither the router nor the journal sees. Never fails; told again when Redis is back. */
  invalidate(tenant: string): Promise<void>;
}

export interface BufferParts {
  readonly reads: Reads;
  readonly flags: Flags;
  /** null: no Redis was given; loads are still shared. */
  readonly invalidations: Invalidations | null;
  readonly notices: Notices;
}

type Flights = Map<string, Promise<string>>;

/** Of all buffers of a router. */
export class LoadsUnderWay {
  readonly #byTenant = new Map<string, Flights>();

  /** Whoever asks after a write must not be answered by a load that began before it. */
  forget(tenants: readonly string[]): void {
    for (const tenant of tenants) this.#byTenant.delete(tenant);
  }

  share(tenant: string, key: string, load: () => Promise<string>): Promise<string> {
    const flights: Flights = this.#byTenant.get(tenant) ?? new Map<string, Promise<string>>();
    this.#byTenant.set(tenant, flights);
    const known = flights.get(key);
    if (known !== undefined) return known;
    const flight = load().finally(() => {
      flights.delete(key);
      if (flights.size === 0 && this.#byTenant.get(tenant) === flights) this.#byTenant.delete(tenant);
    });
    flights.set(key, flight);
    return flight;
  }
}

export class Buffer<A, V> implements ReadBuffer<A, V> {
  readonly #name: string;
  readonly #options: BufferOptions<A, V>;
  readonly #parts: BufferParts;
  readonly #loads: LoadsUnderWay;
  readonly #stats: BufferStats;

  constructor(
    name: string,
    options: BufferOptions<A, V>,
    parts: BufferParts,
    loads: LoadsUnderWay,
    stats: BufferStats,
  ) {
    this.#name = name;
    this.#options = options;
    this.#parts = parts;
    this.#loads = loads;
    this.#stats = stats;
  }

  async get(tenant: string, args: A): Promise<V | null> {
    if (!this.#parts.reads.isOrdinary(tenant, this.#name)) {
      this.#stats.bypassed += 1;
      return JSON.parse(await this.#load(tenant, args)) as V | null;
    }
    return JSON.parse(await this.#text(tenant, args)) as V | null;
  }

  async invalidate(tenant: string): Promise<void> {
    this.#loads.forget([tenant]);
    await this.#parts.invalidations?.changed([tenant]);
  }

  async #text(tenant: string, args: A): Promise<string> {
    const { invalidations, flags, reads } = this.#parts;
    const flag = flags.get(tenant);
    const { epoch } = flag;
    const place = { tenant, key: `${this.#name}:${epoch}:${shortened(this.#options.key(args))}` };
    const bypass = () => this.#bypass(place, args);
    if (invalidations === null || invalidations.isUntold(tenant)) return bypass();
    const { redis } = invalidations;
    const found = await this.#ask(() => redis.get(place));
    // A write of this process may have failed to tell Redis while it was asked.
    if (found === undefined || invalidations.isUntold(tenant)) return bypass();
    if (found !== null) {
      this.#stats.hit += 1;
      reads.handedOut(tenant, flag);
      return found;
    }
    const begun = await this.#ask(() => redis.begin(tenant));
    if (begun === undefined) return bypass();
    this.#stats.miss += 1;
    const key = `${place.key}\0${begun.version}`;
    return this.#loads.share(tenant, key, () => this.#loadAndStore(place, epoch, begun, args));
  }

  #bypass(place: Place, args: A): Promise<string> {
    this.#stats.bypassed += 1;
    return this.#loads.share(place.tenant, place.key, () => this.#load(place.tenant, args));
  }

  async #loadAndStore(place: Place, epoch: number, begun: Begun, args: A): Promise<string> {
    const { reads, flags, invalidations } = this.#parts;
    const { tenant } = place;
    let text: string;
    try {
      text = await this.#load(tenant, args);
    } catch (error) {
      const stale = await this.#stale(place, error);
      if (stale === null) throw error;
      return stale;
    }
    // Moved meanwhile, or the other side answered: it may be neither side's answer to this epoch.
    const isOf = flags.get(tenant).epoch === epoch && reads.isOrdinary(tenant, this.#name);
    if (!isOf || text.length > VALUE_MAX || invalidations!.isUntold(tenant)) return text;
    const { ttl, negativeTtl = Math.min(ttl, SECOND), staleFor = 0 } = this.#options;
    const isNothing = text === 'null';
    void this.#ask(() =>
      invalidations!.redis.store(place, {
        text,
        begun,
        ttl: Math.floor((isNothing ? Math.min(negativeTtl, ttl) : ttl) * (1 - JITTER * Math.random())),
        staleFor: isNothing ? 0 : staleFor,
      }),
    );
    return text;
  }

  /** Only for a server that fails: what the application itself throws is its answer. */
  async #stale(place: Place, error: unknown): Promise<string | null> {
    const { invalidations } = this.#parts;
    const cause = stripError('read', error);
    const isIll = cause instanceof TransientDatabaseError || cause instanceof DeadlineError;
    if (!isIll || !this.#options.staleFor || invalidations!.isUntold(place.tenant)) return null;
    const stale = await this.#ask(() => invalidations!.redis.getStale(place));
    if (typeof stale !== 'string') return null;
    this.#stats.stale += 1;
    const { tenant } = place;
    const reason = errorType(error);
    this.#parts.notices.warn('an old value of the read buffer was served', {
      tenant,
      read: this.#name,
      reason,
    });
    return stale;
  }

  async #load(tenant: string, args: A): Promise<string> {
    const { load, deadlineMs } = this.#options;
    const value = await this.#parts.reads.read(tenant, this.#name, (conn) => load(conn, args), {
      deadlineMs,
    });
    return JSON.stringify(value ?? null);
  }

  /** @returns undefined when Redis failed it, or was not asked since it keeps failing */
  async #ask<T>(command: () => Promise<T>): Promise<T | undefined> {
    try {
      return await command();
    } catch (error) {
      if (!(error instanceof BrokenCircuitError)) {
        this.#stats.error += 1;
        const reason = errorType(error);
        this.#parts.notices.warn('Redis failed the read buffer', { read: this.#name, reason });
      }
      return undefined;
    }
  }
}

const shortened = (key: string): string =>
  key.length <= KEY_MAX ? key : createHash('sha256').update(key).digest('base64url');
