/**
 * What the two sides say of few keys, each asked in one packet: their images on the source with whoever else journaled
 * them, and the owners of their rows on the target. The definitions of the tables come behind.
 */
import type { Session } from './database.ts';
import { shapeIn, shapeInRaw } from './fingerprint.ts';
import { ownersIn, ownersSql, readImagesOfEach, type Budget, type Image } from './image-rows.ts';
import { journalTenantsSql } from './journal-rows.ts';
import { shapesBeside } from './shapes.ts';
import { together } from './together.ts';
import type { Pair, Tracked } from './tracked.ts';

/** Keys of one table. */
export interface KeysOf {
  readonly id: number;
  readonly keys: readonly string[];
}

export interface Picture extends KeysOf {
  readonly images: readonly Image[];
  /** Tenants that have a journal row for one of the keys. */
  readonly journaling: readonly string[];
  /** Tenants whose rows they are on the target. */
  readonly owners: readonly string[];
}

interface Sides {
  readonly pair: Pick<Pair, 'control'>;
  readonly tracked: Tracked;
  /** Of a snapshot. */
  readonly source: Session;
  readonly target: Session;
}

/** Tables of one packet: the target is silent meanwhile, and ends a session that is so for too long. */
const AT_ONCE = 8;

/** Both sides at once. */
export async function picturesOf(sides: Sides, all: readonly KeysOf[], budget: Budget): Promise<Picture[]> {
  const pictures: Picture[] = [];
  for (let at = 0; at < all.length; at += AT_ONCE) {
    const few = all.slice(at, at + AT_ONCE);
    const [owners, sources] = await together(ownersOf(sides, few), onSource(sides, few, budget));
    pictures.push(...sources.map((one, place) => ({ ...one, owners: owners[place]! })));
  }
  return pictures;
}

/**
 * The first touch of the target's tables: from here to the commit no ALTER gets past our metadata lock.
 *
 * @returns tenants, by the place of the keys
 */
export async function ownersOf(
  { tracked, target }: Pick<Sides, 'tracked' | 'target'>,
  few: readonly KeysOf[],
): Promise<string[][]> {
  const shapes = shapesBeside(tracked, 'target', idsOf(few));
  const answers = await target.rowsOfEach([
    ...few.map(({ id, keys }) => ownersSql(target, tracked.target(id), keys)),
    ...shapes.statements,
  ]);
  shapes.assert(answers.slice(few.length).map(shapeIn));
  return answers.slice(0, few.length).map(ownersIn);
}

async function onSource(
  { pair, tracked, source }: Omit<Sides, 'target'>,
  few: readonly KeysOf[],
  budget: Budget,
): Promise<Omit<Picture, 'owners'>[]> {
  const shapes = shapesBeside(tracked, 'source', idsOf(few));
  const asked = few.map(({ id, keys }) => ({ side: tracked.source(id), keys }));
  const { images, answers } = await readImagesOfEach(source, asked, budget, {
    before: few.map(({ id, keys }) => journalTenantsSql(source, pair.control, id, keys)),
    behind: shapes.statements,
  });
  shapes.assert(answers.slice(few.length).map(shapeInRaw));
  return few.map((one, at) => ({
    ...one,
    images: images[at]!,
    journaling: answers[at]!.map(([tenant]) => tenant!.toString('utf8')),
  }));
}

const idsOf = (few: readonly KeysOf[]): number[] => few.map(({ id }) => id);
