/**
 * The one protocol under everything: make the target's rows equal to the source's, for some keys.
 *
 * Mirror, repair, unique-value conflicts and the verdict all go through `converge`. Order is the proof:
 *   1. target: BEGIN, lock the tenants' rows FOR UPDATE in name order, check their direction;
 *   2. source: one REPEATABLE READ snapshot of the tenant's journal rows, then of the images of their keys;
 *   3. the locks held must cover every key's tenants (of its image, its target row, its journal rows);
 *      if not, release, and start again with the union;
 *   4. target: delete all those keys, insert the images that exist, COMMIT;
 *   5. source: delete the journal rows that were read, by id.
 * Writers of a tenant are serialised by its lock and each reads the source after it has the lock, so what
 * is written last was read last; a journal row outlives at least one such read. A crash anywhere repeats
 * work and loses none. `test/db/protocol` shows what breaks without each rule.
 */
import { DatabaseError, TransientDatabaseError } from '../domain/errors.ts';
import { UNRESOLVED } from '../domain/stage.ts';
import type { Database, RawRow, Session } from './database.ts';
import { uniqueHolders } from './holders.ts';
import { selectImage } from './images.ts';
import { derivedTable, keysJoin, keySql, keysTable } from './keys.ts';
import { loadMethod, writeImages } from './load.ts';
import { admitLocks, lockTenants } from './lock.ts';
import { assertShapes, explained } from './shapes.ts';
import { qualified, tenantLiteral } from './sql.ts';
import { sizeOf } from './stream.ts';
import { mirroredTenants } from './stages.ts';
import { joinChain, tenantSql, type TrackedTable } from './tenancy.ts';
import type { Pair, Tracked } from './tracked.ts';

/** Keys by table number. */
export type Keys = ReadonlyMap<number, ReadonlySet<string>>;

export interface JournalRows {
  readonly tenant: string;
  readonly afterId: string;
  readonly limit: number;
  /** Tables whose rows stay in the journal: their definition changed. */
  readonly without?: readonly number[];
}

export interface ConvergeRequest {
  /** Tenants to lock; the union of what turns out to be needed is locked before anything is written. */
  readonly tenants: readonly string[];
  /** Whose journal rows to apply, oldest first; null: none. */
  readonly journal: JournalRows | null;
  /** Keys to apply whether journaled or not. */
  readonly keys: Keys;
  /** Called on the locked target first; false: somebody else has the turn, nothing is done. */
  readonly takeTurn?: (target: Session) => Promise<boolean>;
  /** Called in both transactions after the rows were written, before the target commits. */
  readonly atOneInstant?: (source: Session, target: Session, locked: readonly string[]) => Promise<void>;
}

export interface Converged {
  readonly kind: 'done' | 'busy';
  /** Journal rows that were applied and deleted. */
  readonly applied: number;
  /** Highest journal id that was read; '0' when none. */
  readonly lastId: string;
  /** Did the batch hold as many journal rows as it may? Then there may be more. */
  readonly full: boolean;
  /** Did the batch cover the whole journal of the tenant as of the snapshot? */
  readonly covered: boolean;
}

export interface Image {
  readonly key: string;
  readonly tenant: string | null;
  readonly values: RawRow;
}

interface SourceView {
  readonly journalIds: readonly string[];
  readonly full: boolean;
  readonly covered: boolean;
  readonly keys: Map<number, Set<string>>;
  readonly images: ReadonlyMap<number, readonly Image[]>;
  /** Tenants of images and journal rows of the keys. */
  readonly tenants: ReadonlySet<string>;
}

type Step =
  | { readonly kind: 'busy' }
  | { readonly kind: 'extend'; readonly tenants: readonly string[]; readonly keys: Keys }
  /** Rows of this size: so many journal rows fit into memory. */
  | { readonly kind: 'smaller'; readonly limit: number }
  | { readonly kind: 'done'; readonly view: SourceView };

/** What the images of a batch may weigh: they are held in memory until they are written. */
export const IMAGE_BYTES_MAX = 16 * 1024 * 1024;

export class ImagesTooLarge extends Error {
  readonly fit: number;

  constructor(fit: number) {
    super('the images of a batch are too large');
    this.fit = fit;
  }
}

const ROUNDS = 12;

/** @throws TransientDatabaseError when the locks or unique values did not settle; nothing is lost, repeat it */
export async function converge(pair: Pair, tracked: Tracked, request: ConvergeRequest): Promise<Converged> {
  let tenants = request.tenants;
  let { keys, journal } = request;
  for (let round = 1; round <= ROUNDS; round += 1) {
    const step = await attempt(pair, tracked, { ...request, tenants, keys, journal });
    if (step.kind === 'smaller') {
      journal = { ...journal!, limit: step.limit };
      continue;
    }
    if (step.kind === 'busy') return { kind: 'busy', applied: 0, lastId: '0', full: false, covered: false };
    if (step.kind === 'done') {
      await deleteJournal(pair.source, pair.control, step.view.journalIds);
      return {
        kind: 'done',
        applied: step.view.journalIds.length,
        lastId: step.view.journalIds.at(-1) ?? '0',
        full: step.view.full,
        covered: step.view.covered,
      };
    }
    tenants = [...new Set([...tenants, ...step.tenants])];
    keys = unionKeys(keys, step.keys);
    await admitLocks(pair, tenants);
  }
  throw new TransientDatabaseError(
    `target: the locks of ${tenants.length} tenants did not settle in ${ROUNDS} rounds`,
  );
}

async function attempt(pair: Pair, tracked: Tracked, request: ConvergeRequest): Promise<Step> {
  let writing: TrackedTable | null = null;
  let view: SourceView | null = null;
  const method = await loadMethod(pair.target, pair.control);
  try {
    return await pair.target.transaction(async (target) => {
      if (request.takeTurn !== undefined && !(await request.takeTurn(target))) return { kind: 'busy' };
      const locked = await lockTenants(target, pair.control, request.tenants);
      return pair.source.snapshot(async (source): Promise<Step> => {
        view = await readSource(source, pair, tracked, request);
        const holders = await targetTenants(target, tracked, view.keys);
        const missing = [...new Set([...view.tenants, ...holders])].filter(
          (tenant) => !locked.includes(tenant),
        );
        if (missing.length > 0) return { kind: 'extend', tenants: missing, keys: new Map() };
        await assertShapes(pair, tracked, { on: source, side: 'source', ids: view.keys.keys() });
        for (const [id, tableKeys] of view.keys) await deleteRows(target, tracked.target(id), tableKeys);
        for (const [id, images] of view.images) {
          writing = tracked.target(id);
          await writeImages(
            target,
            writing.table,
            images.map((image) => image.values),
            method,
          );
        }
        // After the first touch: from here to the commit no ALTER gets past our metadata lock.
        await assertShapes(pair, tracked, { on: target, side: 'target', ids: view.keys.keys() });
        await request.atOneInstant?.(source, target, locked);
        return { kind: 'done', view };
      });
    });
  } catch (error) {
    if (error instanceof ImagesTooLarge && request.journal !== null && request.journal.limit > 1)
      return { kind: 'smaller', limit: Math.max(1, Math.min(request.journal.limit - 1, error.fit >> 1)) };
    if (error instanceof DatabaseError && error.errno === 1062 && writing !== null && view !== null) {
      return extendByHolders(pair, tracked, writing, view);
    }
    const ids = (view as SourceView | null)?.keys.keys() ?? tracked.all().map(({ id }) => id);
    return explained(pair, tracked, ids, error);
  }
}

async function readSource(
  source: Session,
  pair: Pair,
  tracked: Tracked,
  request: ConvergeRequest,
): Promise<SourceView> {
  const wanted = [...request.keys].filter(([, set]) => set.size > 0);
  const keys = new Map(wanted.map(([id, set]) => [id, new Set(set)]));
  const tenants = new Set<string>();
  let journalIds: string[] = [];
  let covered = true;
  let full = false;
  if (request.journal !== null) {
    const { tenant, afterId, limit, without = [] } = request.journal;
    const others = without.length === 0 ? '' : ` AND table_id NOT IN (${without.join(', ')})`;
    const rows = await source.rows(
      `SELECT id, table_id, row_key FROM ${qualified(pair.control, 'journal')} WHERE tenant = ${tenantLiteral(tenant)} AND id > ${afterId}${others} ORDER BY id LIMIT ${limit}`,
    );
    journalIds = rows.map((row) => row['id']!);
    full = rows.length >= limit;
    covered = !full && afterId === '0' && without.length === 0;
    for (const row of rows) addKey(keys, Number(row['table_id']), row['row_key']!);
    tenants.add(tenant);
  }
  const images = new Map<number, readonly Image[]>();
  // A single journal row, or keys that belong together, are taken whatever they weigh.
  const budget = { bytes: (request.journal?.limit ?? 1) > 1 ? IMAGE_BYTES_MAX : Infinity };
  for (const [id, tableKeys] of keys) {
    for (const tenant of await journalTenants(source, pair.control, id, tableKeys)) tenants.add(tenant);
    images.set(id, await readImages(source, tracked.source(id), tableKeys, budget));
  }
  const owners = new Set([...images.values()].flatMap((rows) => rows.flatMap((image) => image.tenant ?? [])));
  const mirrored = await mirroredTenants(source, pair.control, owners);
  for (const owner of owners) tenants.add(owner);
  for (const [id, rows] of images) {
    // A row without a parent belongs to nobody; a row of a source-only tenant is not on the target.
    images.set(
      id,
      rows.filter((image) => image.tenant !== null && mirrored.has(image.tenant)),
    );
  }
  return { journalIds, full, covered, keys, images, tenants };
}

/** Whoever has a journal row for one of the keys, under whichever tenant. */
export async function journalTenants(
  source: Session,
  control: string,
  id: number,
  keys: ReadonlySet<string>,
): Promise<Set<string>> {
  const rows = await source.rows(
    `SELECT DISTINCT j.tenant AS tenant FROM ${journalOfKeys(control, id, [...keys], source.takesRows)}`,
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

export async function readImages(
  source: Session,
  tracked: TrackedTable,
  keys: ReadonlySet<string>,
  budget: { bytes: number },
): Promise<Image[]> {
  const { table } = tracked;
  // Two journaled spellings of one key (`abc`, `ABC `) find the same row.
  const byKey = new Map<string, Image>();
  const rows = source.stream(
    `SELECT ${keySql(table, 't')}, ${tenantSql(tracked, 't')}, ${selectImage(table, 't')} FROM ${keysTable(table.primary, [...keys], source.takesRows)} k
     STRAIGHT_JOIN ${qualified(table.schema, table.name)} t ON ${keysJoin(table.primary, 'k', 't')} ${joinChain(tracked, 't')}`,
  );
  for await (const batch of rows)
    for (const row of batch) {
      budget.bytes -= sizeOf(row);
      if (budget.bytes < 0) throw new ImagesTooLarge(byKey.size);
      const [key, tenant, ...values] = row;
      const text = key!.toString('latin1');
      byKey.set(text, { key: text, tenant: tenant?.toString('utf8') ?? null, values });
    }
  return [...byKey.values()];
}

/** Tenants that own the target's rows of the keys; a row without a parent may be anybody's. */
async function targetTenants(target: Session, tracked: Tracked, keys: Keys): Promise<Set<string>> {
  const tenants = new Set<string>();
  for (const [id, tableKeys] of keys) {
    const side = tracked.target(id);
    const { table } = side;
    const rows = await target.rows(
      `SELECT DISTINCT ${tenantSql(side, 't')} AS tenant FROM ${keysTable(table.primary, [...tableKeys], target.takesRows)} k
       STRAIGHT_JOIN ${qualified(table.schema, table.name)} t ON ${keysJoin(table.primary, 'k', 't')} ${joinChain(side, 't')}`,
    );
    for (const row of rows) tenants.add(row['tenant'] ?? UNRESOLVED);
  }
  return tenants;
}

/** A key of a deprecated character set warns, and a server keeps 1,024 warnings for us to look at. */
const DELETED_AT_ONCE = 500;

/** By its full name, never by an alias: a session has no default schema, and an alias would need one (errno 1046). */
export async function deleteRows(
  target: Session,
  tracked: TrackedTable,
  keys: ReadonlySet<string>,
): Promise<void> {
  const { table } = tracked;
  const name = qualified(table.schema, table.name);
  const all = [...keys];
  for (let at = 0; at < all.length; at += DELETED_AT_ONCE)
    await target.write(
      `DELETE ${name} FROM ${keysTable(table.primary, all.slice(at, at + DELETED_AT_ONCE), target.takesRows)} k STRAIGHT_JOIN ${name} ON ${keysJoin(table.primary, 'k', name)}`,
    );
}

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

/**
 * A unique value is still held by another target row: its key joins the batch, under its own tenant's
 * lock. Deleting and inserting both is what lets values move between rows, also in circles.
 */
async function extendByHolders(
  pair: Pair,
  tracked: Tracked,
  { id, table }: TrackedTable,
  view: SourceView,
): Promise<Step> {
  const own = view.keys.get(id) ?? new Set<string>();
  const holders = await uniqueHolders(pair, tracked, id, own);
  const others = holders.filter((holder) => !own.has(holder.key));
  if (others.length === 0)
    throw new TransientDatabaseError(`target: a unique value in ${table.name} is just being moved`);
  return {
    kind: 'extend',
    tenants: others.map((holder) => holder.tenant),
    keys: new Map([[id, new Set(others.map((holder) => holder.key))]]),
  };
}

function addKey(keys: Map<number, Set<string>>, id: number, key: string): void {
  const set = keys.get(id) ?? new Set();
  set.add(key);
  keys.set(id, set);
}

function unionKeys(a: Keys, b: Keys): Keys {
  const union = new Map([...a].map(([id, set]) => [id, new Set(set)]));
  for (const [id, set] of b) for (const key of set) addKey(union, id, key);
  return union;
}
