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
/** In one statement. */
const DELETED_AT_ONCE = 2_000;

export class Leaving {
  readonly #pair: Pair;
  /** By tenant: not known to be deleted. */
  readonly #ids = new Map<string, Set<string>>();
  /** Of those: no deletion has taken them yet. */
  #waiting = new Map<string, string[]>();
  #timer: NodeJS.Timeout | null = null;
  /** The deletion that was begun last; never rejects. */
  #last = Promise.resolve();
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
    let rows = 0;
    for (const [tenant, own] of ids) {
      rows += own.length;
      this.#waiting.set(tenant, [...(this.#waiting.get(tenant) ?? []), ...own]);
      const leaving = this.#ids.get(tenant) ?? new Set();
      for (const id of own) leaving.add(id);
      this.#ids.set(tenant, leaving);
    }
    if (rows >= ROWS_MAX) {
      const before = this.#last;
      void this.#begin();
      await before;
    } else if (rows > 0) this.#timer ??= setTimeout(() => void this.#begin(), LAG).unref();
    this.#tell([...ids.keys()]);
  }

  /** Deletes what waits now. @throws what the tenant's last deletion threw */
  async settled(tenant: string): Promise<void> {
    if (this.#ids.has(tenant)) await this.#begin();
    this.#tell([tenant]);
  }

  #tell(tenants: readonly string[]): void {
    const failed = tenants.filter((tenant) => this.#failed.has(tenant));
    const errors = failed.map((tenant) => this.#failed.get(tenant));
    for (const tenant of failed) this.#failed.delete(tenant);
    if (failed.length > 0) throw errors[0];
  }

  /** One deletion after the other, each of all that waits by then. */
  #begin(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#last = this.#last.then(() => this.#deleteWaiting());
    return this.#last;
  }

  async #deleteWaiting(): Promise<void> {
    const taken = this.#waiting;
    this.#waiting = new Map();
    const { source, control } = this.#pair;
    try {
      const ids = [...taken.values()].flat();
      for (let at = 0; at < ids.length; at += DELETED_AT_ONCE)
        await deleteJournal(source, control, ids.slice(at, at + DELETED_AT_ONCE));
    } catch (error) {
      for (const tenant of taken.keys()) this.#failed.set(tenant, error);
    }
    for (const [tenant, own] of taken) this.#forget(tenant, own);
  }

  #forget(tenant: string, ids: readonly string[]): void {
    const leaving = this.#ids.get(tenant);
    if (leaving === undefined) return;
    for (const id of ids) leaving.delete(id);
    if (leaving.size === 0) this.#ids.delete(tenant);
  }
}
