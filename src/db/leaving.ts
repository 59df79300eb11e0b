/**
 * Journal rows that the target has committed and that are to be deleted: the next batch does not wait for it, and does
 * not apply them again. What comes within a few milliseconds is deleted together, since each deletion is a commit of
 * the source that the application's own commits wait beside.
 */
import type { Milliseconds } from '../domain/duration.ts';
import { deleteJournal, type JournalIds } from './journal-rows.ts';
import type { Pair } from './tracked.ts';

/** Other processes find the rows meanwhile, and apply them again. */
const LAG: Milliseconds = 10;
/** A batch of so many is deleted at once, and waits for the deletion before. */
const ROWS_MAX = 200;

export class Leaving {
  readonly #pair: Pair;
  /** By tenant: not known to be deleted. */
  readonly #ids = new Map<string, Set<string>>();
  /** Of those: no deletion has taken them yet. */
  #waiting = new Map<string, string[]>();
  #timer: NodeJS.Timeout | null = null;
  /** The tenant's last deletion, while it runs; never rejects. */
  readonly #last = new Map<string, Promise<void>>();
  /** Of tenants whose deletion failed, until somebody has heard of it. */
  readonly #failed = new Map<string, unknown>();

  constructor(pair: Pair) {
    this.#pair = pair;
  }

  /** A copy: a row that was leaving before the journal is read may be read although it is gone by then. */
  of(tenants: readonly string[]): ReadonlySet<string> {
    return new Set(tenants.flatMap((tenant) => [...(this.#ids.get(tenant) ?? [])]));
  }

  /**
   * Has the rows deleted soon. Rows whose deletion fails are in the journal still, and are applied again.
   *
   * @param ids of rows that a target transaction has committed
   * @throws as a deletion of one of these tenants did that nobody has heard of
   */
  async delete(ids: JournalIds): Promise<void> {
    if (ids.size === 0) return;
    const tenants = [...ids.keys()];
    for (const [tenant, own] of ids) {
      this.#waiting.set(tenant, [...(this.#waiting.get(tenant) ?? []), ...own]);
      this.#ids.set(tenant, new Set([...(this.#ids.get(tenant) ?? []), ...own]));
    }
    if ([...ids.values()].flat().length >= ROWS_MAX) {
      const before = this.#ended(tenants);
      this.#begin();
      await before;
    } else this.#timer ??= setTimeout(() => this.#begin(), LAG).unref();
    this.#tell(tenants);
  }

  /** Deletes what waits of the tenant now. @throws as a deletion of the tenant did that nobody has heard of */
  async settled(tenant: string): Promise<void> {
    if (this.#waiting.has(tenant)) this.#begin();
    while (this.#last.has(tenant)) await this.#last.get(tenant);
    this.#tell([tenant]);
  }

  #tell(tenants: readonly string[]): void {
    const errors = tenants
      .filter((tenant) => this.#failed.has(tenant))
      .map((tenant) => this.#failed.get(tenant));
    for (const tenant of tenants) this.#failed.delete(tenant);
    if (errors.length > 0) throw errors[0];
  }

  /** Of what runs now. */
  async #ended(tenants: readonly string[]): Promise<void> {
    await Promise.all(tenants.map((tenant) => this.#last.get(tenant) ?? Promise.resolve()));
  }

  /** Begins one deletion of all that waits, behind those that run of the same tenants. */
  #begin(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const taken = this.#waiting;
    this.#waiting = new Map();
    const work = this.#ended([...taken.keys()]).then(() => this.#delete(taken));
    for (const tenant of taken.keys()) this.#last.set(tenant, work);
    void work.then(() => {
      for (const tenant of taken.keys()) if (this.#last.get(tenant) === work) this.#last.delete(tenant);
    });
  }

  async #delete(taken: JournalIds): Promise<void> {
    const { source, control } = this.#pair;
    try {
      await deleteJournal(source, control, [...taken.values()].flat());
    } catch (error) {
      for (const tenant of taken.keys()) this.#failed.set(tenant, error);
    }
    for (const [tenant, own] of taken) {
      const leaving = this.#ids.get(tenant);
      for (const id of own) leaving?.delete(id);
      if (leaving?.size === 0) this.#ids.delete(tenant);
    }
  }
}
