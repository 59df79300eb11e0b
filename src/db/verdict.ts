/**
 * The verdict: is a suspect drift, or merely in flight? Taken under the tenant's lock, so it needs no
 * settle time and locks nothing on the source (promise P4).
 *
 * Under the lock: source rows, target rows under any tenant, then the journal. A write committed before
 * the source was read whose journal row is already gone reached the target before we got the lock, so the
 * rows are equal; a later write has its journal row. Otherwise the two sides differ, now.
 */
import { TransientDatabaseError } from '../domain/errors.ts';
import { judgeSuspect, type DriftClass, type Verdict } from '../domain/drift.ts';
import type { Milliseconds } from '../domain/duration.ts';
import { UNRESOLVED } from '../domain/stage.ts';
import { storedColumns } from './catalog.ts';
import { converge } from './converge.ts';
import { journalOfKeys } from './journal-rows.ts';
import type { Session } from './database.ts';
import type { Executor, Reader, RowsQuery } from './executor.ts';
import { executorOf } from './executors.ts';
import { keysJoin, keySql, keysTable } from './keys.ts';
import { admitLocks, lockTenants } from './lock.ts';
import { assertShapes } from './shapes.ts';
import { qualified } from './sql.ts';
import { mirroredTenants } from './stages.ts';
import { joinChain, tenantSql, type TrackedTable } from './tenancy.ts';
import type { Pair, Tracked } from './tracked.ts';
import { bearWitness, type VerdictInputs } from './witness.ts';

export interface Judged {
  readonly key: string;
  readonly verdict: Verdict;
  readonly sourceHash: string | null;
  readonly targetHash: string | null;
  /** Names of the columns that differ; empty unless the class is `different`. */
  readonly columns: readonly string[];
  /** Of a drift: what the verdict stood on; else null. */
  readonly inputs: VerdictInputs | null;
}

interface Side {
  /** As the row spells it: the key that was asked for may only be equal by collation. */
  readonly key: string;
  readonly hash: string;
  readonly tenant: string | null;
}

const ROUNDS = 12;

export async function judgeKeys(
  pair: Pair,
  tracked: Tracked,
  tenant: string,
  tableId: number,
  keys: readonly string[],
): Promise<Judged[]> {
  let tenants = [tenant];
  const executor = await executorOf(pair, tracked, tableId);
  for (let round = 1; round <= ROUNDS; round += 1) {
    const outcome = await pair.target.transaction(
      async (target): Promise<Judged[] | { missing: string[] }> => {
        const locked = await lockTenants(target, pair.control, tenants);
        const source = await readSide(executor, pair.source, tracked.source(tableId), keys);
        const onTarget = await readSide(executor, target, tracked.target(tableId), keys);
        const owners = [...source.values(), ...onTarget.values()].map((side) => side.tenant ?? UNRESOLVED);
        const missing = [...new Set(owners)].filter((owner) => !locked.includes(owner));
        if (missing.length > 0) return { missing };
        // Rows that were read through another definition differ without having drifted.
        await assertShapes(pair, tracked, { on: pair.source, side: 'source', ids: [tableId] });
        await assertShapes(pair, tracked, { on: target, side: 'target', ids: [tableId] });
        const absent = await unmirrored(pair, [...source.values()]);
        const spelled = [...source.values(), ...onTarget.values()].map((side) => side.key);
        const journaled = await journaledKeys(pair, tableId, [...new Set([...keys, ...spelled])]);
        return compare(pair, target, tracked, {
          executor,
          how: 'read',
          locked,
          tableId,
          keys,
          source,
          onTarget,
          absent,
          journaled,
          anyOwner: false,
        });
      },
    );
    if (Array.isArray(outcome)) return outcome;
    tenants = [...tenants, ...outcome.missing];
    await admitLocks(pair, outcome.missing);
  }
  throw new TransientDatabaseError(`target: the locks of ${tenants.length} tenants did not settle`);
}

export interface Comparison {
  readonly executor: Executor;
  readonly how: VerdictInputs['how'];
  readonly locked: readonly string[];
  readonly tableId: number;
  readonly keys: readonly string[];
  readonly source: ReadonlyMap<number, Side>;
  readonly onTarget: ReadonlyMap<number, Side>;
  readonly absent: ReadonlySet<string>;
  readonly journaled: ReadonlySet<string>;
  /** Is a row that is on both sides compared whoever owns it? Where the application mirrors, ours or not is its affair. */
  readonly anyOwner: boolean;
}

/** By hashes alone, without what a verdict has to keep. */
export function judgeRows(input: Omit<Comparison, 'executor' | 'how' | 'locked' | 'tableId'>): Judged[] {
  return input.keys.map((key, position) => {
    const image = input.source.get(position);
    const onTarget = input.onTarget.get(position);
    const owned = image !== undefined && image.tenant !== null && !input.absent.has(image.tenant);
    const compared = owned || (input.anyOwner && onTarget !== undefined);
    const sourceHash = compared ? (image?.hash ?? null) : null;
    const targetHash = onTarget?.hash ?? null;
    const spellings = [key, image?.key ?? key, onTarget?.key ?? key];
    const journaled = spellings.some((spelling) => input.journaled.has(spelling));
    return {
      key,
      verdict: judgeSuspect(sourceHash, targetHash, journaled),
      sourceHash,
      targetHash,
      columns: [],
      inputs: null,
    };
  });
}

export async function compare(
  pair: Pair,
  target: Session,
  tracked: Tracked,
  input: Comparison,
): Promise<Judged[]> {
  const judged = judgeRows(input);
  if (!judged.some(({ verdict }) => verdict.kind === 'drift')) return judged;
  const proven = await withInputs(pair, target, input, judged);
  const different = proven.filter(({ verdict }) => verdict.kind === 'drift' && verdict.class === 'different');
  if (different.length === 0) return proven;
  const differing = await differingColumns(
    pair,
    target,
    tracked,
    input,
    different.map((one) => one.key),
  );
  return proven.map((one) => ({ ...one, columns: differing.get(one.key) ?? [] }));
}

const LOCKED_TOLD = 20;

async function withInputs(
  pair: Pair,
  target: Session,
  { how, locked, source, onTarget, absent }: Comparison,
  judged: readonly Judged[],
): Promise<Judged[]> {
  const witness = await bearWitness(pair.source, target, pair.control);
  return judged.map((one, position) => {
    if (one.verdict.kind !== 'drift') return one;
    const owner = source.get(position)?.tenant ?? null;
    const inputs: VerdictInputs = {
      ...witness,
      how,
      locked: locked.slice(0, LOCKED_TOLD),
      lockedTenants: locked.length,
      sourceRow: source.has(position),
      sourceOwner: owner,
      ownerMirrored: owner !== null && !absent.has(owner),
      targetRow: onTarget.has(position),
      targetOwner: onTarget.get(position)?.tenant ?? null,
      journaled: false,
    };
    return { ...one, inputs };
  });
}

const rowsOfKeys =
  (side: TrackedTable, keys: readonly string[]): RowsQuery =>
  (select) =>
    `SELECT ${select} FROM ${keysTable(side.table.primary, keys)} k
     STRAIGHT_JOIN ${qualified(side.table.schema, side.table.name)} t ON ${keysJoin(side.table.primary, 'k', 't')} ${joinChain(side, 't')}`;

/** Rows by position of their key; a key that only a collation calls equal finds its row too. */
export async function readSide(
  executor: Executor,
  db: Reader,
  side: TrackedTable,
  keys: readonly string[],
): Promise<Map<number, Side>> {
  const beside = ['k.n', keySql(side.table, 't'), tenantSql(side, 't')];
  const rows = await executor.hashes(db, side, { rows: rowsOfKeys(side, keys), beside, parts: 'row' });
  return new Map(
    rows.map(({ beside: [n, key, tenant], hashes: [hash] }) => [
      Number(n),
      { key: key!, hash: hash!, tenant: tenant ?? null },
    ]),
  );
}

export async function unmirrored(pair: Pair, sides: readonly Side[]): Promise<Set<string>> {
  const owners = new Set(sides.flatMap((side) => side.tenant ?? []));
  const mirrored = await mirroredTenants(pair.source, pair.control, owners);
  return new Set([...owners].filter((owner) => !mirrored.has(owner)));
}

async function journaledKeys(pair: Pair, tableId: number, keys: readonly string[]): Promise<Set<string>> {
  const rows = await pair.source.rows(
    `SELECT DISTINCT j.row_key AS row_key FROM ${journalOfKeys(pair.control, tableId, keys)}`,
  );
  return new Set(rows.map((row) => row['row_key']!));
}

async function differingColumns(
  pair: Pair,
  target: Session,
  tracked: Tracked,
  { executor, tableId }: Comparison,
  keys: readonly string[],
): Promise<Map<string, string[]>> {
  const read = (db: Reader, side: TrackedTable) =>
    executor.hashes(db, side, { rows: rowsOfKeys(side, keys), beside: ['k.n'], parts: 'columns' });
  const source = await read(pair.source, tracked.source(tableId));
  const onTarget = new Map(
    (await read(target, tracked.target(tableId))).map((row) => [row.beside[0], row.hashes]),
  );
  const columns = storedColumns(tracked.source(tableId).table);
  return new Map(
    source.map(({ beside: [n], hashes }) => {
      const there = onTarget.get(n);
      const names = columns
        .filter((_, index) => hashes[index] !== there?.[index])
        .map((column) => column.name);
      return [keys[Number(n)]!, names];
    }),
  );
}

/**
 * A key that is in flight whenever it is looked at: mirror it under the lock and compare what was written
 * with the snapshot that it was written from.
 */
export async function judgeHot(
  pair: Pair,
  tracked: Tracked,
  tenant: string,
  tableId: number,
  keys: readonly string[],
): Promise<Judged[]> {
  let judged: Judged[] = [];
  const executor = await executorOf(pair, tracked, tableId);
  await converge(pair, tracked, {
    tenants: [tenant],
    journal: null,
    keys: new Map([[tableId, new Set(keys)]]),
    atOneInstant: async (source, target, locked) => {
      const before = await readSide(executor, source, tracked.source(tableId), keys);
      const after = await readSide(executor, target, tracked.target(tableId), keys);
      const absent = await unmirrored(pair, [...before.values()]);
      judged = await compare(pair, target, tracked, {
        executor,
        how: 'mirrored',
        locked,
        tableId,
        keys,
        source: before,
        onTarget: after,
        absent,
        journaled: new Set(),
        anyOwner: false,
      });
    },
  });
  return judged;
}

/** Repair is a mirror of keys: the same locks, the same order, the same proof. */
export async function repairKeys(
  pair: Pair,
  tracked: Tracked,
  tenant: string,
  tableId: number,
  keys: readonly string[],
): Promise<void> {
  await converge(pair, tracked, {
    tenants: [tenant],
    journal: null,
    keys: new Map([[tableId, new Set(keys)]]),
  });
}

export interface FoundDrift {
  readonly class: DriftClass;
  readonly judged: Judged;
  /** At which look it was proven; the earlier ones found the key in flight. */
  readonly look: number;
}

/** Keys of one window whose hashes differ. */
export interface Suspects {
  readonly tenant: string;
  readonly tableId: number;
  readonly keys: readonly string[];
  /** How long both sides must have stood still, where there is no journal to ask. */
  readonly settle: Milliseconds;
  /** Called at least every second while a verdict waits; throws to stop. */
  readonly beat: () => void;
}

/** Drift that was proven, and how many keys were merely in flight, or never stood still and are not verified. */
export interface Findings {
  readonly drifts: readonly FoundDrift[];
  readonly inFlight: number;
  readonly hot: number;
}

const LOOKS = 3;

/** In flight is looked at again; a key that stays in flight is mirrored and compared as it is written. */
export async function judgeSuspects(
  pair: Pair,
  tracked: Tracked,
  { tenant, tableId, keys }: Suspects,
): Promise<Findings> {
  const drifts: FoundDrift[] = [];
  let open = keys;
  let inFlight = 0;
  for (let look = 1; look <= LOOKS && open.length > 0; look += 1) {
    const judged =
      look < LOOKS
        ? await judgeKeys(pair, tracked, tenant, tableId, open)
        : await judgeHot(pair, tracked, tenant, tableId, open);
    for (const one of judged) {
      if (one.verdict.kind === 'drift') drifts.push({ class: one.verdict.class, judged: one, look });
    }
    open = judged.filter((one) => one.verdict.kind === 'in-flight').map((one) => one.key);
    if (look === 1) inFlight = open.length;
  }
  return { drifts, inFlight, hot: 0 };
}
