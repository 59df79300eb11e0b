/**
 * Step 2 of the protocol in one packet, for tables that are likely to be met.
 *
 * Most batches of a tenant that somebody waits for are small and of the tables of the batch before. So their
 * definitions on the target are looked at while the lock is taken, and the source finds the images by the journal that
 * it reads, in the same statement. Only tables are guessed, never keys: a batch of other tables, or a long one, is done
 * again as every batch is (`converge.ts`), and so is one of which anything fails here.
 */
import { kindOf, type Kind } from './kinds.ts';
import type { Column } from './catalog.ts';
import { SNAPSHOT, type RawRow, type TextRow } from './database.ts';
import { shapeIn, shapeInRaw } from './fingerprint.ts';
import { gatherImages, type Budget, type Image, type ImagesAsked } from './image-rows.ts';
import {
  batchOf,
  fromJournal,
  journalSql,
  sameKey,
  type JournalBatch,
  type JournalRows,
} from './journal-rows.ts';
import type { Picture } from './pictures.ts';
import { shapesBeside } from './shapes.ts';
import { ident, qualified } from './sql.ts';
import { joinChain, type TrackedTable } from './tenancy.ts';
import type { Pair, Tracked } from './tracked.ts';

/** A batch of so many journal rows is not small. */
const ROWS_MAX = 100;
const BYTES_MAX = 1024 * 1024;
const TABLES_MAX = 4;
const TENANTS_MAX = 10_000;
const COLUMNS_MAX = 3;
/** After a batch that was not as foreseen: so many are read as every batch is. */
const SITS_OUT = 16;

/** What the batches of each tenant were of. */
export class Foresight {
  readonly #tables = new Map<string, ReadonlySet<number>>();
  /** Of large rows. */
  readonly #heavy = new Set<number>();
  /** Batches of a tenant for which nothing is foreseen. */
  readonly #sitsOut = new Map<string, number>();

  learn({ keys }: Pick<JournalBatch, 'keys'>): void {
    const found = new Map<string, Set<number>>();
    for (const { tenant, tableId } of keys) found.set(tenant, (found.get(tenant) ?? new Set()).add(tableId));
    if (this.#tables.size + found.size > TENANTS_MAX) this.#tables.clear();
    for (const [tenant, tables] of found) this.#tables.set(tenant, tables);
  }

  /** A key that is written over and over, or tables in turn, would cost a packet each time. */
  failed(tenants: readonly string[]): void {
    if (this.#sitsOut.size + tenants.length > TENANTS_MAX) this.#sitsOut.clear();
    for (const tenant of tenants) this.#sitsOut.set(tenant, SITS_OUT);
  }

  /** Their images are never again read before it is known how many they are. */
  areHeavy(tables: Iterable<number>): void {
    for (const id of tables) this.#heavy.add(id);
  }

  /** @returns tables that the tenants' next batch may be of; none where it can't be told, or there are too many */
  of(tracked: Tracked, tenants: readonly string[]): readonly number[] {
    if (tenants.filter((tenant) => this.#isOut(tenant)).length > 0) return [];
    const tables = new Set(tenants.flatMap((tenant) => [...(this.#tables.get(tenant) ?? [])]));
    const isFit = (id: number): boolean =>
      tracked.has(id) &&
      !this.#heavy.has(id) &&
      partsSql(tracked.source(id).table.primary, 'f.row_key') !== null;
    return tables.size <= TABLES_MAX && [...tables].every(isFit) ? [...tables] : [];
  }

  /** Counts: each of them is asked about. */
  #isOut(tenant: string): boolean {
    const left = this.#sitsOut.get(tenant) ?? 0;
    if (left <= 1) this.#sitsOut.delete(tenant);
    else this.#sitsOut.set(tenant, left - 1);
    return left > 0;
  }
}

/** Statements for the packet that takes the tenants' locks: from there on nobody alters the tables on the target. */
export function shapesAhead(tracked: Tracked, tables: readonly number[]) {
  const { touches, statements, assert } = shapesBeside(tracked, 'target', tables);
  return {
    statements: [...touches, ...statements],
    answered: (answers: readonly (readonly TextRow[])[]) =>
      assert(answers.slice(touches.length).map(shapeIn)),
  };
}

export interface Foreseen {
  readonly batch: JournalBatch;
  /** Which of the tenants that journaled its keys are on the target at all. */
  readonly mirrored: ReadonlySet<string>;
  /** Of the tables that the batch is of; owners are not known yet. */
  readonly pictures: readonly Picture[];
}

export interface Foresees {
  readonly pair: Pair;
  readonly tracked: Tracked;
  readonly tables: readonly number[];
  readonly journal: JournalRows;
}

/** @returns null where the journal holds more than was foreseen */
export function foreseen({ pair, tracked, tables, journal }: Foresees): Promise<Foreseen | null> {
  const { source, control } = pair;
  const rows = { ...journal, limit: ROWS_MAX, skips: [...(journal.leaving ?? [])].slice(0, ROWS_MAX) };
  const shapes = shapesBeside(tracked, 'source', tables);
  const budget: Budget = { bytes: BYTES_MAX };
  return source.snapshotAtOnce(async (session) => {
    if (!session.combines) return null;
    await session.begin(SNAPSHOT);
    const asked = tables.map((id) => imagesAsked(control, rows, tracked.source(id)));
    const { images, answers } = await gatherImages(session, asked, budget, {
      before: [journaledSql(control, rows)],
      behind: [...shapes.statements, 'COMMIT'],
    });
    const [found = [], ...rest] = answers;
    shapes.assert(rest.slice(0, shapes.statements.length).map(shapeInRaw));
    return isSmall(rows, found, images) ? seenIn(rows, found.map(journaledRow), images, tables) : null;
  });
}

/** Then every answer is whole. */
const isSmall = ({ limit }: JournalRows, found: readonly RawRow[], images: readonly Image[][]): boolean =>
  found.length < limit && images.every(({ length }) => length < limit);

function seenIn(
  rows: JournalRows,
  journaled: readonly TextRow[],
  images: readonly Image[][],
  tables: readonly number[],
): Foreseen | null {
  const batch = batchOf(rows, distinct(journaled));
  if (batch.keys.some(({ tableId }) => !tables.includes(tableId))) return null;
  const mirrored = new Set(journaled.filter((row) => row['moved'] !== null).map((row) => row['other']!));
  const all = new Set(journaled.map((row) => row['other']!));
  // Whether somebody else's row is moved is not known.
  if (images.flat().some(({ tenant }) => tenant !== null && !all.has(tenant))) return null;
  const pictures = tables.flatMap((id, at): Picture[] => {
    const keys = new Set(batch.keys.filter(({ tableId }) => tableId === id).map(({ key }) => key));
    if (keys.size === 0) return [];
    const others = journaled.filter((row) => row['table_id'] === String(id)).map((row) => row['other']!);
    const known = images[at]!.filter(({ askedBy }) => askedBy.some((key) => keys.has(key)));
    return [{ id, keys: [...keys], images: known, journaling: [...new Set(others)], owners: [] }];
  });
  return { batch, pictures, mirrored };
}

/** The batch, each row with everybody who journaled its key, and whether that tenant is on the target. */
const journaledSql = (control: string, rows: JournalRows): string =>
  `SELECT f.id, f.tenant, f.table_id, f.row_key, j.tenant AS other,
   (SELECT 1 FROM ${qualified(control, 'stage')} s WHERE s.tenant = j.tenant AND s.stage <> 'source-only') AS moved
   FROM ${fromJournal(control, rows, sameKey(control))}`;

const journaledRow = ([id, tenant, table, key, other, moved]: RawRow): TextRow => ({
  id: id!.toString('latin1'),
  tenant: tenant!.toString('utf8'),
  table_id: table!.toString('latin1'),
  row_key: key!.toString('utf8'),
  other: other!.toString('utf8'),
  moved: moved === null || moved === undefined ? null : '1',
});

const distinct = (rows: readonly TextRow[]): TextRow[] =>
  rows.filter((row, at) => row['id'] !== rows[at - 1]?.['id']);

function imagesAsked(control: string, rows: JournalRows, side: TrackedTable): ImagesAsked {
  const { table } = side;
  const parts = partsSql(table.primary, 'f.row_key')!;
  const isRow = table.primary.map((column, at) => `t.${ident(column.name)} = ${parts[at]}`).join(' AND ');
  const joined = `STRAIGHT_JOIN ${qualified(table.schema, table.name)} t ON ${isRow} ${joinChain(side, 't')}`;
  return {
    side,
    // Of the same rows: whoever looked for those of the table would walk through a backlog of others.
    rows: `(${journalSql(control, rows)}) f ${joined} WHERE f.table_id = ${side.id}`,
    place: 'f.row_key',
    keyAt: (place) => place.toString('utf8'),
  };
}

/** How a column's value is made of its text in a key: of those whose texts hold no colon. */
const VALUES: Readonly<Partial<Record<Kind, (column: Column, text: string) => string>>> = {
  integer: ({ declared }, text) => `CAST(${text} AS ${/unsigned/i.test(declared) ? 'UNSIGNED' : 'SIGNED'})`,
  binary: (_, text) => `UNHEX(${text})`,
  text: ({ charset, collation }, text) => `CONVERT(UNHEX(${text}) USING ${charset}) COLLATE ${collation}`,
};

/**
 * The columns' values of a key, as `keySql` writes it, by which an index finds its row.
 *
 * @returns null for columns of other types, or too many
 */
export function partsSql(columns: readonly Column[], key: string): string[] | null {
  if (columns.length > COLUMNS_MAX) return null;
  let rest = key;
  const parts: string[] = [];
  for (const column of columns) {
    const value = VALUES[kindOf(column)!];
    if (value === undefined || (kindOf(column) === 'text' && column.charset === null)) return null;
    const [begin, length] = [`LOCATE(':', ${rest}) + 1`, `SUBSTRING_INDEX(${rest}, ':', 1)`];
    parts.push(
      value(
        column,
        columns.length === 1 ? `SUBSTRING(${rest}, ${begin})` : `SUBSTRING(${rest}, ${begin}, ${length})`,
      ),
    );
    rest = `SUBSTRING(${rest}, ${begin} + ${length})`;
  }
  return parts;
}
