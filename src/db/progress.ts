/**
 * How the long work of a tenant goes, for `status` without Temporal: one row an activity on the source,
 * written at most once a second. It only tells, so a write that fails is left to the next one.
 */
import { SECOND, type Milliseconds } from '../domain/duration.ts';
import type { Database, TextRow } from './database.ts';
import { literal, qualified, tenantLiteral } from './sql.ts';
import type { Pair } from './tracked.ts';

export type Activity = 'backfill' | 'reconcile';

export interface Progress {
  readonly tenant: string;
  readonly activity: Activity;
  /** Over the last seconds. */
  readonly rowsPerSecond: number;
  /** Why it is slow or stands still; null: it goes as fast as it can. */
  readonly slow: string | null;
  readonly slowForMs: Milliseconds | null;
  /** How long ago its worker wrote this. */
  readonly ageMs: Milliseconds;
}

const WRITE_EVERY: Milliseconds = SECOND;
const RATE_OVER: Milliseconds = 10 * SECOND;
/** Between two waits of the same reason there are windows. */
const REASON_LASTS: Milliseconds = 2 * SECOND;
/** A reason that comes back within this goes on: slices follow each other. */
const REASON_GOES_ON: Milliseconds = 10 * SECOND;
const SLOW_MAX = 500;

const progressTable = (control: string): string => qualified(control, 'progress');

/** Of one slice. */
export class ProgressRow {
  readonly #pair: Pair;
  readonly #tenant: string;
  readonly #activity: Activity;
  readonly #samples: { readonly at: Milliseconds; readonly rows: number }[] = [{ at: now(), rows: 0 }];
  #slow: { readonly why: string; readonly since: Milliseconds; readonly last: Milliseconds } | null = null;
  #writtenAt = 0;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(pair: Pair, tenant: string, activity: Activity) {
    this.#pair = pair;
    this.#tenant = tenant;
    this.#activity = activity;
  }

  /** @param rows of this slice so far */
  note(rows: number, why: string | null): void {
    const at = now();
    if (why !== null) this.#slow = { why, since: this.#slow?.since ?? at, last: at };
    else if (this.#slow !== null && at - this.#slow.last > REASON_LASTS) this.#slow = null;
    this.#samples.push({ at, rows });
    while (this.#samples.length > 2 && at - this.#samples[0]!.at > RATE_OVER) this.#samples.shift();
    if (at - this.#writtenAt < WRITE_EVERY) return;
    this.#writtenAt = at;
    this.#writing = this.#writing.then(() => this.#write()).catch(() => {}); // the next one says it
  }

  /** Nothing is under way; a slice that only ran out of time leaves its row to the next one. */
  async end(isFinished: boolean): Promise<void> {
    await this.#writing;
    if (isFinished)
      await this.#pair.source
        .run(`DELETE FROM ${progressTable(this.#pair.control)} WHERE ${this.#where()}`)
        .catch(() => {}); // it grows old, and says so
  }

  #where(): string {
    return `tenant = ${tenantLiteral(this.#tenant)} AND activity = ${literal(this.#activity)}`;
  }

  #rate(): number {
    const [first] = this.#samples;
    const last = this.#samples.at(-1)!;
    const seconds = Math.max((now() - first!.at) / SECOND, 0.1);
    return Math.max(0, Math.round((last.rows - first!.rows) / seconds));
  }

  async #write(): Promise<void> {
    const slow = this.#slow === null ? 'NULL' : literal(this.#slow.why.slice(0, SLOW_MAX));
    const since =
      this.#slow === null
        ? 'NULL'
        : `NOW(6) - INTERVAL ${Math.round((now() - this.#slow.since) * 1_000)} MICROSECOND`;
    await this.#pair.source.run(
      `INSERT INTO ${progressTable(this.#pair.control)} (tenant, activity, rows_per_second, slow, slow_since, at)
       VALUES (${tenantLiteral(this.#tenant)}, ${literal(this.#activity)}, ${this.#rate()}, ${slow}, ${since}, NOW(6))
       ON DUPLICATE KEY UPDATE rows_per_second = VALUES(rows_per_second), slow = VALUES(slow),
         slow_since = IF(VALUES(slow) IS NULL, NULL, IF(slow_since IS NULL OR at < NOW(6) - INTERVAL ${REASON_GOES_ON / SECOND} SECOND, VALUES(slow_since), slow_since)), at = VALUES(at)`,
    );
  }
}

const now = (): Milliseconds => performance.now();

export async function readProgressRows(source: Database, control: string): Promise<Progress[]> {
  const rows = await source.rows(
    `SELECT tenant, activity, rows_per_second, slow, TIMESTAMPDIFF(MICROSECOND, slow_since, NOW(6)) DIV 1000 AS slow_for, TIMESTAMPDIFF(MICROSECOND, at, NOW(6)) DIV 1000 AS age
     FROM ${progressTable(control)}`,
  );
  return rows.map(toProgress);
}

const toProgress = (row: TextRow): Progress => ({
  tenant: row['tenant']!,
  activity: row['activity'] as Activity,
  rowsPerSecond: Number(row['rows_per_second']),
  slow: row['slow'] ?? null,
  slowForMs: row['slow_for'] === null || row['slow_for'] === undefined ? null : Number(row['slow_for']),
  ageMs: Math.max(0, Number(row['age'])),
});
