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

/** Who may still come with a mirror that holds its lock. */
export interface Boarding {
  /** The commits that were sent before have been answered, or take too long. */
  readonly answered: () => Promise<void>;
  /** Right before the journal is read, perhaps again: what the tenant has committed by the last time is covered. */
  readonly closes: () => void;
}

const NOBODY_COMES: Boarding = { answered: () => Promise.resolve(), closes: () => {} };

interface Waiting {
  readonly tenant: string;
  readonly boarding: Boarding;
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
   */
  reach(tenant: string, alone: boolean, boarding: Boarding = NOBODY_COMES): Promise<void> {
    if (alone) return this.#alone({ tenant, boarding });
    return new Promise((resolve, reject) => {
      this.#waiting.push({ tenant, boarding, resolve, reject });
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
    const tenants = taken.map(({ tenant }) => tenant);
    try {
      return await this.#link.use(({ mirror }) => mirror.reachTogether(tenants, board(taken)));
    } catch {
      return NOBODY; // each of them says why
    }
  }

  async #alone(one: Pick<Waiting, 'tenant' | 'boarding'>): Promise<void> {
    const { tenant } = one;
    await this.#link.use(({ mirror }) => mirror.reach(tenant, () => board([one])([tenant])));
  }
}

/** Until everybody's commits are answered all of them take more; then all close at once. */
const board =
  (taken: readonly Pick<Waiting, 'tenant' | 'boarding'>[]) =>
  async (locked: readonly string[]): Promise<void> => {
    const going = taken.filter(({ tenant }) => locked.includes(tenant));
    await Promise.all(going.map(({ boarding }) => boarding.answered()));
    for (const { boarding } of going) boarding.closes();
  };
