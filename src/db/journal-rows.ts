/** Rows of the journal: read oldest first, asked by key, deleted by id. */
import type { Database, Session } from './database.ts';
import { derivedTable } from './keys.ts';
import { qualified, tenantLiteral } from './sql.ts';

export interface JournalRows {
  readonly tenant: string;
  readonly afterId: string;
  readonly limit: number;
  /** Tables whose rows stay in the journal: their definition changed. */
  readonly without?: readonly number[];
  /** Ids of rows that are on the target already and are just being deleted. */
  readonly leaving?: ReadonlySet<string>;
}

export interface JournalBatch {
  /** Of the rows that are to be applied. */
  readonly ids: readonly string[];
  readonly keys: readonly { readonly tableId: number; readonly key: string }[];
  /** Highest id that was read; '0' when none. */
  readonly lastId: string;
  /** Did the batch hold as many rows as it may? Then there may be more. */
  readonly full: boolean;
  /** Was it the tenant's whole journal? */
  readonly covered: boolean;
}

export async function readJournal(
  source: Session,
  control: string,
  { tenant, afterId, limit, without = [], leaving }: JournalRows,
): Promise<JournalBatch> {
  const others = without.length === 0 ? '' : ` AND table_id NOT IN (${without.join(', ')})`;
  const rows = await source.rows(
    `SELECT id, table_id, row_key FROM ${qualified(control, 'journal')} WHERE tenant = ${tenantLiteral(tenant)} AND id > ${afterId}${others} ORDER BY id LIMIT ${limit}`,
  );
  const full = rows.length >= limit;
  const open = leaving === undefined ? rows : rows.filter((row) => !leaving.has(row['id']!));
  return {
    ids: open.map((row) => row['id']!),
    keys: open.map((row) => ({ tableId: Number(row['table_id']), key: row['row_key']! })),
    lastId: rows.at(-1)?.['id'] ?? '0',
    full,
    covered: !full && afterId === '0' && without.length === 0,
  };
}

/** Whoever has a journal row for one of the keys, under whichever tenant. */
export async function journalTenants(
  source: Session,
  control: string,
  id: number,
  keys: readonly string[],
): Promise<Set<string>> {
  const rows = await source.rows(
    `SELECT DISTINCT j.tenant AS tenant FROM ${journalOfKeys(control, id, keys, source.takesRows)}`,
  );
  return new Set(rows.map((row) => row['tenant']!));
}

/** Journal rows `j` of the keys, each looked up: a long `IN (…)` on an index of prefixes falls back to a scan. */
export function journalOfKeys(
  control: string,
  tableId: number,
  keys: readonly string[],
  asRows = false,
): string {
  const derived = derivedTable(
    ['row_key'],
    keys.map((key) => [keyLiteral(key)]),
    asRows,
  );
  return `${derived} k STRAIGHT_JOIN ${qualified(control, 'journal')} j FORCE INDEX (by_key) ON j.table_id = ${tableId} AND j.row_key = k.row_key`;
}

export const keyLiteral = (key: string): string => `X'${Buffer.from(key, 'latin1').toString('hex')}'`;

/** By id and by equality join: a range, or a long IN list, waits for other writers of the journal. */
export async function deleteJournal(
  source: Database | Session,
  control: string,
  ids: readonly string[],
): Promise<void> {
  await deleteById(source, qualified(control, 'journal'), ids);
}

/** @param table quoted, with its schema */
export async function deleteById(
  source: Database | Session,
  table: string,
  ids: readonly string[],
): Promise<void> {
  if (ids.length === 0) return;
  const derived = derivedTable(
    ['id'],
    ids.map((id) => [id]),
    source.takesRows,
  );
  await source.run(`DELETE ${table} FROM ${derived} k STRAIGHT_JOIN ${table} ON ${table}.id = k.id`);
}
