/**
 * Reads of the application, by tenant, day, stage and side: what a report compares from before and after a flip. Nodes
 * add to the same rows, so however many they are, a tenant has a handful of rows a day.
 */
import type { Milliseconds } from '../domain/duration.ts';
import { BUCKETS, type ReadSide } from '../domain/read-load.ts';
import type { Stage } from '../domain/stage.ts';
import { isoOf } from './chronicle.ts';
import type { Database } from './database.ts';
import { list, literal, qualified, tenantLiteral } from './sql.ts';
import type { Pair } from './tracked.ts';

export interface ReadCount {
  readonly tenant: string;
  readonly stage: Stage;
  readonly side: ReadSide;
  /** Since the first of them. */
  readonly age: Milliseconds;
  /** Of all reads together. */
  readonly micros: number;
  /** Reads, by how long they took. */
  readonly buckets: readonly number[];
}

const COLUMNS = Array.from({ length: BUCKETS }, (_, bucket) => `b${bucket}`);

/** How many reads a row of the table stands for. */
export const READS_OF_ROW = COLUMNS.join(' + ');

/** Columns of the table that the control schema has. */
export const READ_LOAD_COLUMNS = COLUMNS.map((name) => `${name} BIGINT UNSIGNED NOT NULL DEFAULT 0`).join(
  ', ',
);

export async function addReads(
  database: Database,
  control: string,
  counts: readonly ReadCount[],
): Promise<void> {
  if (counts.length === 0) return;
  const rows = counts.map(
    ({ tenant, stage, side, age, micros, buckets }) =>
      `(${tenantLiteral(tenant)}, UTC_DATE(), ${literal(stage)}, ${literal(side)}, ${Math.round(micros)}, NOW(6) - INTERVAL ${Math.round(age * 1_000)} MICROSECOND, NOW(6), ${buckets.join(', ')})`,
  );
  const added = ['micros', ...COLUMNS].map((name) => `${name} = ${name} + VALUES(${name})`);
  await database.run(
    `INSERT INTO ${qualified(control, 'read_load')} (tenant, day, stage, side, micros, first_at, last_at, ${list(COLUMNS)}) VALUES ${list(rows)}
     ON DUPLICATE KEY UPDATE ${list(added)}, last_at = VALUES(last_at)`,
  );
}

export interface ReadSum {
  readonly stage: string;
  readonly side: ReadSide;
  readonly reads: number;
  readonly micros: number;
  readonly buckets: readonly number[];
  readonly firstAt: string;
  readonly lastAt: string;
}

export async function readReadSums({ source, control }: Pair, tenant: string): Promise<ReadSum[]> {
  const rows = await source.rows(
    `SELECT stage, side, SUM(micros) AS micros, MIN(first_at) AS first_at, MAX(last_at) AS last_at, ${COLUMNS.map((name) => `SUM(${name}) AS ${name}`).join(', ')}
     FROM ${qualified(control, 'read_load')} WHERE tenant = ${tenantLiteral(tenant)} GROUP BY stage, side ORDER BY MIN(first_at), side`,
  );
  return rows.map((row) => {
    const buckets = COLUMNS.map((name) => Number(row[name]));
    return {
      stage: row['stage']!,
      side: row['side'] as ReadSide,
      reads: buckets.reduce((sum, count) => sum + count, 0),
      micros: Number(row['micros']),
      buckets,
      firstAt: isoOf(row['first_at'])!,
      lastAt: isoOf(row['last_at'])!,
    };
  });
}
