/**
 * One window of the copy. It holds the tenant's lock shared, so disjoint windows run beside each other while
 * mirror and verdict wait; it reads the source with a plain read, replaces the tenant's rows of that key range
 * on the target, and commits them with its cursor. Nothing can be resurrected: a delete that commits after the
 * read has a journal row, and that is applied later. Where the application mirrors there is no journal: there the
 * range is held still on the source until the target has committed (`held.ts`).
 */
import type { Milliseconds } from '../domain/duration.ts';
import { DatabaseError, TransientDatabaseError } from '../domain/errors.ts';
import { cheaperIndex } from './access-path.ts';
import { modeOf } from './capture-mode.ts';
import { storedColumns } from './catalog.ts';
import { moveCursor, type CopyCursor, type CopyRun } from './copy-cursor.ts';
import type { Database, Session } from './database.ts';
import { fewThroughParents } from './few-rows.ts';
import { HOLDS } from './held.ts';
import { uniqueHolders } from './holders.ts';
import { selectImage } from './images.ts';
import { afterKey, keysJoin, keySql, keysTable, upToKey } from './keys.ts';
import { loadMethod, loadQuery, type Watch } from './load.ts';
import { shareTenant } from './lock.ts';
import { assertShapes, judged, type Side } from './shapes.ts';
import { SideClock } from './side-clock.ts';
import { ident, list, qualified } from './sql.ts';
import { joinChain, ownedBy, type TrackedTable } from './tenancy.ts';
import type { Pair, Tracked } from './tracked.ts';

export interface WindowBounds {
  readonly rows: number;
  readonly bytes: number;
}

export interface CopiedWindow {
  readonly cursor: CopyCursor;
  readonly rows: number;
  readonly bytes: number;
  /** Time in the statements of each side; what was waited for locks is neither's. */
  readonly tookOn: Readonly<Record<Side, Milliseconds>>;
}

/** The window holds more bytes than it may; nothing of it was kept. */
export class WindowTooLarge extends Error {
  /** Rows that fit. */
  readonly rows: number;

  constructor(rows: number) {
    super(`a window may hold ${rows} rows of this size`);
    this.name = 'WindowTooLarge';
    this.rows = rows;
  }
}

/**
 * Windows walk the primary key: inside the tenant where an index leads with the tenant and continues with
 * the key (InnoDB appends it), else over the whole table with the tenant as a filter.
 */
export function tenantIndex({ table, tenancy }: TrackedTable): string | null {
  if (tenancy.kind === 'shared' || tenancy.kind === 'schema') return 'PRIMARY';
  if (tenancy.kind !== 'column') return null;
  const key = table.primary.map((column) => column.name);
  if (key[0] === tenancy.column) return 'PRIMARY';
  const index = table.indexes.find((candidate) => {
    const [first, ...rest] = candidate.columns;
    return (
      !candidate.prefixed &&
      first === tenancy.column &&
      rest.every((column, position) => column === key[position])
    );
  });
  return index?.name ?? null;
}

interface Range {
  readonly after: string | null;
  readonly end: string | null;
}

/** The key of the last of `rows` rows; null when the part ends before. */
async function windowEnd(
  pair: Pair,
  tracked: TrackedTable,
  tenant: string,
  part: CopyCursor,
  rows: number,
): Promise<string | null> {
  const { table } = tracked;
  const index = tenantIndex(tracked);
  const conditions = [
    ...(index === null ? [] : [ownedBy(tracked, 't', tenant)]),
    ...inside(tracked, 't', { after: part.afterKey, end: part.endKey }),
  ];
  const [row] = await pair.source.rows(
    `SELECT ${keySql(table, 't')} AS row_key FROM ${qualified(table.schema, table.name)} t FORCE INDEX (${ident(index ?? 'PRIMARY')})
     WHERE ${conditions.join(' AND ') || 'TRUE'} ORDER BY ${list(table.primary.map((column) => `t.${ident(column.name)}`))} LIMIT 1 OFFSET ${rows - 1}`,
  );
  return row?.['row_key'] ?? null;
}

const inside = ({ table }: TrackedTable, row: string, { after, end }: Range): string[] => [
  ...(after === null ? [] : [afterKey(table, row, after)]),
  ...(end === null ? [] : [upToKey(table, row, end)]),
];

const windowWhere = (tracked: TrackedTable, row: string, tenant: string, range: Range): string =>
  [ownedBy(tracked, row, tenant), ...inside(tracked, row, range)].join(' AND ');

const ATTEMPTS = 8;

/**
 * @throws WindowTooLarge when more than one row is in it and their bytes are over the bound
 * @throws SchemaMismatchError when the table was altered on either side: nothing of the window is kept
 */
export async function copyWindow(
  pair: Pair,
  tracked: Tracked,
  run: CopyRun,
  part: CopyCursor,
  bounds: WindowBounds,
): Promise<CopiedWindow> {
  const table = tracked.source(part.tableId);
  const asked = performance.now();
  const few = await fewAtOnce(pair, tracked, run.tenant, part, bounds.rows);
  const cut = few === null ? await windowEnd(pair, table, run.tenant, part, bounds.rows) : null;
  const range = { after: part.afterKey, end: cut ?? part.endKey };
  const index = few ?? (await readIndex(pair.source, table, run.tenant, range));
  const cutting = performance.now() - asked;
  const method = await loadMethod(pair.target, pair.control);
  const hold = HOLDS[tracked.capture];
  const locks = {
    lockTarget: (target: Session) => shareTenant(target, pair.control, run.tenant),
    lockSource: (source: Session) => source.rows(lockSql(table, run.tenant, range)),
  };
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    try {
      const { clock, ...copied } = await judged(pair, () =>
        hold(pair, locks, async (source, target) => {
          const clock = new SideClock(source, target);
          const measured = { rows: 0, bytes: 0 };
          await deleteWindow(target, tracked.target(part.tableId), run.tenant, range);
          const ids = [part.tableId];
          await loadQuery(source, windowSql(table, run.tenant, { ...range, index }), {
            target,
            table: tracked.target(part.tableId).table,
            method,
            watch: bounded(bounds.bytes, measured),
          });
          if (method === 'load-data') clock.streamed();
          await assertShapes(pair, tracked, { on: source, side: 'source', ids });
          // After the first touch: from here to the commit no ALTER gets past our metadata lock.
          await assertShapes(pair, tracked, { on: target, side: 'target', ids });
          const cursor = {
            ...part,
            afterKey: range.end ?? part.afterKey,
            copiedRows: part.copiedRows + measured.rows,
            finished: cut === null || cut === part.endKey,
          };
          await moveCursor(target, pair, run, { from: part, to: cursor });
          return { cursor, ...measured, clock };
        }),
      );
      const { source, target } = clock.took();
      return { ...copied, tookOn: { source: cutting + source, target } };
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.errno !== 1062) throw error;
      await freeUniqueValues(pair, tracked, run.tenant, { tableId: part.tableId, range });
    }
  }
  throw new TransientDatabaseError(
    `target: unique values of ${table.table.name} kept moving during ${ATTEMPTS} attempts`,
  );
}

/** Not where a window locks what it reads: that would be everybody's rows. */
const fewAtOnce = async (
  pair: Pair,
  tracked: Tracked,
  tenant: string,
  part: CopyCursor,
  most: number,
): Promise<string | null> =>
  tracked.capture === 'triggers' && part.afterKey === null && part.endKey === null
    ? fewThroughParents(pair.source, tracked.source(part.tableId), tenant, most)
    : null;

const readIndex = (source: Database, tracked: TrackedTable, tenant: string, range: Range): Promise<string> =>
  cheaperIndex(source, tracked, tenant, {
    index: tenantIndex(tracked) ?? 'PRIMARY',
    range: inside(tracked, 't', range).join(' AND ') || 'TRUE',
  });

function windowSql(
  tracked: TrackedTable,
  tenant: string,
  { index, ...range }: Range & { readonly index: string },
): string {
  const { table } = tracked;
  return `SELECT ${selectImage(table, 't')} FROM ${qualified(table.schema, table.name)} t FORCE INDEX (${ident(index)})
     ${joinChain(tracked, 't', 'JOIN')} WHERE ${windowWhere(tracked, 't', tenant, range)}`;
}

/**
 * The rows of the range and the gaps between them, without those of their parents. Something that the index does
 * not hold is read of each: a locking read that an index answers alone leaves the row itself unlocked, and an
 * UPDATE of its other columns passes.
 */
function lockSql(tracked: TrackedTable, tenant: string, range: Range): string {
  const { table, chain } = tracked;
  const name = tenantIndex(tracked) ?? 'PRIMARY';
  const held = new Set(table.indexes.find((index) => index.name === name)?.columns);
  for (const { name: key } of table.primary) held.add(key);
  const beside = storedColumns(table).find((column) => !held.has(column.name));
  const owned = chain.length === 0 ? [ownedBy(tracked, 't', tenant)] : [];
  return `SELECT COUNT(*)${beside === undefined ? '' : `, SUM(LENGTH(t.${ident(beside.name)}))`} FROM ${qualified(table.schema, table.name)} t FORCE INDEX (${ident(name)})
     WHERE ${[...owned, ...inside(tracked, 't', range)].join(' AND ') || 'TRUE'} LOCK IN SHARE MODE`;
}

/** Counts what arrives, until it weighs too much. A single row may weigh what it wants. */
const bounded =
  (bytesMax: number, measured: { rows: number; bytes: number }): Watch =>
  (rows, bytes) => {
    const all = measured.rows + rows;
    const weight = measured.bytes + bytes;
    if (weight > bytesMax && all > 1)
      throw new WindowTooLarge(Math.max(1, Math.min(all - 1, Math.floor((all * bytesMax) / weight))));
    Object.assign(measured, { rows: all, bytes: weight });
  };

async function deleteWindow(
  target: Session,
  tracked: TrackedTable,
  tenant: string,
  range: Range,
): Promise<void> {
  const { table } = tracked;
  const name = qualified(table.schema, table.name);
  await target.write(
    `DELETE ${name} FROM ${name} ${joinChain(tracked, name, 'JOIN')} WHERE ${windowWhere(tracked, name, tenant, range)}`,
  );
}

/** The rows in the way are mirrored first, under their own tenants' locks: then the source has moved their values on. */
async function freeUniqueValues(
  pair: Pair,
  tracked: Tracked,
  tenant: string,
  { tableId, range }: { readonly tableId: number; readonly range: Range },
): Promise<void> {
  const table = tracked.source(tableId);
  const { schema, name } = table.table;
  const rows = await pair.source.rows(
    `SELECT ${keySql(table.table, 't')} AS row_key FROM ${qualified(schema, name)} t FORCE INDEX (${ident(tenantIndex(table) ?? 'PRIMARY')})
     ${joinChain(table, 't', 'JOIN')} WHERE ${windowWhere(table, 't', tenant, range)}`,
  );
  const keys = new Set(rows.map((row) => row['row_key']!));
  const holders = await uniqueHolders(pair, tracked, tableId, keys);
  // The window replaces its own rows itself.
  const inTheWay = holders.filter((holder) => holder.tenant !== tenant || !keys.has(holder.key));
  const tenants = [...new Set([tenant, ...inTheWay.map((holder) => holder.tenant)])];
  const own = [...new Set(inTheWay.map((holder) => holder.key))];
  const { repair } = modeOf(tracked);
  for (const parent of await parentsOf(pair, tracked, table, own))
    await repair(pair, tracked, { tenants, ...parent });
  await repair(pair, tracked, { tenants, tableId, keys: own });
}

/**
 * A row belongs to whom its parent belongs to, on the target too: of a parent that changed its tenant, and
 * was not mirrored yet, the rows would stay in the way.
 *
 * @returns the farthest first
 */
async function parentsOf(
  pair: Pair,
  tracked: Tracked,
  { table, chain, ...side }: TrackedTable,
  keys: readonly string[],
): Promise<{ tableId: number; keys: string[] }[]> {
  if (chain.length === 0 || keys.length === 0) return [];
  const joins = joinChain({ table, chain, ...side }, 't', 'JOIN');
  const columns = chain.map(({ parent }, depth) => `${keySql(parent, `p${depth}`)} AS k${depth}`);
  const rows = await pair.source.rows(
    `SELECT DISTINCT ${list(columns)} FROM ${keysTable(table.primary, keys)} k
     STRAIGHT_JOIN ${qualified(table.schema, table.name)} t ON ${keysJoin(table.primary, 'k', 't')} ${joins}`,
  );
  return chain
    .map(({ parent }, depth) => ({
      tableId: tracked
        .all()
        .find(({ table: { schema, name } }) => schema === parent.schema && name === parent.name)!.id,
      keys: [...new Set(rows.map((row) => row[`k${depth}`]!))],
    }))
    .toReversed();
}
