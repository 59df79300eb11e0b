/**
 * The loop's way with tenants that somebody waits for: one transaction for all of those that nobody else is at.
 * Where an application's nodes mirror their own writes, the loop then costs little, and leaves to them what they have.
 */
import type { Mirror } from './mirror.ts';

const TENANTS_MAX = 32;
/** So often in a row a tenant is left to whoever has it; then the loop waits for its lock: a shared one may be held by many in turn. */
const SKIPS_MAX = 3;

export interface Served {
  /** Journal rows that were applied. */
  readonly applied: number;
  /** The journal held rows of these. */
  readonly found: readonly string[];
  readonly done: readonly string[];
  /** Somebody else has these. */
  readonly skipped: readonly string[];
  /** Each is to be mirrored by itself. */
  readonly alone: readonly string[];
}

export class MirrorTogether {
  readonly #skips = new Map<string, number>();
  #isRunning = false;

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Never throws: of a failure each tenant says why by itself. */
  async serve(mirror: Mirror, waiting: readonly string[]): Promise<Served> {
    const tenants = waiting.slice(0, TENANTS_MAX);
    this.#isRunning = true;
    try {
      const { reached, applied, found } = await mirror.mirrorTogether(tenants);
      const done = tenants.filter((tenant) => reached.has(tenant));
      for (const tenant of done) this.#skips.delete(tenant);
      const skipped = tenants.filter((tenant) => !reached.has(tenant));
      return { applied, found, done, skipped, alone: this.#overdue(skipped) };
    } catch {
      return { applied: 0, found: [], done: [], skipped: [], alone: tenants };
    } finally {
      this.#isRunning = false;
    }
  }

  #overdue(skipped: readonly string[]): string[] {
    return skipped.filter((tenant) => {
      const skips = (this.#skips.get(tenant) ?? 0) + 1;
      this.#skips.set(tenant, skips % SKIPS_MAX);
      return skips === SKIPS_MAX;
    });
  }
}
