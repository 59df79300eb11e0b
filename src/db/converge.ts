/**
 * The one protocol under everything: make the target's rows equal to the source's, for some keys.
 *
 * Mirror, repair, unique-value conflicts and the verdict all go through `converge`. Order is the proof:
 *   1. target: BEGIN, lock the tenants' rows FOR UPDATE in name order, check their direction;
 *   2. source: one REPEATABLE READ snapshot of the tenant's journal rows, then of the images of their keys;
 *   3. the locks held must cover every key's tenants (of its image, its target row, its journal rows);
 *      if not, release, and start again with the union;
 *   4. target: delete all those keys, insert the images that exist (or replace: `apply-keys.ts`), COMMIT, mostly in
 *      one packet, which ends before the COMMIT when a value would change;
 *   5. source: delete the journal rows that were read, by id; the next batch need not wait for it (`leaving.ts`).
 * Writers of a tenant are serialised by its lock and each reads the source after it has the lock, so what
 * is written last was read last; a journal row outlives at least one such read. A crash anywhere repeats
 * work and loses none. `test/db/protocol` shows what breaks without each rule.
 */
import { DatabaseError, TransientDatabaseError } from '../domain/errors.ts';
import { hasWarned, type Session } from './database.ts';
import {
  applyKeys,
  LocksMissing,
  rememberWarning,
  writeForeseen,
  type Keys,
  type Reached,
} from './apply-keys.ts';
import { foreseen, shapesAhead, type Foresight } from './foresight.ts';
import { uniqueHolders } from './holders.ts';
import { IMAGE_BYTES_MAX, ImagesTooLarge, type Budget } from './image-rows.ts';
import {
  batchOf,
  deleteJournal,
  journalSql,
  type JournalBatch,
  type JournalIds,
  type JournalRows,
} from './journal-rows.ts';
import { loadMethod } from './load.ts';
import { admitLocks, lockTenants } from './lock.ts';
import { explained, judged } from './shapes.ts';
import { mirroredSql, tenantsOf } from './stages.ts';
import type { TrackedTable } from './tenancy.ts';
import type { Pair, Tracked } from './tracked.ts';

export interface ConvergeRequest {
  /** Tenants to lock; the union of what turns out to be needed is locked before anything is committed. */
  readonly tenants: readonly string[];
  /** Waits for no lock: a tenant that somebody else has is left out, with its journal. */
  readonly skipsLocked?: boolean;
  /** Whose journal rows to apply, oldest first; null: none. */
  readonly journal: JournalRows | null;
  /** Keys to apply whether journaled or not. */
  readonly keys: Keys;
  /** Called when the locks are held, before the source is read: what is committed when it resolves is read. */
  readonly beforeReading?: (locked: readonly string[]) => Promise<void>;
  /** What the tenants' batches were of; missing: nothing is foreseen. */
  readonly foresight?: Foresight;
  /** Called on the locked target first; false: somebody else has the turn, nothing is done. */
  readonly takeTurn?: (target: Session) => Promise<boolean>;
  /** Called after the rows were written, before the target commits. */
  readonly endTurn?: (target: Session) => Promise<void>;
  /** As `endTurn`, while the source's snapshot is still open, which it else no longer is. */
  readonly atOneInstant?: (source: Session, target: Session, locked: readonly string[]) => Promise<void>;
  /** Takes the journal rows that the target has committed, to delete them in time; missing: that is awaited. */
  readonly applied?: (ids: JournalIds) => Promise<void>;
}

export interface Converged {
  readonly kind: 'done' | 'busy';
  /** That were locked. */
  readonly tenants: readonly string[];
  /** Journal rows that were applied. */
  readonly applied: number;
  /** Highest journal id that was read of each tenant. */
  readonly lastIds: ReadonlyMap<string, string>;
  /** Did the batch hold as many journal rows as it may? Then there may be more. */
  readonly full: boolean;
  /** Did the batch cover the whole journal of its tenants as of the snapshot? */
  readonly covered: boolean;
}

type Step =
  | { readonly kind: 'busy' }
  /** As it was; not foreseen, if that is what failed. */
  | { readonly kind: 'again' }
  | { readonly kind: 'extend'; readonly tenants: readonly string[]; readonly keys: Keys }
  /** Rows of this size: so many journal rows fit. */
  | { readonly kind: 'smaller'; readonly limit: number }
  | { readonly kind: 'done'; readonly batch: JournalBatch; readonly tenants: readonly string[] };

const ROUNDS = 12;

const NO_JOURNAL: JournalBatch = { ids: new Map(), keys: [], lastIds: new Map(), full: false, covered: true };

const BUSY: Converged = {
  kind: 'busy',
  tenants: [],
  applied: 0,
  lastIds: new Map(),
  full: false,
  covered: false,
};

/** @throws TransientDatabaseError when the locks or unique values did not settle; nothing is lost, repeat it */
export async function converge(pair: Pair, tracked: Tracked, request: ConvergeRequest): Promise<Converged> {
  const applied =
    request.applied ?? ((ids) => deleteJournal(pair.source, pair.control, [...ids.values()].flat()));
  let tenants = request.tenants;
  let { keys, journal } = request;
  let foresight = foresightOf(request);
  for (let round = 1; round <= ROUNDS; round += 1) {
    const tables = keys.size === 0 ? (foresight?.of(tracked, tenants) ?? []) : [];
    const step = await attempt(pair, tracked, { ...request, tenants, keys, journal }, tables);
    if (step.kind === 'smaller') {
      journal = { ...journal!, limit: step.limit };
      continue;
    }
    if (step.kind === 'again') {
      foresight = null;
      continue;
    }
    if (step.kind === 'busy') return BUSY;
    if (step.kind === 'done') {
      const { ids, lastIds, full, covered } = step.batch;
      request.foresight?.learn(step.batch);
      // Begun before the journal is forgotten: what is buffered was read from either side.
      const told = ids.size + keys.size > 0 ? pair.changed?.(step.tenants) : undefined;
      await Promise.all([told, applied(ids)]);
      const rows = [...ids.values()].reduce((sum, own) => sum + own.length, 0);
      return { kind: 'done', tenants: step.tenants, applied: rows, lastIds, full, covered };
    }
    tenants = [...new Set([...tenants, ...step.tenants])];
    keys = unionKeys(keys, step.keys);
    await admitLocks(pair, tenants);
  }
  throw new TransientDatabaseError(
    `target: the locks of ${tenants.length} tenants did not settle in ${ROUNDS} rounds`,
  );
}

/** Of a batch that is of nothing but journal rows, and leaves the moment of its snapshot open to nobody. */
const foresightOf = ({ foresight, journal, atOneInstant }: ConvergeRequest): Foresight | null =>
  journal === null || atOneInstant !== undefined ? null : (foresight ?? null);

/** @param tables that are foreseen */
async function attempt(
  pair: Pair,
  tracked: Tracked,
  request: ConvergeRequest,
  tables: readonly number[],
): Promise<Step> {
  const reached: Reached = { keys: null, writing: null };
  const method = await loadMethod(pair.target, pair.control);
  try {
    return await judged(pair, () =>
      pair.target.transaction(async (target): Promise<Step> => {
        if (request.takeTurn !== undefined && !(await request.takeTurn(target))) return { kind: 'busy' };
        const { tenants, skipsLocked } = request;
        const ahead = target.guards && tables.length > 0 ? shapesAhead(tracked, tables) : undefined;
        const locked = await lockTenants(target, pair.control, tenants, skipsLocked, ahead);
        const { journal } = request;
        if (journal !== null && !locked.some((tenant) => journal.after.has(tenant))) return { kind: 'busy' };
        await request.beforeReading?.(locked);
        if (ahead !== undefined) {
          const ours = journalOf(request, locked)!;
          const seen = await foreseen({ pair, tracked, tables, journal: ours });
          if (seen !== null) {
            const { batch, mirrored, pictures } = seen;
            const sides = { pair, tracked, target, method, locked: new Set(locked), mirrored };
            await writeForeseen(sides, pictures, reached);
            await request.endTurn?.(target);
            return { kind: 'done', batch, tenants: locked };
          }
          request.foresight?.failed(tenants);
        }
        const { batch, write } = await pair.source.snapshot(async (source) => {
          const { batch: read, keys, mirrored } = await readBatch(source, pair, request, locked);
          reached.keys = keys;
          const sides = { pair, tracked, source, target, method, locked: new Set(locked), mirrored };
          const later = await applyKeys(sides, keys, budgetOf(request), reached);
          if (request.atOneInstant === undefined) return { batch: read, write: later };
          await later();
          await request.atOneInstant(source, target, locked);
          return { batch: read, write: () => Promise.resolve() };
        });
        await write();
        await request.endTurn?.(target);
        return { kind: 'done', batch, tenants: locked };
      }),
    );
  } catch (error) {
    if (tables.length > 0 && !(error instanceof LocksMissing)) {
      // Of whatever kind: a journal that is too long to be read so would be met by every try.
      request.foresight?.failed(request.tenants);
      if (error instanceof ImagesTooLarge) request.foresight?.areHeavy(tables);
      if (!(error instanceof TransientDatabaseError)) return { kind: 'again' };
    }
    return stepAfter(pair, tracked, request, reached, error);
  }
}

/** What a failed attempt asks for. @throws the error when nothing helps */
async function stepAfter(
  pair: Pair,
  tracked: Tracked,
  { journal }: ConvergeRequest,
  { keys, writing }: Reached,
  error: unknown,
): Promise<Step> {
  if (error instanceof LocksMissing) return { kind: 'extend', tenants: error.tenants, keys: new Map() };
  if (error instanceof ImagesTooLarge && journal !== null && journal.limit > 1)
    return { kind: 'smaller', limit: Math.max(1, Math.min(journal.limit - 1, error.fit >> 1)) };
  if (hasWarned(error) && writing !== null && rememberWarning(pair.target, writing)) return { kind: 'again' };
  if (error instanceof DatabaseError && error.errno === 1062 && writing !== null)
    return extendByHolders(pair, tracked, writing, keys!.get(writing.id) ?? new Set());
  return explained(pair, tracked, keys?.keys() ?? tracked.all().map(({ id }) => id), error);
}

/** A single journal row, or keys that belong together, are taken whatever they weigh. */
const budgetOf = ({ journal }: ConvergeRequest): Budget => ({
  bytes: (journal?.limit ?? 1) > 1 ? IMAGE_BYTES_MAX : Infinity,
});

interface Batch {
  readonly batch: JournalBatch;
  readonly keys: Keys;
  /** Which of the locked tenants are on the target at all. */
  readonly mirrored: ReadonlySet<string>;
}

/** What is asked of the tenants that are locked. */
function journalOf({ journal }: ConvergeRequest, locked: readonly string[]): JournalRows | null {
  const ours = [...(journal?.after ?? [])].filter(([tenant]) => locked.includes(tenant));
  return journal && { ...journal, after: new Map(ours) };
}

async function readBatch(
  source: Session,
  { control }: Pair,
  request: ConvergeRequest,
  locked: readonly string[],
): Promise<Batch> {
  const journal = journalOf(request, locked);
  const [stages, rows = []] = await source.rowsOfEach([
    mirroredSql(control, locked),
    ...(journal === null ? [] : [journalSql(control, journal)]),
  ]);
  const batch = journal === null ? NO_JOURNAL : batchOf(journal, rows);
  const mirrored = tenantsOf(stages!);
  const keys = new Map(
    [...request.keys].filter(([, set]) => set.size > 0).map(([id, set]) => [id, new Set(set)]),
  );
  for (const { tableId, key } of batch.keys) addKey(keys, tableId, key);
  return { batch, keys, mirrored };
}

/**
 * A unique value is still held by another target row: its key joins the batch, under its own tenant's
 * lock. Deleting and inserting both is what lets values move between rows, also in circles.
 */
async function extendByHolders(
  pair: Pair,
  tracked: Tracked,
  { id, table }: TrackedTable,
  own: ReadonlySet<string>,
): Promise<Step> {
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
