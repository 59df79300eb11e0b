/** Counts of decided shadow reads on their way into the control schema, where gates read them. */
import type { Database } from '../db/database.ts';
import { qualified } from '../db/sql.ts';
import { SECOND } from '../domain/duration.ts';

interface Count {
  readonly tenant: string;
  readonly readName: string;
  samples: number;
  differing: number;
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

  /** @returns false when there is no room for one more kind of read */
  add(tenant: string, name: string, isDiffering: boolean): boolean {
    const readName = name.slice(0, READ_NAME_MAX);
    const key = `${tenant}\0${readName}`;
    const known = this.#counts.get(key);
    if (known === undefined && this.#counts.size >= COUNTS_MAX) return false;
    const count = known ?? { tenant, readName, samples: 0, differing: 0 };
    count.samples += 1;
    if (isDiffering) count.differing += 1;
    this.#counts.set(key, count);
    return true;
  }

  /** A failed statement keeps its counts for the next one; a lost answer may count them twice. */
  async flush(): Promise<void> {
    if (this.#counts.size === 0) return;
    const counts = [...this.#counts.values()];
    this.#counts = new Map();
    const rows = counts.map(() => '(?, ?, ?, ?, ?, NOW(6), NOW(6))');
    const values = counts.flatMap(({ tenant, readName, samples, differing }) => [
      Buffer.from(tenant, 'utf8'),
      readName,
      this.#node,
      samples,
      differing,
    ]);
    try {
      await this.#database.run(
        `INSERT INTO ${qualified(this.#control, 'shadow')} (tenant, read_name, node, samples, differing, first_at, last_at) VALUES ${rows.join(', ')}
         ON DUPLICATE KEY UPDATE samples = samples + VALUES(samples), differing = differing + VALUES(differing), last_at = VALUES(last_at)`,
        values,
      );
    } catch (error) {
      for (const count of counts) this.#restore(count);
      throw error;
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  #restore(count: Count): void {
    const key = `${count.tenant}\0${count.readName}`;
    const since = this.#counts.get(key);
    if (since === undefined) this.#counts.set(key, count);
    else {
      since.samples += count.samples;
      since.differing += count.differing;
    }
  }
}
