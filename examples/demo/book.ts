/** What was acknowledged: for each row its last state, and whether it should be there at all. */
export type State = Readonly<Record<string, string | null>>;

export interface Acknowledged {
  readonly tenant: string;
  readonly table: string;
  readonly id: string;
  /** Columns as the server prints them, binary as upper-case hex; null: the row was removed. */
  readonly state: State | null;
  /** Acknowledged writes to this row. */
  readonly writes: number;
}

interface Entry {
  tenant: string;
  state: Record<string, string | null> | null;
  writes: number;
  /** A later write was sent and not answered (yet): either state may stand. */
  isOpen: boolean;
  /** Rows that are removed with this one. */
  readonly children: Set<Entry>;
}

export class Book {
  readonly #entries = new Map<string, Entry>();
  #writes = 0;

  get writes(): number {
    return this.#writes;
  }

  acknowledge(tenant: string, table: string, id: string, columns: State): void {
    const entry = this.#entry(tenant, table, id);
    entry.state = { ...entry.state, ...columns };
    this.#written(entry);
  }

  /** The child is removed with its parent. */
  acknowledgeChild(
    parent: { table: string; id: string },
    child: { table: string; id: string },
    columns: State,
  ): void {
    const family = this.#entries.get(`${parent.table}/${parent.id}`)!;
    this.acknowledge(family.tenant, child.table, child.id, columns);
    family.children.add(this.#entries.get(`${child.table}/${child.id}`)!);
  }

  remove(table: string, id: string): void {
    const entry = this.#entries.get(`${table}/${id}`)!;
    this.#written(entry);
    for (const gone of [entry, ...entry.children]) {
      gone.state = null;
      gone.isOpen = false;
    }
  }

  /** Before a request that changes the row. */
  doubt(table: string, id: string): void {
    const entry = this.#entries.get(`${table}/${id}`);
    if (entry !== undefined) entry.isOpen = true;
  }

  /** Before a request that removes the row. */
  doubtAll(table: string, id: string): void {
    this.doubt(table, id);
    for (const child of this.#entries.get(`${table}/${id}`)?.children ?? []) child.isOpen = true;
  }

  entries(): Acknowledged[] {
    return [...this.#entries]
      .filter(([, { isOpen }]) => !isOpen)
      .map(([key, { tenant, state, writes }]) => {
        const [table = '', id = ''] = key.split('/');
        return { tenant, table, id, state, writes };
      });
  }

  #written(entry: Entry): void {
    entry.writes += 1;
    entry.isOpen = false;
    this.#writes += 1;
  }

  #entry(tenant: string, table: string, id: string): Entry {
    const key = `${table}/${id}`;
    const entry = this.#entries.get(key) ?? {
      tenant,
      state: null,
      writes: 0,
      isOpen: false,
      children: new Set<Entry>(),
    };
    this.#entries.set(key, entry);
    return entry;
  }
}
