/** Rows by their keys: their images on the source, their owners on the target, and how they leave it. */
import { UNRESOLVED } from '../domain/stage.ts';
import type { Table } from './catalog.ts';
import type { RawRow, Session, TextRow } from './database.ts';
import { selectImage } from './images.ts';
import { keySql, placeIn, rowsOfKeys } from './keys.ts';
import { Lines, type SomeLines } from './lines.ts';
import { list, qualified, tenantLiteral } from './sql.ts';
import { sizeOf, type Gather, type RowPacket } from './stream.ts';
import { joinChain, tenantSql, type TrackedTable } from './tenancy.ts';

export interface Image {
  readonly tenant: string | null;
  readonly values: RawRow;
  /** Those that were asked for and find it: two spellings of one (`abc`, `ABC `) do. */
  readonly askedBy: string[];
}

/** What the images of a batch may weigh: in memory, or in one transaction. */
export const IMAGE_BYTES_MAX = 16 * 1024 * 1024;

/** What images may still weigh. */
export interface Budget {
  bytes: number;
}

export class ImagesTooLarge extends Error {
  readonly fit: number;

  constructor(fit: number) {
    super('the images of a batch are too large');
    this.fit = fit;
  }
}

/** @param rows FROM: the rows, called `t` */
const imagesSql = (tracked: TrackedTable, select: string, rows: string): string =>
  `SELECT ${select}, ${tenantSql(tracked, 't')}, ${selectImage(tracked.table, 't')} FROM ${rows}`;

/** With what says whose they are. */
const rowsOf = (session: Session, tracked: TrackedTable, keys: readonly string[]): string =>
  rowsOfKeys({
    table: qualified(tracked.table.schema, tracked.table.name),
    as: 't',
    columns: tracked.table.primary,
    keys,
    joins: joinChain(tracked, 't'),
    asRows: session.takesRows,
  });

/** A table of one side, and keys of its rows. */
export interface KeysOfTable {
  readonly side: TrackedTable;
  readonly keys: readonly string[];
}

/** Rows of one table that are found by a query of the caller's. */
export interface ImagesAsked {
  readonly side: TrackedTable;
  /** FROM: the rows, called `t`, with what `place` names. */
  readonly rows: string;
  /** SQL: which of the keys that were asked for a row is of. */
  readonly place: string;
  readonly keyAt: (place: Buffer) => string;
}

/** Statements that share the packet, before and behind. */
export interface InPacket {
  readonly before: readonly string[];
  readonly behind: readonly string[];
}

export interface ImagesOfEach {
  /** By the place of what was asked. */
  readonly images: readonly Image[][];
  /** Rows of the other statements of the packet that give any, one after the other. */
  readonly answers: readonly (readonly RawRow[])[];
}

/** @returns images in memory */
export async function readImages(
  source: Session,
  asked: KeysOfTable,
  budget: Budget,
): Promise<readonly Image[]> {
  const { images } = await readImagesOfEach(source, [asked], budget);
  return images[0]!;
}

/** As `readImages`, of several tables in one packet. */
export async function readImagesOfEach(
  source: Session,
  asked: readonly KeysOfTable[],
  budget: Budget,
  beside?: InPacket,
): Promise<ImagesOfEach> {
  const queries = asked.map(({ side, keys }): ImagesAsked => ({
    side,
    rows: rowsOf(source, side, keys),
    place: placeIn(keys),
    keyAt: (place) => keys[numberOf(place)]!,
  }));
  return gatherImages(source, queries, budget, beside);
}

/** As `readImagesOfEach`. */
export async function gatherImages(
  source: Session,
  asked: readonly ImagesAsked[],
  budget: Budget,
  { before, behind }: InPacket = { before: [], behind: [] },
): Promise<ImagesOfEach> {
  let answers: readonly (readonly RawRow[])[] = [];
  const found = asked.map(() => new Map<string, Image>());
  const streams = asked.map(({ side, rows, place }, at) =>
    imagesSql(side, `${at}, ${place}, ${keySql(side.table, 't')}`, rows),
  );
  let count = 0;
  for await (const batch of source.streamBetween(before, streams, behind, (rows) => (answers = rows)))
    for (const row of batch) {
      budget.bytes -= sizeOf(row);
      if (budget.bytes < 0) throw new ImagesTooLarge(count);
      count += 1;
      const [at, place, own, tenant, ...values] = row;
      const table = numberOf(at!);
      const byKey = found[table]!;
      const text = own!.toString('latin1');
      const asking = asked[table]!.keyAt(place!);
      const known = byKey.get(text);
      if (known === undefined) byKey.set(text, { tenant: textOf(tenant!), values, askedBy: [asking] });
      else known.askedBy.push(asking);
    }
  return { images: found.map((byKey) => [...byKey.values()]), answers };
}

/** @returns the query whose rows `OwnedLines` takes */
export const linesSql = (source: Session, tracked: TrackedTable, keys: readonly string[]): string =>
  imagesSql(tracked, placeIn(keys), rowsOf(source, tracked, keys));

/** Lines of the images that have the right owner, as they arrive. A row of anybody else counts as absent. */
export class OwnedLines implements Gather<SomeLines> {
  readonly #lines: Lines;
  readonly #takes: (tenant: string | null) => boolean;
  readonly #found: Uint8Array;
  /** Most rows have the owner of the row before. */
  #last: { bytes: Buffer | null; takes: boolean } | null = null;

  constructor(table: Table, keys: number, takes: (tenant: string | null) => boolean) {
    this.#lines = new Lines(table);
    this.#takes = takes;
    this.#found = new Uint8Array(keys);
  }

  get aside(): RawRow[] {
    return this.#lines.aside;
  }

  row(packet: RowPacket, full: (lines: SomeLines) => void): void {
    const place = numberOf(packet.readLengthCodedBuffer()!);
    if (!this.#isTaken(packet.readLengthCodedBuffer())) return;
    this.#found[place] = 1;
    this.#lines.row(packet, full);
  }

  rest(): SomeLines | null {
    return this.#lines.rest();
  }

  absent(keys: readonly string[]): string[] {
    return keys.filter((_, place) => this.#found[place] === 0);
  }

  #isTaken(owner: Buffer | null): boolean {
    const last = this.#last;
    if (last !== null && (owner === null ? last.bytes === null : last.bytes?.equals(owner) === true))
      return last.takes;
    // A copy: the packet is the socket's.
    const bytes = owner === null ? null : Buffer.from(owner);
    const takes = this.#takes(textOf(bytes));
    this.#last = { bytes, takes };
    return takes;
  }
}

const textOf = (bytes: Buffer | null): string | null => bytes?.toString('utf8') ?? null;
const numberOf = (bytes: Buffer): number => Number(bytes.toString('latin1'));

/** Tenants that own the target's rows of the keys. */
export const ownersSql = (target: Session, side: TrackedTable, keys: readonly string[]): string =>
  `SELECT DISTINCT ${tenantSql(side, 't')} AS tenant FROM ${rowsOf(target, side, keys)}`;

/** Rows of the keys that belong on the target to none of these tenants. */
export const strangersSql = (
  target: Session,
  side: TrackedTable,
  keys: readonly string[],
  tenants: Iterable<string>,
): string =>
  `SELECT 1 FROM ${rowsOf(target, side, keys)} ${keys.length > 1 ? 'WHERE' : 'AND'}
   COALESCE(${tenantSql(side, 't')}, ${tenantLiteral(UNRESOLVED)}) NOT IN (${list([...tenants].map(tenantLiteral))})`;

/** @param rows of `ownersSql`; a row without a parent may be anybody's */
export const ownersIn = (rows: readonly TextRow[]): string[] =>
  rows.map((row) => row['tenant'] ?? UNRESOLVED);

/** A key of a deprecated character set warns, and a server keeps 1,024 warnings for us to look at. */
const DELETED_AT_ONCE = 500;

/**
 * By its full name, never by an alias: a session has no default schema, and an alias would need one (errno 1046).
 *
 * @param isAhead sent with what is sent next, as `Session.writeAhead`
 */
export async function deleteRows(
  target: Session,
  tracked: TrackedTable,
  keys: readonly string[],
  isAhead = false,
): Promise<void> {
  const { table } = tracked;
  const name = qualified(table.schema, table.name);
  for (let at = 0; at < keys.length; at += DELETED_AT_ONCE) {
    const some = keys.slice(at, at + DELETED_AT_ONCE);
    const asRows = target.takesRows;
    const sql = `DELETE ${name} FROM ${rowsOfKeys({ table: name, as: name, columns: table.primary, keys: some, asRows })}`;
    await (isAhead ? target.writeAhead(sql) : target.write(sql));
  }
}
