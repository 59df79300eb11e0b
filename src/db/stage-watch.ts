/** One look at the stages that changed, for everybody of a process who waits for one: a fleet waits with a thousand. */
import { setTimeout as sleep } from 'node:timers/promises';

import { SECOND, type Milliseconds } from '../domain/duration.ts';
import { readStages, type StageRow } from './stages.ts';
import type { Pair } from './tracked.ts';

const EVERY: Milliseconds = SECOND / 4;

interface Waiting {
  readonly version: number;
  readonly heard: () => void;
}

export class StageWatch {
  readonly #pair: Pick<Pair, 'source' | 'control'>;
  readonly #waiting = new Map<string, Set<Waiting>>();
  /** Change version of each tenant that changed while somebody waited. */
  readonly #latest = new Map<string, number>();
  #upTo = 0;
  #isLooking = false;

  constructor(pair: Pick<Pair, 'source' | 'control'>) {
    this.#pair = pair;
  }

  /**
   * Resolves once the tenant's row has a later change version, which a flip, or becoming dirty or clean, gives it; never
   * after `signal`. A source that can't be read is looked at again: whoever waits has a time of their own.
   *
   * @param version as the caller read it
   */
  changed(tenant: string, version: number, signal: AbortSignal): Promise<void> {
    return new Promise((heard) => {
      if ((this.#latest.get(tenant) ?? 0) > version) {
        // Once: a source that was restored gives lower versions, which must not be answered for ever.
        this.#latest.delete(tenant);
        return heard();
      }
      const one = { version, heard };
      const all = this.#waiting.get(tenant) ?? new Set();
      this.#waiting.set(tenant, all.add(one));
      signal.addEventListener('abort', () => this.#leave(tenant, one), { once: true });
      if (!this.#isLooking) void this.#look();
    });
  }

  #leave(tenant: string, one: Waiting): void {
    const all = this.#waiting.get(tenant);
    all?.delete(one);
    if (all?.size === 0) this.#waiting.delete(tenant);
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    while (this.#waiting.size > 0) {
      await sleep(EVERY);
      // Asked again soon.
      const changed = await readStages(this.#pair.source, this.#pair.control, this.#upTo).catch(() => []);
      for (const row of changed) this.#tell(row);
    }
    this.#isLooking = false;
  }

  /** Versions are given under a lock that lasts until the commit: a lower one never comes later. */
  #tell({ tenant, version }: StageRow): void {
    this.#upTo = version;
    this.#latest.set(tenant, version);
    for (const one of this.#waiting.get(tenant) ?? []) if (version > one.version) one.heard();
  }
}
