/**
 * Step 3 and 4 of the protocol for some keys: images read from the source's snapshot, covered by the locks, written
 * to the target.
 *
 * Where nothing but its key makes a row of the target unique, the image replaces the row, which a server does by an
 * update in place; elsewhere all the keys are deleted first, since a REPLACE would delete whichever row holds a value.
 */
import type { Session } from './database.ts';
import { onlyPrimaryIsUnique, shapeIn, shapeInRaw } from './fingerprint.ts';
import {
  deleteRows,
  ImagesTooLarge,
  linesSql,
  OwnedLines,
  ownersIn,
  ownersSql,
  readImages,
} from './image-rows.ts';
import { journalTenantsSql } from './journal-rows.ts';
import { loadLines, writeImages, type LoadMethod } from './load.ts';
import { assertShapes, shapesBeside } from './shapes.ts';
import type { TrackedTable } from './tenancy.ts';
import { together } from './together.ts';
import type { Pair, Tracked } from './tracked.ts';

/** Keys by table number. */
export type Keys = ReadonlyMap<number, ReadonlySet<string>>;

/** How far an attempt came, for what its failure means. */
export interface Reached {
  keys: Keys | null;
  /** The table whose images are being written. */
  writing: TrackedTable | null;
}

/** Thrown, not returned: what was written must be rolled back. */
export class LocksMissing extends Error {
  readonly tenants: readonly string[];

  constructor(tenants: readonly string[]) {
    super('rows of further tenants are concerned');
    this.tenants = tenants;
  }
}

export interface Sides {
  readonly pair: Pair;
  readonly tracked: Tracked;
  readonly source: Session;
  readonly target: Session;
  readonly method: LoadMethod;
  readonly locked: ReadonlySet<string>;
  readonly mirrored: ReadonlySet<string>;
}

/** From so many keys on the images are not kept in memory, but written as they are read. */
const STREAMED_MIN = 200;

/**
 * Reads the images of the keys, table by table. Many are on the target when it returns, the others are written by
 * what it returns.
 *
 * @throws LocksMissing when a key's image, target row or journal row belongs to a tenant that is not locked
 */
export async function applyKeys(
  sides: Sides,
  keys: Keys,
  bytes: number,
  reached: Reached,
): Promise<() => Promise<void>> {
  const { tracked } = sides;
  const budget = { bytes };
  const later: (() => Promise<void>)[] = [];
  for (const [id, set] of keys) {
    const all = [...set];
    const isReplacing = onlyPrimaryIsUnique(tracked.shape('target', id), tracked.target(id).table);
    const isStreamed = isReplacing && all.length >= STREAMED_MIN && sides.method === 'load-data';
    if (isStreamed) {
      reached.writing = tracked.target(id);
      await streamTable(sides, id, all, budget);
      continue;
    }
    const write = await readTable(sides, { id, keys: all, isReplacing }, budget);
    later.push(() => {
      reached.writing = tracked.target(id);
      return write();
    });
  }
  return async () => {
    for (const write of later) await write();
  };
}

/**
 * Locks cover whoever owns the keys' rows on the target. That look is the first touch of the target's table: from here to
 * the commit no ALTER gets past our metadata lock.
 */
async function ownersOf({ tracked, target }: Sides, id: number, keys: readonly string[]): Promise<string[]> {
  const shapes = shapesBeside(tracked, 'target', [id]);
  const [owning, ...created] = await target.rowsOfEach([
    ownersSql(target, tracked.target(id), keys),
    ...shapes.statements,
  ]);
  shapes.assert(created.map(shapeIn));
  return ownersIn(owning!);
}

function assertLocked({ locked }: Sides, tenants: readonly string[]): void {
  const missing = [...new Set(tenants)].filter((tenant) => !locked.has(tenant));
  if (missing.length > 0) throw new LocksMissing(missing);
}

/** A row without a parent belongs to nobody; a row of a source-only tenant is not on the target. */
const isMoved = ({ mirrored }: Sides, tenant: string | null): boolean =>
  tenant !== null && mirrored.has(tenant);

/** The images replace the rows, and what has none is deleted: in that order, since absence is known at the end. */
async function streamTable(
  sides: Sides,
  id: number,
  keys: readonly string[],
  budget: { bytes: number },
): Promise<void> {
  const { pair, tracked, source, target } = sides;
  const [journaled, owners] = await together(
    source.rows(journalTenantsSql(source, pair.control, id, keys)),
    ownersOf(sides, id, keys),
  );
  assertLocked(sides, [...journaled.map((row) => row['tenant']!), ...owners]);
  const { table } = tracked.target(id);
  const strangers = new Set<string>();
  const lines = new OwnedLines(table, keys.length, (tenant) => {
    if (tenant !== null && !sides.locked.has(tenant)) strangers.add(tenant);
    return isMoved(sides, tenant);
  });
  let arrived = 0;
  const watch = (rows: number, bytes: number): void => {
    budget.bytes -= bytes;
    if (budget.bytes < 0) throw new ImagesTooLarge(arrived);
    arrived += rows;
  };
  const sql = linesSql(source, tracked.source(id), keys);
  await loadLines(source, sql, { target, table, watch, lines, isReplacing: true });
  await assertShapes(pair, tracked, { on: source, side: 'source', ids: [id] });
  assertLocked(sides, [...strangers]);
  await deleteRows(target, tracked.target(id), lines.absent(keys));
}

interface FewKeys {
  readonly id: number;
  readonly keys: readonly string[];
  readonly isReplacing: boolean;
}

/**
 * Locks must also cover whoever has a journal row for one of the keys, and the owners of the images: all that the source
 * is asked for is one packet, its definition of the table behind the images.
 *
 * @returns writes the images
 */
async function readTable(
  sides: Sides,
  { id, keys, isReplacing }: FewKeys,
  budget: { bytes: number },
): Promise<() => Promise<void>> {
  const { pair, tracked, source, target, method } = sides;
  const shapes = shapesBeside(tracked, 'source', [id]);
  const packet = { before: [journalTenantsSql(source, pair.control, id, keys)], behind: shapes.statements };
  const [owners, { images: all, answers }] = await together(
    ownersOf(sides, id, keys),
    readImages(source, tracked.source(id), keys, budget, packet),
  );
  const [journaling, ...created] = answers;
  shapes.assert(created.map(shapeInRaw));
  const journaled = journaling!.map(([tenant]) => tenant!.toString('utf8'));
  const pictured = all.flatMap(({ tenant }) => tenant ?? []);
  assertLocked(sides, [...journaled, ...owners, ...pictured]);
  const images = all.filter(({ tenant }) => isMoved(sides, tenant));
  const kept = new Set(isReplacing ? images.flatMap(({ places }) => places) : []);
  const side = tracked.target(id);
  const rows = images.map(({ values }) => values);
  return async () => {
    await deleteRows(
      target,
      side,
      keys.filter((_, place) => !kept.has(place)),
    );
    await writeImages(target, side.table, rows, { method, isReplacing });
  };
}
