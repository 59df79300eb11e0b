/** Reads what reconcile kept: passes with their windows, and drift row by row. Keys and hashes, never values. */
import { qualified, tenantLiteral } from './sql.ts';
import type { Pair } from './tracked.ts';
import type { TextRow } from './database.ts';
import type { VerdictInputs } from './witness.ts';

export interface PassRecord {
  readonly id: number;
  readonly startedAt: string;
  /** null: under way. */
  readonly endedAt: string | null;
  readonly clean: boolean | null;
  readonly windows: number;
  readonly rows: number;
  readonly suspects: number;
  readonly inFlight: number;
  readonly repaired: number;
  readonly drifted: number;
}

/** The latest first. */
export async function readPasses(pair: Pair, tenant: string, limit: number): Promise<PassRecord[]> {
  const rows = await pair.source.rows(
    `SELECT * FROM ${qualified(pair.control, 'pass')} WHERE tenant = ${tenantLiteral(tenant)} ORDER BY id DESC LIMIT ${limit}`,
  );
  return rows.map((row) => ({
    id: Number(row['id']),
    startedAt: isoTime(row['started_at'])!,
    endedAt: isoTime(row['ended_at']),
    clean: row['clean'] === null ? null : row['clean'] === '1',
    windows: Number(row['windows']),
    rows: Number(row['row_count']),
    suspects: Number(row['suspects']),
    inFlight: Number(row['in_flight']),
    repaired: Number(row['repaired']),
    drifted: Number(row['drifted']),
  }));
}

export interface WindowRecord {
  readonly seq: number;
  readonly table: string;
  readonly bounds: string;
  readonly sourceRows: number;
  readonly targetRows: number;
  readonly sourceDigest: string;
  readonly targetDigest: string;
  readonly executor: string;
  readonly startedAt: string | null;
  readonly endedAt: string;
}

export async function readWindows(pair: Pair, passId: number, limit: number): Promise<WindowRecord[]> {
  const rows = await pair.source.rows(
    `SELECT w.*, t.name FROM ${qualified(pair.control, 'pass_window')} w LEFT JOIN ${qualified(pair.control, 'tracked_table')} t ON t.id = w.table_id
     WHERE w.pass_id = ${passId} ORDER BY w.seq LIMIT ${limit}`,
  );
  return rows.map((row) => ({
    seq: Number(row['seq']),
    table: row['name'] ?? `#${row['table_id']}`,
    bounds: row['bounds']!,
    sourceRows: Number(row['source_rows']),
    targetRows: Number(row['target_rows']),
    sourceDigest: row['source_digest']!,
    targetDigest: row['target_digest']!,
    executor: row['executor']!,
    startedAt: isoTime(row['started_at']),
    endedAt: isoTime(row['at'])!,
  }));
}

export interface PassTable {
  readonly table: string;
  readonly windows: number;
  readonly sourceRows: number;
  readonly targetRows: number;
  readonly executors: readonly string[];
  readonly differingWindows: number;
  /** XOR over the windows: the same rows give the same digest however they were cut. */
  readonly sourceDigest: string;
  readonly targetDigest: string;
}

/** A pass rolled up by table, in the database: a pass may have a hundred thousand windows. */
export async function readPassTables(pair: Pair, passId: number): Promise<PassTable[]> {
  const half = (column: string, from: number): string =>
    `LPAD(HEX(BIT_XOR(CAST(CONV(SUBSTR(${column}, ${from}, 16), 16, 10) AS UNSIGNED))), 16, '0')`;
  const whole = (column: string): string => `LOWER(CONCAT(${half(column, 1)}, ${half(column, 17)}))`;
  const rows = await pair.source.rows(
    `SELECT MAX(t.name) AS name, w.table_id, COUNT(*) AS windows, SUM(w.source_rows) AS source_rows, SUM(w.target_rows) AS target_rows,
            GROUP_CONCAT(DISTINCT w.executor ORDER BY w.executor) AS executors, SUM(w.source_digest <> w.target_digest OR w.source_rows <> w.target_rows) AS differing,
            ${whole('w.source_digest')} AS source_digest, ${whole('w.target_digest')} AS target_digest
     FROM ${qualified(pair.control, 'pass_window')} w LEFT JOIN ${qualified(pair.control, 'tracked_table')} t ON t.id = w.table_id
     WHERE w.pass_id = ${passId} GROUP BY w.table_id ORDER BY MIN(w.seq)`,
  );
  return rows.map((row) => ({
    table: row['name'] ?? `#${row['table_id']}`,
    windows: Number(row['windows']),
    sourceRows: Number(row['source_rows']),
    targetRows: Number(row['target_rows']),
    executors: (row['executors'] ?? '').split(','),
    differingWindows: Number(row['differing']),
    sourceDigest: row['source_digest']!,
    targetDigest: row['target_digest']!,
  }));
}

export interface PassDrift {
  readonly table: string;
  readonly class: string;
  /** Rows that a verdict proved; `kept` of them are on record one by one. */
  readonly found: number;
  readonly kept: number;
}

export async function readPassDrift(pair: Pair, passId: number): Promise<PassDrift[]> {
  const rows = await pair.source.rows(
    `SELECT d.*, t.name FROM ${qualified(pair.control, 'pass_drift')} d LEFT JOIN ${qualified(pair.control, 'tracked_table')} t ON t.id = d.table_id
     WHERE d.pass_id = ${passId} ORDER BY d.table_id, d.class`,
  );
  return rows.map((row) => ({
    table: row['name'] ?? `#${row['table_id']}`,
    class: row['class']!,
    found: Number(row['found']),
    kept: Number(row['kept']),
  }));
}

export interface DriftRecord {
  readonly id: number;
  readonly tenant: string;
  readonly tableId: number;
  readonly key: string;
  readonly class: string;
  readonly columns: readonly string[];
  readonly sourceHash: string | null;
  readonly targetHash: string | null;
  readonly passId: number | null;
  readonly foundAt: string;
  readonly repairedAt: string | null;
  /** `policy`, `operator` or `backfill`. */
  readonly repairedBy: string | null;
  /** When a later pass read it equal. */
  readonly verifiedAt: string | null;
  readonly recurred: boolean;
  /** null: recorded by an older version. */
  readonly inputs: (VerdictInputs & { readonly look: number }) | null;
}

export interface DriftQuery {
  readonly tenant: string | null;
  readonly id: number | null;
  readonly openOnly: boolean;
  readonly limit: number;
}

/** The latest first. */
export async function findDrift(
  pair: Pair,
  { tenant, id, openOnly, limit }: DriftQuery,
): Promise<{ total: number; rows: DriftRecord[] }> {
  const where = [
    ...(tenant === null ? [] : [`tenant = ${tenantLiteral(tenant)}`]),
    ...(id === null ? [] : [`id = ${id}`]),
    ...(openOnly ? ['repaired_at IS NULL'] : []),
  ];
  const from = `FROM ${qualified(pair.control, 'drift')} WHERE ${where.join(' AND ') || 'TRUE'}`;
  const [count] = await pair.source.rows(`SELECT COUNT(*) AS n ${from}`);
  const rows = await pair.source.rows(`SELECT * ${from} ORDER BY id DESC LIMIT ${limit}`);
  return { total: Number(count!['n']), rows: rows.map(driftOf) };
}

const driftOf = (row: TextRow): DriftRecord => ({
  id: Number(row['id']),
  tenant: row['tenant']!,
  tableId: Number(row['table_id']),
  key: row['row_key']!,
  class: row['class']!,
  columns: (row['columns_differing'] ?? '') === '' ? [] : row['columns_differing']!.split(', '),
  sourceHash: row['source_hash'] ?? null,
  targetHash: row['target_hash'] ?? null,
  passId: row['pass_id'] === null ? null : Number(row['pass_id']),
  foundAt: isoTime(row['found_at'])!,
  repairedAt: isoTime(row['repaired_at']),
  repairedBy: row['repaired_by'] ?? null,
  verifiedAt: isoTime(row['verified_at']),
  recurred: row['recurred'] === '1',
  inputs: row['inputs'] === null ? null : (JSON.parse(row['inputs']!) as DriftRecord['inputs']),
});

/** Sessions are in UTC. */
function isoTime(text: string | null | undefined): string | null {
  return text === null || text === undefined
    ? null
    : new Date(Date.parse(`${text.replace(' ', 'T')}Z`)).toISOString();
}
