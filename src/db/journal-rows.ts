/** Rows of the journal: read oldest first, asked by key, deleted by id. */
import type { Database, Session, TextRow } from './database.ts';
import { derivedTable } from './keys.ts';
import { qualified, tenantLiteral } from './sql.ts';

export interface JournalRows {
  /** By tenant: the id after which its rows are read; '0': its whole journal. */
  readonly after: ReadonlyMap<string, string>;
  readonly limit: number;
  /** Tables whose rows stay in the journal: their definition changed. */
  readonly without?: readonly number[];
  /** Ids that are not even read. */
  readonly skips?: readonly string[];
  /** Ids of rows that are on the target already and are just being deleted. */
  readonly leaving?: ReadonlySet<string>;
}

/** Ids of journal rows by tenant. */
export type JournalIds = ReadonlyMap<string, readonly string[]>;

export interface JournalBatch {
  /** Of the rows that are to be applied. */
  readonly ids: JournalIds;
  readonly keys: readonly { readonly tenant: string; readonly tableId: number; readonly key: string }[];
  /** Highest id that was read of each tenant. Another tenant's says nothing: ids commit out of order. */
  readonly lastIds: ReadonlyMap<string, string>;
  /** Did the batch hold as many rows as it may? Then there may be more. */
  readonly full: boolean;
  /** Was it the whole journal of its tenants? */
  readonly covered: boolean;
}

export function journalSql(control: string, rows: JournalRows): string {
  const { limit } = rows;
  return `SELECT id, tenant, table_id, row_key FROM ${qualified(control, 'journal')} f WHERE ${isOf(rows)} ORDER BY id LIMIT ${limit}`;
}

/** SQL: is `f` one of the rows that are asked for? */
function isOf({ after, without = [], skips = [] }: JournalRows): string {
  const others = without.length === 0 ? '' : ` AND f.table_id NOT IN (${without.join(', ')})`;
  // Plus zero: of the gaps between them the server would make ranges of the index.
  const left = skips.length === 0 ? '' : ` AND f.id + 0 NOT IN (${skips.join(', ')})`;
  const ranges = [...after].map(([tenant, id]) => `(f.tenant = ${tenantLiteral(tenant)} AND f.id > ${id})`);
  return `(${ranges.join(' OR ')})${others}${left}`;
}

/**
 * FROM: what the rows `f` of `journalSql` lead to, oldest first, the same as often as several of them do; at most `limit`
 * in all. Joined as they are found: a table of them would be a temporary one.
 *
 * @param joined behind `f`; finds something for each of them, else a backlog would be walked through
 */
export const fromJournal = (control: string, rows: JournalRows, joined: string): string =>
  `${qualified(control, 'journal')} f FORCE INDEX (by_tenant) ${joined} WHERE ${isOf(rows)} ORDER BY f.id LIMIT ${rows.limit}`;

/** Journal rows `j` of the key of `f`. */
export const sameKey = (control: string): string =>
  `STRAIGHT_JOIN ${qualified(control, 'journal')} j FORCE INDEX (by_key) ON j.table_id = f.table_id AND j.row_key = f.row_key`;

/** @param rows of `journalSql` */
export function batchOf(
  { after, limit, without = [], leaving }: JournalRows,
  rows: readonly TextRow[],
): JournalBatch {
  const full = rows.length >= limit;
  const open = leaving === undefined ? rows : rows.filter((row) => !leaving.has(row['id']!));
  return {
    ids: byTenant(open),
    keys: open.map((row) => ({
      tenant: row['tenant']!,
      tableId: Number(row['table_id']),
      key: row['row_key']!,
    })),
    lastIds: new Map(rows.map((row) => [row['tenant']!, row['id']!])),
    full,
    covered: !full && without.length === 0 && [...after.values()].every((id) => id === '0'),
  };
}

function byTenant(rows: readonly TextRow[]): JournalIds {
  const ids = new Map<string, string[]>();
  for (const row of rows) {
    const own = ids.get(row['tenant']!) ?? [];
    own.push(row['id']!);
    ids.set(row['tenant']!, own);
  }
  return ids;
}

/**
 * FROM: the oldest row `j` of each tenant, with its `o.tenant` and `o.id`. By the index (tenant, id): the journal is
 * never read through.
 */
export function oldestOfEach(control: string): string {
  const journal = qualified(control, 'journal');
  return `(SELECT tenant, MIN(id) AS id FROM ${journal} GROUP BY tenant) o STRAIGHT_JOIN ${journal} j ON j.id = o.id`;
}

/** Whoever has a journal row for one of the keys, under whichever tenant. */
export const journalTenantsSql = (
  source: Session,
  control: string,
  id: number,
  keys: readonly string[],
): string => `SELECT DISTINCT j.tenant AS tenant FROM ${journalOfKeys(control, id, keys, source.takesRows)}`;

/** Journal rows `j` of the keys, each looked up: a long `IN (…)` on an index of prefixes falls back to a scan. */
export function journalOfKeys(
  control: string,
  tableId: number,
  keys: readonly string[],
  asRows = false,
): string {
  const rows = `${qualified(control, 'journal')} j FORCE INDEX (by_key)`;
  const literals = keys.map(keyLiteral);
  if (literals.length === 1) return `${rows} WHERE j.table_id = ${tableId} AND j.row_key = ${literals[0]}`;
  const derived = derivedTable(
    ['row_key'],
    literals.map((literal) => [literal]),
    asRows,
  );
  return `${derived} k STRAIGHT_JOIN ${rows} ON j.table_id = ${tableId} AND j.row_key = k.row_key`;
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

/** In the order of the ids: two who delete the same rows wait for each other, and are no deadlock. @param table quoted, with its schema */
export async function deleteById(
  source: Database | Session,
  table: string,
  ids: readonly string[],
): Promise<void> {
  if (ids.length === 0) return;
  if (ids.length === 1) {
    await source.run(`DELETE FROM ${table} WHERE id = ${ids[0]}`);
    return;
  }
  const derived = derivedTable(
    ['id'],
    ids.toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1)).map((id) => [id]),
    source.takesRows,
  );
  await source.run(`DELETE ${table} FROM ${derived} k STRAIGHT_JOIN ${table} ON ${table}.id = k.id`);
}
