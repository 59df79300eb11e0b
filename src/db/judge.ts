/**
 * Keys judged by what both sides hold of them: rows read by key and hashed, then compared. Who calls holds
 * still what it reads: a tenant's lock (`verdict.ts`), or the source rows themselves (`settled.ts`).
 */
import { judgeSuspect, type Verdict } from '../domain/drift.ts';
import { storedColumns } from './catalog.ts';
import type { Session } from './database.ts';
import type { Executor, Reader, RowsQuery } from './executor.ts';
import { keysJoin, keySql, keysTable } from './keys.ts';
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

export interface Side {
  /** As the row spells it: the key that was asked for may only be equal by collation. */
  readonly key: string;
  readonly hash: string;
  readonly tenant: string | null;
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
