/**
 * Rows into the target: streamed to `LOAD DATA LOCAL INFILE` where the target allows it, as multi-row INSERTs
 * where it doesn't. Either way memory holds a few blocks, whatever the rows weigh, and a value that would
 * change or meet a unique value is an error.
 */
import { once } from 'node:events';
import { Readable, type Writable } from 'node:stream';

import { DatabaseError } from '../domain/errors.ts';
import { storedColumns, type Column, type Table } from './catalog.ts';
import type { Database, RawRow, Session } from './database.ts';
import { hasErrorValues, insertErrorValues, setAside } from './error-values.ts';
import { insertSql } from './images.ts';
import { kindOf, type Kind } from './kinds.ts';
import { ident, list, qualified } from './sql.ts';
import { Lines, linesOf, type Blocks, type SomeLines } from './lines.ts';
import { weightOf, type Gather } from './stream.ts';

export type LoadMethod = 'load-data' | 'insert';

/** Called with what arrives, before any of it is sent; throws to stop. */
export type Watch = (rows: number, bytes: number) => void;

/** Batches of rows: values of `storedColumns`, in their order. */
export type Batches = AsyncIterable<readonly RawRow[]> | Iterable<readonly RawRow[]>;

const methods = new WeakMap<Database, Promise<LoadMethod>>();

/** Asked once of every server, by loading nothing into a table of our own. */
export function loadMethod(target: Database, control: string): Promise<LoadMethod> {
  const known = methods.get(target) ?? probe(target, control);
  methods.set(target, known);
  known.catch(() => methods.delete(target));
  return known;
}

async function probe(target: Database, control: string): Promise<LoadMethod> {
  try {
    await target.session((session) =>
      session.load(`LOAD DATA LOCAL INFILE 'probe' INTO TABLE ${qualified(control, 'mirror_turn')}`, () =>
        Readable.from([]),
      ),
    );
    return 'load-data';
  } catch (error) {
    // 1148, 3948, 4166: LOCAL is off; 1045, 1142, 1227: this user may not. Whatever was refused, INSERT works without it.
    if (error instanceof DatabaseError) return 'insert';
    throw error;
  }
}

/** @returns rows written @throws DatabaseError when a value would change (1265) or is in the way (1062) */
export async function loadRows(
  target: Session,
  table: Table,
  rows: Batches,
  method: LoadMethod,
  isReplacing = false,
): Promise<number> {
  const aside: RawRow[] = [];
  const plain = setAside(table, rows, aside);
  const count = await (method === 'insert'
    ? insertAll(target, { table, isReplacing }, plain)
    : loadAll(target, { table, isReplacing }, linesOf(plain)));
  await insertErrorValues(target, table, aside, isReplacing);
  return count + aside.length;
}

/** As `loadRows`, with the rows of a query on the source: values of `selectImage`. */
export function loadQuery(
  source: Session,
  sql: string,
  { target, table, method, watch }: { target: Session; table: Table; method: LoadMethod; watch: Watch },
): Promise<number> {
  if (method === 'insert') return loadRows(target, table, watchedRows(source.stream(sql), watch), method);
  return loadLines(source, sql, { target, table, watch, lines: new Lines(table), isReplacing: false });
}

/** @param lines makes them of the query's rows @param isReplacing as in `insertSql` */
export async function loadLines(
  source: Session,
  sql: string,
  into: {
    readonly target: Session;
    readonly table: Table;
    readonly watch: Watch;
    readonly lines: Gather<SomeLines> & Pick<Lines, 'aside'>;
    readonly isReplacing: boolean;
  },
): Promise<number> {
  const { target, table, watch, lines, isReplacing } = into;
  const count = await loadAll(target, { table, isReplacing }, watchedLines(source.gather(sql, lines), watch));
  await insertErrorValues(target, table, lines.aside, isReplacing);
  return count + lines.aside.length;
}

async function* watchedRows(
  batches: AsyncIterable<readonly RawRow[]>,
  watch: Watch,
): AsyncGenerator<readonly RawRow[]> {
  for await (const batch of batches) {
    watch(batch.length, weightOf(batch));
    yield batch;
  }
}

async function* watchedLines(batches: AsyncIterable<SomeLines>, watch: Watch): AsyncGenerator<SomeLines> {
  for await (const lines of batches) {
    watch(lines.rows + lines.aside, lines.bytes);
    yield lines;
  }
}

/** Below this an INSERT, which is one round trip, is faster. */
const LOADED_BYTES_MIN = 64 * 1024;

interface Way {
  readonly method: LoadMethod;
  readonly isReplacing: boolean;
  /** Little may be sent with what is sent next, as `Session.writeAhead`. */
  readonly isAhead?: boolean;
}

/** Rows that are in memory already. */
export async function writeImages(
  target: Session,
  table: Table,
  images: readonly RawRow[],
  { method, isReplacing, isAhead = false }: Way,
): Promise<void> {
  if (images.length === 0) return;
  if (weightOf(images) >= LOADED_BYTES_MIN)
    return void (await loadRows(target, table, [images], method, isReplacing));
  if (!isAhead || hasErrorValues(table, images))
    return void (await loadRows(target, table, [images], 'insert', isReplacing));
  for (const statement of insertSql(table, images, isReplacing)) await target.writeAhead(statement);
}

interface Into {
  readonly table: Table;
  readonly isReplacing: boolean;
}

async function insertAll(target: Session, { table, isReplacing }: Into, rows: Batches): Promise<number> {
  let count = 0;
  for await (const batch of rows) {
    for (const statement of insertSql(table, batch, isReplacing)) await target.write(statement);
    count += batch.length;
  }
  return count;
}

async function loadAll(
  target: Session,
  { table, isReplacing }: Into,
  batches: AsyncIterable<Blocks>,
): Promise<number> {
  let count = 0;
  const counted = async function* (): AsyncGenerator<Buffer> {
    for await (const { rows, blocks } of batches) {
      count += rows;
      yield* blocks;
    }
  };
  let failure: unknown = null;
  const loaded = await target
    .load(loadSql(table, isReplacing), (socket) => pumped(counted(), socket, (error) => (failure = error)))
    .catch((error: unknown) => {
      throw failure ?? error;
    });
  if (loaded !== count)
    throw new DatabaseError(`target: ${count} rows of ${table.name} were sent, ${loaded} arrived`, 1265);
  return count;
}

/**
 * mysql2 writes whatever the stream gives it, full socket or not, so the stream itself waits for the socket.
 * It hides a failure from the statement's caller behind its own, so that one is handed out beside.
 */
function pumped(
  blocks: AsyncGenerator<Buffer>,
  socket: Writable,
  failed: (error: unknown) => void,
): Readable {
  const paced = async function* (): AsyncGenerator<Buffer> {
    try {
      for await (const block of blocks) {
        yield block;
        if (socket.writableNeedDrain) await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
      }
    } catch (error) {
      failed(error);
      throw error;
    }
  };
  return Readable.from(paced(), { objectMode: true, highWaterMark: 1 });
}

type Conversion = (field: string) => string;

const asText: Conversion = (field) => `CONVERT(${field} USING utf8mb4)`;

/** How a field of the file becomes its column's value; absent: as it is. */
const LOADED_AS: Readonly<Partial<Record<Kind, Conversion>>> = {
  bit: (field) => `CAST(${field} AS UNSIGNED)`,
};
/** Of a file of bytes: it holds what `selectImage` read, UTF-8 for every text, and only a utf8mb4 column takes that as it is. */
const LOADED_AS_BYTES: typeof LOADED_AS = { ...LOADED_AS, json: asText, label: asText };

function ofBytes(column: Column): Conversion | undefined {
  const kind = kindOf(column)!;
  return kind === 'text' && column.charset !== 'utf8mb4' ? asText : LOADED_AS_BYTES[kind];
}

const BYTES = new Set<Kind>(['binary', 'geometry']);

/**
 * The file is said to be UTF-8, which costs the server least, unless a field of it is bytes: it would read those as
 * text, too. Then it is said to be binary, and every text is converted by itself.
 *
 * @param isReplacing as in `insertSql`
 */
export function loadSql(table: Table, isReplacing = false): string {
  const stored = storedColumns(table);
  const isBytes = stored.some((column) => BYTES.has(kindOf(column)!));
  const columns = stored.map((column, index) => ({
    name: ident(column.name),
    field: `@f${index}`,
    convert: isBytes ? ofBytes(column) : LOADED_AS[kindOf(column)!],
  }));
  const fields = list(columns.map(({ name, field, convert }) => (convert === undefined ? name : field)));
  const sets = columns.flatMap(({ name, field, convert }) =>
    convert === undefined ? [] : [`${name} = ${convert(field)}`],
  );
  return `LOAD DATA LOCAL INFILE 'rows' ${isReplacing ? 'REPLACE ' : ''}INTO TABLE ${qualified(table.schema, table.name)} CHARACTER SET ${isBytes ? 'binary' : 'utf8mb4'}
    FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' (${fields})${sets.length === 0 ? '' : ` SET ${list(sets)}`}`;
}
