/** Writes: one transaction on the authority, then the mirror. */
import type { Bounds } from './bounded.ts';
import type { CaughtUp } from './caught-up.ts';
import { CommitUnknownError, WriteHeldError, WriteInReadError } from './errors.ts';
import type { Flags } from './flags.ts';
import type { WriteFunction } from './handle.ts';
import type { Mirroring } from './mirror-hints.ts';
import type { Notices } from './notices.ts';
import type { Settings } from './options.ts';
import type { ApplicationPool } from './pool.ts';
import { assertSameSchema, joined, scoped, type Scopes } from './scope.ts';
import type { FailedWrite, Stats } from './stats.ts';
import { safeMessage, type Telemetry } from './telemetry.ts';
import type { WriteOptions, Written } from './tenant.ts';
import { tokenFor } from './token.ts';
import { runTransaction, type Ended } from './transaction.ts';
import type { UnderWay } from './under-way.ts';
import type { Milliseconds } from '../domain/duration.ts';
import { SHARED, STAGES } from '../domain/stage.ts';

/** Writes that wait at once while their authority moves; one more is told to come back. */
const PARKED_MAX = 1_000;

export interface WriteParts {
  readonly settings: Settings;
  readonly scopes: Scopes;
  readonly flags: Flags;
  readonly pool: ApplicationPool;
  readonly mirror: () => Mirroring;
  readonly caughtUp: CaughtUp;
  /** Read buffers forget what they hold of these tenants; never fails. */
  readonly changed: (tenants: readonly string[]) => Promise<void>;
  readonly stats: Stats;
  readonly telemetry: Telemetry;
  readonly notices: Notices;
  readonly underWay: UnderWay;
}

export class Writes {
  readonly #parts: WriteParts;
  readonly #parked = new Set<() => void>();

  constructor(parts: WriteParts) {
    this.#parts = parts;
  }

  async write<T>(tenant: string, fn: WriteFunction<T>, options: WriteOptions): Promise<Written<T>> {
    const { scopes, settings, underWay } = this.#parts;
    const outer = joined(scopes);
    if (outer !== null) {
      if (outer.kind === 'read')
        throw new WriteInReadError('a read may run twice; write after it, or read inside the write');
      assertSameSchema(outer, tenant, settings.schema.source);
      outer.tenants.add(tenant);
      return { value: await fn(outer.conn), token: tokenFor(tenant, false) };
    }
    underWay.enter();
    try {
      return await this.#commit(tenant, fn, options);
    } finally {
      underWay.leave();
    }
  }

  async #commit<T>(tenant: string, fn: WriteFunction<T>, options: WriteOptions): Promise<Written<T>> {
    const { scopes, mirror, changed, stats } = this.#parts;
    options.signal?.throwIfAborted();
    const left = await this.#awaitAuthority(tenant, options);
    const tenants = new Set([tenant]);
    let answered = (): void => {};
    const { value, mayBeCommitted, error } = await this.#transact(
      tenant,
      scoped(scopes, { kind: 'write', tenant, tenants }, fn),
      { deadlineMs: left, signal: options.signal },
      () => (answered = mirror().beforeCommit([...tenants])),
    );
    answered();
    if (error !== null) {
      this.#countFailure(tenant, error);
      // The commit may have happened though its answer was lost; the mirror finds out.
      // It may have read what the target does not hold yet.
      for (const each of tenants) this.#parts.caughtUp.sourceAnswered(each);
      if (mayBeCommitted) {
        void changed([...tenants]);
        for (const each of tenants) void mirror().afterCommit(each);
      }
      throw error;
    }
    stats.writes += 1;
    await Promise.all([changed([...tenants]), ...[...tenants].map((each) => mirror().afterCommit(each))]);
    return { value: value as T, token: tokenFor(tenant, tenants.size === 1 && this.#isMirrored(tenant)) };
  }

  async #transact<T>(
    tenant: string,
    fn: WriteFunction<T>,
    bounds: Bounds,
    committing: () => void,
  ): Promise<Ended<T>> {
    const { telemetry, pool } = this.#parts;
    let ended: Ended<T> | null = null;
    const run = async (): Promise<Ended<T>> => {
      ended = await runTransaction(pool, tenant, fn, bounds, committing);
      if (ended.error !== null) throw ended.error;
      return ended;
    };
    const operation = { tenant, name: null, side: 'source', purpose: 'request' } as const;
    return telemetry.operation(operation, run).catch((error: unknown) => {
      if (ended === null) throw error;
      return ended;
    });
  }

  #countFailure(tenant: string, error: unknown): void {
    const { stats, notices } = this.#parts;
    const outcome: FailedWrite = error instanceof CommitUnknownError ? 'unknown' : 'rolled-back';
    stats.failedWrites[outcome] += 1;
    if (outcome === 'rolled-back') return; // told to its caller
    const reason = 'the answer to COMMIT was lost';
    const why = { reason, error: safeMessage('source', (error as Error).cause) };
    notices.warn('nobody knows whether a write is committed', { tenant, side: 'source', ...why });
  }

  #isMirrored(tenant: string): boolean {
    const { flags, mirror } = this.#parts;
    // A write may have touched a table that all share; its rows are not in the tenant's journal.
    const hasShared = STAGES[flags.get(SHARED).stage].mirrored;
    const isAwaited = STAGES[flags.get(tenant).stage].awaitsMirror;
    return flags.capture === 'triggers' && !hasShared && isAwaited && !mirror().isLagging(tenant);
  }

  /** Parked writes look again. */
  stagesChanged(): void {
    for (const look of this.#parked) look();
  }

  /**
   * @returns what is left of the deadline; undefined: there is none
   * @throws WriteHeldError when nobody has the authority for longer than `holdMs`, or too many wait
   */
  async #awaitAuthority(
    tenant: string,
    { deadlineMs, signal }: WriteOptions,
  ): Promise<Milliseconds | undefined> {
    if (!this.#isHeld(tenant)) return deadlineMs;
    const { holdMs } = this.#parts.settings;
    const bound = Math.min(holdMs, deadlineMs ?? holdMs);
    if (this.#parked.size >= PARKED_MAX) throw this.#heldError(tenant);
    const began = performance.now();
    await this.#park(tenant, bound, signal);
    if (this.#isHeld(tenant)) throw this.#heldError(tenant);
    return deadlineMs === undefined ? undefined : Math.max(1, deadlineMs - (performance.now() - began));
  }

  #heldError(tenant: string): WriteHeldError {
    const { stats, notices, settings } = this.#parts;
    stats.failedWrites.held += 1;
    notices.warn('a write is told to come back', { tenant, reason: 'the write authority moves' });
    return new WriteHeldError(tenant, settings.holdMs);
  }

  #isHeld(tenant: string): boolean {
    return STAGES[this.#parts.flags.get(tenant).stage].authority === null;
  }

  #park(tenant: string, boundMs: Milliseconds, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#parked.delete(look);
        signal?.removeEventListener('abort', abort);
      };
      const go = (): void => {
        end();
        resolve();
      };
      const abort = (): void => {
        end();
        reject(signal!.reason as Error);
      };
      const look = (): void => {
        if (!this.#isHeld(tenant)) go();
      };
      const timer = setTimeout(go, boundMs);
      this.#parked.add(look);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }
}
