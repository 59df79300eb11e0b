/**
 * The connections by which this node mirrors and compares: its own, on both sides, with short bounds, so that
 * neither a request nor a flag ever waits behind them.
 */
import { Guard } from './guard.ts';
import type { Settings } from './options.ts';
import { Database } from '../db/database.ts';
import { Mirror } from '../db/mirror.ts';
import { loadTracked, type Pair, type Tracked } from '../db/tracked.ts';
import { SECOND, type Milliseconds } from '../domain/duration.ts';

const CONNECTIONS = 4;
const QUEUE = 100;
/** A table that was altered must not be copied by its former columns for longer. */
const RELOAD_EVERY: Milliseconds = 5 * SECOND;

export interface Replica {
  readonly pair: Pair;
  readonly tracked: Tracked;
  readonly mirror: Mirror;
  /** As `pair`, for the application's own statements: a packet of theirs holds one. */
  readonly lent: Pair;
}

export class ReplicaLink {
  readonly #pair: Pair;
  readonly #lent: Pair;
  readonly #guard = new Guard(CONNECTIONS, QUEUE);
  #loaded: Promise<Replica> | null = null;
  #staleAt: Milliseconds = 0;

  constructor({ sourceUrl, targetUrl, schema, control }: Settings, changed: Pair['changed']) {
    const bounds = { connections: CONNECTIONS, deadline: 4 * SECOND, lockWait: 3 * SECOND };
    const open = (combines: boolean): Pair => ({
      source: new Database({ side: 'source', url: sourceUrl, ...bounds, combines }),
      target: new Database({ side: 'target', url: targetUrl, ...bounds, combines }),
      control,
      sourceSchema: schema.source,
      targetSchema: schema.target,
      ...(changed === undefined ? {} : { changed }),
    });
    this.#pair = open(true);
    this.#lent = open(false);
  }

  get isFailing(): boolean {
    return this.#guard.isFailing;
  }

  /** @throws at once while the target keeps failing, or too much waits already */
  use<T>(use: (replica: Replica) => Promise<T>): Promise<T> {
    return this.#guard.execute(async () => use(await this.#load()));
  }

  /** After a change of stages, and so perhaps of the plan: the next use reads the tracked tables again. */
  forget(): void {
    this.#staleAt = 0;
  }

  async close(): Promise<void> {
    const pairs = [this.#pair, this.#lent];
    await Promise.all(pairs.flatMap(({ source, target }) => [source.close(), target.close()]));
  }

  async #load(): Promise<Replica> {
    const before = this.#loaded;
    if (before !== null && performance.now() < this.#staleAt) return before;
    this.#staleAt = performance.now() + RELOAD_EVERY;
    const loading = this.#read(before);
    this.#loaded = loading;
    try {
      return await loading;
    } catch (error) {
      if (this.#loaded === loading) this.#loaded = null;
      throw error;
    }
  }

  async #read(before: Promise<Replica> | null): Promise<Replica> {
    const tracked = await loadTracked(this.#pair);
    // The mirror stays: it remembers where each tenant's journal begins.
    const mirror = (await before?.catch(() => null))?.mirror ?? new Mirror(this.#pair, tracked);
    mirror.retrack(tracked);
    return { pair: this.#pair, tracked, mirror, lent: this.#lent };
  }
}
