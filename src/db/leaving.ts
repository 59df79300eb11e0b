/**
 * Journal rows that the target has committed and that are just being deleted: the next batch does not wait for it,
 * and does not apply them again.
 */
import { deleteJournal, type JournalIds } from './journal-rows.ts';
import type { Pair } from './tracked.ts';

export class Leaving {
  readonly #pair: Pair;
  readonly #ids = new Map<string, Set<string>>();
  /** The end of the tenant's last deletion; one that failed stays until somebody has heard of it. */
  readonly #last = new Map<string, Promise<void>>();

  constructor(pair: Pair) {
    this.#pair = pair;
  }

  /** A copy: a row that was leaving before the journal is read may be read although it is gone by then. */
  of(tenants: readonly string[]): ReadonlySet<string> {
    return new Set(tenants.flatMap((tenant) => [...(this.#ids.get(tenant) ?? [])]));
  }

  /**
   * Deletes the rows, one deletion of a tenant after the other. Rows whose deletion fails are in the journal still,
   * and are applied again.
   *
   * @param ids of rows that a target transaction has committed
   * @returns when the deletions before it have ended @throws as one of those did
   */
  async delete(ids: JournalIds): Promise<void> {
    if (ids.size === 0) return;
    const tenants = [...ids.keys()];
    const before = tenants.map((tenant) => this.#last.get(tenant) ?? Promise.resolve());
    for (const [tenant, own] of ids) for (const id of own) this.#leavingOf(tenant).add(id);
    const { source, control } = this.#pair;
    const work = Promise.allSettled(before) // told below
      .then(() => deleteJournal(source, control, [...ids.values()].flat()))
      .finally(() => {
        for (const [tenant, own] of ids) for (const id of own) this.#ids.get(tenant)?.delete(id);
      });
    for (const tenant of tenants) this.#last.set(tenant, work);
    work.then(
      () => tenants.forEach((tenant) => this.#forget(tenant, work)),
      () => {}, // told to whoever comes next
    );
    await Promise.all(before);
  }

  #leavingOf(tenant: string): Set<string> {
    const leaving = this.#ids.get(tenant) ?? new Set();
    this.#ids.set(tenant, leaving);
    return leaving;
  }

  /** @throws what the last deletion threw */
  async settled(tenant: string): Promise<void> {
    const last = this.#last.get(tenant);
    if (last === undefined) return;
    try {
      await last;
    } finally {
      this.#forget(tenant, last);
    }
  }

  #forget(tenant: string, work: Promise<void>): void {
    if (this.#last.get(tenant) !== work) return;
    this.#last.delete(tenant);
    this.#ids.delete(tenant);
  }
}
