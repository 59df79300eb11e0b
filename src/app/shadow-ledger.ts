/** Counts of decided shadow reads on their way into the control schema, where gates and `why` read them. */
import type { Database, Session } from '../db/database.ts';
import { qualified } from '../db/sql.ts';
import { SECOND, type Milliseconds } from '../domain/duration.ts';
import type { Difference } from '../domain/shadow.ts';

interface Found {
  count: number;
  /** Of `slower`: by how much, added up. */
  byMs: Milliseconds;
}

interface Count {
  readonly tenant: string;
  readonly readName: string;
  /** That might have been compared. */
  reads: number;
  samples: number;
  differing: number;
  readonly found: Map<Difference, Found>;
}

const READ_NAME_MAX = 128;
/** Kept while the control schema is out of reach: tenants times read names. Further ones are left out. */
const COUNTS_MAX = 10_000;

export class ShadowLedger {
  readonly #database: Database;
  readonly #control: string;
  readonly #node: string;
  readonly #timer: NodeJS.Timeout;
  #counts = new Map<string, Count>();

  constructor(database: Database, control: string, node: string) {
    this.#database = database;
    this.#control = control;
    this.#node = node;
    this.#timer = setInterval(() => void this.flush().catch(() => {}), SECOND).unref(); // kept for the next one
  }

  /**
   * @param difference null: the sides said the same
   * @returns false when there is no room for one more kind of read
   */
  compared(tenant: string, name: string, difference: Difference | null): boolean {
    const count = this.#of(tenant, name);
    if (count === null) return false;
    count.samples += 1;
    if (difference !== null) {
      count.differing += 1;
      add(count.found, difference, { count: 1, byMs: 0 });
    }
    return true;
  }

  /** A read that might be compared, whether it will be or not: of a quiet tenant every one has to be. */
  saw(tenant: string, name: string): void {
    const count = this.#of(tenant, name);
    if (count !== null) count.reads += 1;
  }

  /** Apart from what the answers were: an equal answer may be slow. */
  slower(tenant: string, name: string, byMs: Milliseconds): void {
    const count = this.#of(tenant, name);
    if (count !== null) add(count.found, 'slower', { count: 1, byMs });
  }

  /** A failed transaction keeps its counts for the next one; a lost answer may count them twice. */
  async flush(): Promise<void> {
    if (this.#counts.size === 0) return;
    const counts = [...this.#counts.values()];
    this.#counts = new Map();
    try {
      await this.#database.transaction(async (session) => {
        await this.#write(session, counts);
        await this.#writeFound(session, counts);
      });
    } catch (error) {
      for (const count of counts) this.#restore(count);
      throw error;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  #of(tenant: string, name: string): Count | null {
    const readName = name.slice(0, READ_NAME_MAX);
    const key = keyOf(tenant, readName);
    const known = this.#counts.get(key);
    if (known !== undefined) return known;
    if (this.#counts.size >= COUNTS_MAX) return null;
    const count: Count = { tenant, readName, reads: 0, samples: 0, differing: 0, found: new Map() };
    this.#counts.set(key, count);
    return count;
  }

  async #write(session: Session, counts: readonly Count[]): Promise<void> {
    const rows = counts.map(() => '(?, ?, ?, ?, ?, NOW(6), NOW(6), ?)');
    const values = counts.flatMap((count) => [
      ...this.#key(count),
      count.samples,
      count.differing,
      count.reads,
    ]);
    await session.run(
      `INSERT INTO ${qualified(this.#control, 'shadow')} (tenant, read_name, node, samples, differing, first_at, last_at, read_count) VALUES ${rows.join(', ')}
       ON DUPLICATE KEY UPDATE samples = samples + VALUES(samples), differing = differing + VALUES(differing), read_count = read_count + VALUES(read_count), last_at = VALUES(last_at)`,
      values,
    );
  }

  async #writeFound(session: Session, counts: readonly Count[]): Promise<void> {
    const values = counts.flatMap((count) =>
      [...count.found].map(([word, { count: n, byMs }]) => [...this.#key(count), word, n, Math.round(byMs)]),
    );
    if (values.length === 0) return;
    const rows = values.map(() => '(?, ?, ?, ?, ?, ?, NOW(6))');
    await session.run(
      `INSERT INTO ${qualified(this.#control, 'shadow_difference')} (tenant, read_name, node, class, found, by_ms, last_at) VALUES ${rows.join(', ')}
       ON DUPLICATE KEY UPDATE found = found + VALUES(found), by_ms = by_ms + VALUES(by_ms), last_at = VALUES(last_at)`,
      values.flat(),
    );
  }

  #key({ tenant, readName }: Count): [Buffer, string, string] {
    return [Buffer.from(tenant, 'utf8'), readName, this.#node];
  }

  #restore(count: Count): void {
    const key = keyOf(count.tenant, count.readName);
    const since = this.#counts.get(key);
    if (since === undefined) return void this.#counts.set(key, count);
    since.reads += count.reads;
    since.samples += count.samples;
    since.differing += count.differing;
    for (const [word, found] of count.found) add(since.found, word, found);
  }
}

const keyOf = (tenant: string, readName: string): string => `${tenant}\0${readName}`;

function add(all: Map<Difference, Found>, word: Difference, { count, byMs }: Found): void {
  const before = all.get(word) ?? { count: 0, byMs: 0 };
  all.set(word, { count: before.count + count, byMs: before.byMs + byMs });
}
