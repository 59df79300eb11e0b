/**
 * Mirroring what is waited for: tenants that wait at one moment share one transaction on the target, so that its cost
 * is paid once for all of them.
 *
 * Nobody suffers by another: a tenant whose lock is taken, whose journal is long, or that was in a transaction that
 * failed, is mirrored by itself.
 */
import type { ReplicaLink } from './replica.ts';

/** Transactions at once; what comes meanwhile shares the next one. */
const AT_ONCE = 2;
const TENANTS_MAX = 32;

interface Waiting {
  readonly tenant: string;
  readonly departs: () => Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const NOBODY: ReadonlySet<string> = new Set();

export class Reaching {
  readonly #link: Pick<ReplicaLink, 'use'>;
  readonly #waiting: Waiting[] = [];
  #running = 0;

  constructor(link: Pick<ReplicaLink, 'use'>) {
    this.#link = link;
  }

  /**
   * Resolves when all that the tenant had committed before is on the target.
   *
   * @param alone it failed before: no other tenant waits for it
   * @param departs called right before the journal is read, perhaps again: what the tenant has committed by the last time
   *   is on the target, too
   */
  reach(
    tenant: string,
    alone: boolean,
    departs: () => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    if (alone) return this.#alone({ tenant, departs });
    return new Promise((resolve, reject) => {
      this.#waiting.push({ tenant, departs, resolve, reject });
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    if (this.#running >= AT_ONCE) return;
    this.#running += 1;
    while (this.#waiting.length > 0) await this.#take(this.#waiting.splice(0, TENANTS_MAX));
    this.#running -= 1;
  }

  /** Never throws. */
  async #take(taken: readonly Waiting[]): Promise<void> {
    const reached = await this.#together(taken);
    for (const waiting of taken) {
      if (reached.has(waiting.tenant)) waiting.resolve();
      // Nobody who comes next waits for it.
      else this.#alone(waiting).then(waiting.resolve, waiting.reject);
    }
  }

  async #together(taken: readonly Waiting[]): Promise<ReadonlySet<string>> {
    const depart = async (locked: readonly string[]): Promise<void> => {
      const going = taken.filter(({ tenant }) => locked.includes(tenant));
      await Promise.all(going.map(({ departs }) => departs()));
    };
    const tenants = taken.map(({ tenant }) => tenant);
    try {
      return await this.#link.use(({ mirror }) => mirror.reachTogether(tenants, depart));
    } catch {
      return NOBODY; // each of them says why
    }
  }

  async #alone({ tenant, departs }: Pick<Waiting, 'tenant' | 'departs'>): Promise<void> {
    await this.#link.use(({ mirror }) => mirror.reach(tenant, departs));
  }
}
