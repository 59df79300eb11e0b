/**
 * Step 3 and 4 of the protocol for some keys: images read from the source's snapshot, covered by the locks, written
 * to the target.
 *
 * Where nothing but its key makes a row of the target unique, the image replaces the row, which a server does by an
 * update in place; elsewhere all the keys are deleted first, since a REPLACE would delete whichever row holds a value.
 */
import type { Database, Session } from './database.ts';
import { onlyPrimaryIsUnique } from './fingerprint.ts';
import { deleteRows, ImagesTooLarge, linesSql, OwnedLines, strangersSql, type Budget } from './image-rows.ts';
import { journalTenantsSql } from './journal-rows.ts';
import { loadLines, writeImages, type LoadMethod } from './load.ts';
import { ownersOf, picturesOf, type KeysOf, type Picture } from './pictures.ts';
import { assertShapes } from './shapes.ts';
import { qualified } from './sql.ts';
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
 * Reads the images of the keys. Those of tables with many keys are on the target when it returns, the others are written
 * by what it returns.
 *
 * @throws LocksMissing when a key's image, target row or journal row belongs to a tenant that is not locked
 */
export async function applyKeys(
  sides: Sides,
  keys: Keys,
  budget: Budget,
  reached: Reached,
): Promise<() => Promise<void>> {
  const { tracked, method } = sides;
  const isStreamed = (id: number): boolean =>
    keys.get(id)!.size >= STREAMED_MIN && method === 'load-data' && isReplacing(tracked, id);
  const all = [...keys].map(([id, set]): KeysOf => ({ id, keys: [...set] }));
  // Before anything is written: an owner is found through its parents.
  const pictures = await picturesOf(
    sides,
    all.filter(({ id }) => !isStreamed(id)),
    budget,
  );
  assertLocked(sides, pictures.flatMap(tenantsOf));
  for (const many of all.filter(({ id }) => isStreamed(id))) {
    reached.writing = tracked.target(many.id);
    await streamTable(sides, many, budget);
  }
  return () => writePictures(sides, pictures, reached);
}

/**
 * As what `applyKeys` returns, of pictures without owners: the target writes nothing where a row belongs to a tenant that
 * is not locked, and says so as it says of a warning. Where the target `guards`.
 */
export async function writeForeseen(
  sides: Omit<Sides, 'source'>,
  pictures: readonly Picture[],
  reached: Reached,
): Promise<void> {
  const { tracked, target, locked } = sides;
  assertLocked(sides, pictures.flatMap(tenantsOf));
  for (const { id, keys } of pictures)
    target.guardAhead(strangersSql(target, tracked.target(id), keys, locked));
  await writePictures(sides, pictures, reached);
}

async function writePictures(
  sides: Omit<Sides, 'source'>,
  pictures: readonly Picture[],
  reached: Reached,
): Promise<void> {
  for (const one of pictures) {
    const side = sides.tracked.target(one.id);
    reached.writing = side;
    // The last only: what an earlier one met would be known when the next one is sent, and taken for its fault.
    const isAhead = one === pictures.at(-1) && !warns(sides.pair.target, side);
    await writeKeys(sides, one, isAhead);
  }
}

/** Tables of a target where what is written warns, if only of a word such as utf8mb3. */
const WARNS = new WeakMap<Database, Set<string>>();

const warns = (target: Database, { table }: TrackedTable): boolean =>
  WARNS.get(target)?.has(qualified(table.schema, table.name)) === true;

/**
 * From now on its rows are written one statement a packet, and each warning is looked at.
 *
 * @returns false: they were already
 */
export function rememberWarning(target: Database, side: TrackedTable): boolean {
  if (warns(target, side)) return false;
  const name = qualified(side.table.schema, side.table.name);
  WARNS.set(target, (WARNS.get(target) ?? new Set()).add(name));
  return true;
}

/** Where an image replaces the row of its key. */
const isReplacing = (tracked: Tracked, id: number): boolean =>
  onlyPrimaryIsUnique(tracked.shape('target', id), tracked.target(id).table);

const tenantsOf = ({ owners, journaling, images }: Picture): string[] => [
  ...journaling,
  ...owners,
  ...images.flatMap(({ tenant }) => tenant ?? []),
];

function assertLocked({ locked }: Pick<Sides, 'locked'>, tenants: readonly string[]): void {
  const missing = [...new Set(tenants)].filter((tenant) => !locked.has(tenant));
  if (missing.length > 0) throw new LocksMissing(missing);
}

/** A row without a parent belongs to nobody; a row of a source-only tenant is not on the target. */
const isMoved = ({ mirrored }: Pick<Sides, 'mirrored'>, tenant: string | null): boolean =>
  tenant !== null && mirrored.has(tenant);

/** The images replace the rows, and what has none is deleted: in that order, since absence is known at the end. */
async function streamTable(sides: Sides, { id, keys }: KeysOf, budget: Budget): Promise<void> {
  const { pair, tracked, source, target } = sides;
  const [journaled, owners] = await together(
    source.rows(journalTenantsSql(source, pair.control, id, keys)),
    ownersOf(sides, [{ id, keys }]),
  );
  assertLocked(sides, [...journaled.map((row) => row['tenant']!), ...owners.flat()]);
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

async function writeKeys(
  sides: Omit<Sides, 'source'>,
  { id, keys, images: all }: Picture,
  isAhead: boolean,
): Promise<void> {
  const { tracked, target, method } = sides;
  const replaces = isReplacing(tracked, id);
  const images = all.filter(({ tenant }) => isMoved(sides, tenant));
  const kept = new Set(replaces ? images.flatMap(({ askedBy }) => askedBy) : []);
  const gone = keys.filter((key) => !kept.has(key));
  await deleteRows(target, tracked.target(id), gone, isAhead);
  const rows = images.map(({ values }) => values);
  await writeImages(target, tracked.target(id).table, rows, {
    method,
    isReplacing: replaces,
    isAhead,
  });
}
