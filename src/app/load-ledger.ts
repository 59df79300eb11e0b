/** Counts of reads by side and time on their way into the control schema, where the report finds them. */
import type { Database } from '../db/database.ts';
import { addReads } from '../db/read-load.ts';
import { SECOND, type Milliseconds } from '../domain/duration.ts';
import { bucketOf, BUCKETS, type ReadSide } from '../domain/read-load.ts';
import type { Stage } from '../domain/stage.ts';

interface Count {
  readonly tenant: string;
  readonly stage: Stage;
  readonly side: ReadSide;
  began: Milliseconds;
  micros: number;
  buckets: number[];
}

type OfTenant = Partial<Record<Stage, Partial<Record<ReadSide, Count>>>>;

const FLUSH_EVERY: Milliseconds = 5 * SECOND;
/** Kept while the control schema is out of reach. Further ones are left out. */
const COUNTS_MAX = 10_000;
const ROWS_PER_STATEMENT = 200;
/** What the control schema holds of a tenant's id; no longer one can be started. */
const TENANT_MAX = 255;

export class LoadLedger {
  readonly #database: Database;
  readonly #control: string;
  readonly #timer: NodeJS.Timeout;
  /** Nested, since each read looks its count up, and to join a key takes longer. */
  #counts = new Map<string, OfTenant>();
  #size = 0;

  constructor(database: Database, control: string) {
    this.#database = database;
    this.#control = control;
    this.#timer = setInterval(() => void this.flush().catch(() => {}), FLUSH_EVERY).unref(); // kept for the next one
  }

  add(tenant: string, stage: Stage, side: ReadSide, took: Milliseconds): void {
    const count = this.#count(tenant, stage, side);
    if (count === null) return;
    count.micros += took * 1_000;
    count.buckets[bucketOf(took)]! += 1;
  }

  #count(tenant: string, stage: Stage, side: ReadSide): Count | null {
    const known = this.#counts.get(tenant)?.[stage]?.[side];
    if (known !== undefined) return known;
    if (this.#size >= COUNTS_MAX || tenant.length > TENANT_MAX) return null;
    const buckets = Array.from({ length: BUCKETS }, () => 0);
    const count = { tenant, stage, side, began: performance.now(), micros: 0, buckets };
    const all = this.#counts.get(tenant) ?? {};
    this.#counts.set(tenant, { ...all, [stage]: { ...all[stage], [side]: count } });
    this.#size += 1;
    return count;
  }

  /** A failed statement keeps its counts for the next one; a lost answer may count them twice. */
  async flush(): Promise<void> {
    const counts = [...this.#counts.values()].flatMap((stages) =>
      Object.values(stages).flatMap(Object.values<Count>),
    );
    this.#counts = new Map();
    this.#size = 0;
    // In the order of the key, as every node: none waits for another in a circle.
    counts.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    for (let at = 0; at < counts.length; at += ROWS_PER_STATEMENT) {
      try {
        const now = performance.now();
        const rows = counts
          .slice(at, at + ROWS_PER_STATEMENT)
          .map((count) => ({ ...count, age: now - count.began }));
        await addReads(this.#database, this.#control, rows);
      } catch (error) {
        for (const count of counts.slice(at)) this.#restore(count);
        throw error;
      }
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  #restore({ tenant, stage, side, began, micros, buckets }: Count): void {
    const count = this.#count(tenant, stage, side);
    if (count === null) return;
    count.began = Math.min(count.began, began);
    count.micros += micros;
    count.buckets = count.buckets.map((reads, bucket) => reads + buckets[bucket]!);
  }
}

const keyOf = ({ stage, side, tenant }: Count): string => `${stage} ${side} ${tenant}`;
