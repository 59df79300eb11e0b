/**
 * Rows as the lines that `LOAD DATA` reads. A row of usual size goes from the source's packet into a block of lines
 * byte by byte, without an object for each of its values; a large one is kept as it is and cut into blocks when its
 * turn comes, so memory never holds it twice.
 */
import { storedColumns, type Table } from './catalog.ts';
import type { RawRow } from './database.ts';
import { isErrorValue } from './images.ts';
import { valuesOf, type Gather, type RowPacket } from './stream.ts';

export interface Blocks {
  readonly rows: number;
  readonly blocks: Iterable<Buffer>;
}

/** Lines of rows that arrived. */
export interface SomeLines extends Blocks {
  /** Rows that came between them and are not among them: see `Lines.aside`. */
  readonly aside: number;
  /** Of the values of all these rows. */
  readonly bytes: number;
}

const BLOCK = 128 * 1024;
/** A value is taken in pieces that fit a block even when every byte of it is escaped. */
const PIECE = BLOCK / 4;
const [TAB, NEWLINE, SPACE, BACKSLASH, N] = [0x09, 0x0a, 0x20, 0x5c, 0x4e];
/** How the protocol says that there is no value, and that its length follows in two bytes. */
const [NULL, TWO_BYTES] = [0xfb, 0xfc];
const SPECIAL = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte === TAB || byte === NEWLINE || byte === BACKSLASH ? 1 : 0,
);

/** Lines of tab-separated fields, NULL as `\N`; blocks of at most 128 KiB. */
export function* encode(rows: readonly RawRow[]): Generator<Buffer> {
  let block = Buffer.allocUnsafe(BLOCK);
  let at = 0;
  for (const row of rows) {
    for (let column = 0; column < row.length; column += 1) {
      const value = row[column]!;
      const length = value === null ? 1 : value.length;
      for (let from = 0; from === 0 || from < length; from += PIECE) {
        if (at + 2 * Math.min(length, PIECE) + 2 > BLOCK) {
          yield block.subarray(0, at);
          block = Buffer.allocUnsafe(BLOCK);
          at = 0;
        }
        if (value === null) {
          block[at++] = BACKSLASH;
          block[at++] = N;
        } else at = escapeInto(block, at, value, from);
      }
      block[at++] = column === row.length - 1 ? NEWLINE : TAB;
    }
  }
  if (at > 0) yield block.subarray(0, at);
}

function escapeInto(block: Buffer, start: number, value: Buffer, from: number): number {
  const end = Math.min(value.length, from + PIECE);
  let at = start;
  for (let index = from; index < end; index += 1) {
    const byte = value[index]!;
    if (SPECIAL[byte] === 1) block[at++] = BACKSLASH;
    block[at++] = byte;
  }
  return at;
}

/** Batches of rows that are in memory. */
export async function* linesOf(
  batches: AsyncIterable<readonly RawRow[]> | Iterable<readonly RawRow[]>,
): AsyncGenerator<Blocks> {
  for await (const batch of batches) yield { rows: batch.length, blocks: encode(batch) };
}

/** Of a value of `length` bytes, with its length before it and every byte of it escaped. */
const GROWTH = 3;
const SMALL_ROW = Math.floor(BLOCK / GROWTH);

/** Lines of rows as they arrive. */
export class Lines implements Gather<SomeLines> {
  /** Rows with an ENUM's error value, which only an INSERT can write. */
  readonly aside: RawRow[] = [];
  /** Those columns need a look. */
  readonly #isEnum: readonly boolean[];
  readonly #columns: ReturnType<typeof storedColumns>;
  #block = Buffer.allocUnsafe(BLOCK);
  #at = 0;
  #rows = 0;
  #aside = 0;
  #bytes = 0;

  constructor(table: Table) {
    this.#columns = storedColumns(table);
    this.#isEnum = this.#columns.map(({ type }) => type === 'enum');
  }

  row(packet: RowPacket, full: (lines: SomeLines) => void): void {
    const bytes = packet.end - packet.offset;
    const room = this.#block.length - this.#at;
    if (bytes > SMALL_ROW || GROWTH * bytes > room) this.#handOut(full);
    this.#bytes += bytes;
    if (bytes > SMALL_ROW) this.#large(valuesOf(packet), full);
    else if (this.#append(packet)) this.#rows += 1;
    else this.#setAside(valuesOf(packet));
  }

  rest(): SomeLines | null {
    if (this.#rows + this.#aside === 0) return null;
    return {
      rows: this.#rows,
      aside: this.#aside,
      bytes: this.#bytes,
      blocks: this.#at === 0 ? [] : [this.#block.subarray(0, this.#at)],
    };
  }

  #handOut(full: (lines: SomeLines) => void): void {
    const lines = this.rest();
    if (lines === null) return;
    full(lines);
    this.#block = Buffer.allocUnsafe(BLOCK);
    this.#at = this.#rows = this.#aside = this.#bytes = 0;
  }

  #large(row: RawRow, full: (lines: SomeLines) => void): void {
    if (this.#columns.some((column, index) => isErrorValue(column, row[index]!))) this.#setAside(row);
    else {
      full({ rows: 1, aside: 0, bytes: this.#bytes, blocks: encode([row]) });
      this.#bytes = 0;
    }
  }

  #setAside(row: RawRow): void {
    this.aside.push(row);
    this.#aside += 1;
  }

  /** @returns false when the row holds an error value: it is not in the block then */
  #append({ buffer, offset, end }: RowPacket): boolean {
    const block = this.#block;
    let at = this.#at;
    for (let from = offset, column = 0; from < end; column += 1) {
      const tag = buffer[from]!;
      from += 1;
      if (tag === NULL) {
        block[at++] = BACKSLASH;
        block[at++] = N;
      } else {
        // A row that is not large has no value with a longer length.
        let length = tag;
        if (tag === TWO_BYTES) {
          length = buffer[from]! | (buffer[from + 1]! << 8);
          from += 2;
        }
        if (length === 1 && buffer[from] === SPACE && this.#isEnum[column] === true) return false;
        const to = from + length;
        for (; from < to; from += 1) {
          const byte = buffer[from]!;
          if (SPECIAL[byte] === 1) block[at++] = BACKSLASH;
          block[at++] = byte;
        }
      }
      block[at++] = TAB;
    }
    block[at - 1] = NEWLINE;
    this.#at = at;
    return true;
  }
}
