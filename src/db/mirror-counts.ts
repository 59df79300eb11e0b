/** How often the mirror of a tenant failed: counted where it runs, added up by the minute in the control schema. */
import { MINUTE, HOUR, type Milliseconds } from '../domain/duration.ts';
import type { Database } from './database.ts';
import { list, qualified, tenantLiteral } from './sql.ts';

/** Over which a gate judges. */
const OVER: Milliseconds = HOUR;
const KEPT_MINUTES = (2 * OVER) / MINUTE;
const PURGE_EVERY: Milliseconds = 10 * MINUTE;
/** Kept while the control schema is out of reach. */
const COUNTS_MAX = 10_000;
const MINUTE_NOW = 'UNIX_TIMESTAMP() DIV 60';

interface Count {
  attempts: number;
  failures: number;
}

export class MirrorCounts {
  readonly #source: Database;
  readonly #control: string;
  #counts = new Map<string, Count>();
  #purgedAt = Number.NEGATIVE_INFINITY;

  constructor(source: Database, control: string) {
    this.#source = source;
    this.#control = control;
  }

  add(tenant: string, attempts: number, failures: number): void {
    const known = this.#counts.get(tenant);
    if (known === undefined && this.#counts.size >= COUNTS_MAX) return;
    const count = known ?? { attempts: 0, failures: 0 };
    count.attempts += attempts;
    count.failures += failures;
    this.#counts.set(tenant, count);
  }

  /** A failed statement keeps its counts for the next one; a lost answer may count them twice. */
  async flush(): Promise<void> {
    const table = qualified(this.#control, 'mirror_count');
    const counts = [...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#counts = new Map();
    if (counts.length > 0) {
      const rows = counts.map(
        ([tenant, { attempts, failures }]) =>
          `(${tenantLiteral(tenant)}, ${MINUTE_NOW}, ${attempts}, ${failures})`,
      );
      try {
        await this.#source.run(
          `INSERT INTO ${table} (tenant, minute, attempts, failures) VALUES ${list(rows)}
           ON DUPLICATE KEY UPDATE attempts = attempts + VALUES(attempts), failures = failures + VALUES(failures)`,
        );
      } catch (error) {
        for (const [tenant, { attempts, failures }] of counts) this.add(tenant, attempts, failures);
        throw error;
      }
    }
    if (performance.now() - this.#purgedAt < PURGE_EVERY) return;
    this.#purgedAt = performance.now();
    await this.#source.run(
      `DELETE FROM ${table} WHERE minute < ${MINUTE_NOW} - ${KEPT_MINUTES} LIMIT 100000`,
    );
  }
}

/** Of the last hour, all tenants named together. */
export async function readMirrorCounts(
  source: Database,
  control: string,
  tenants: readonly string[],
): Promise<Count> {
  const [row] = await source.rows(
    `SELECT SUM(attempts) AS attempts, SUM(failures) AS failures FROM ${qualified(control, 'mirror_count')}
     WHERE tenant IN (${list(tenants.map(tenantLiteral))}) AND minute > ${MINUTE_NOW} - ${OVER / MINUTE}`,
  );
  return { attempts: Number(row?.['attempts'] ?? 0), failures: Number(row?.['failures'] ?? 0) };
}
