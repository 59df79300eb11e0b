/**
 * What a table is, as its own server says it: SHOW CREATE TABLE, one cheap statement that also names the
 * difference. Compared with itself over time, never one side with the other (`preflight/differences.ts` does that).
 *
 * Left out is what changes without changing a row or the way to it: AUTO_INCREMENT, comments, partitions,
 * storage options, the order of columns, and an index that is added and is not unique.
 */
import { DatabaseError } from '../domain/errors.ts';
import type { Table } from './catalog.ts';
import type { Database, RawRow, Session, TextRow } from './database.ts';
import { ident, qualified } from './sql.ts';

/** Definition of one table: a line for each column, key, constraint and option, sorted. */
export type Shape = string;

/** errno: no such table, no such schema. */
const GONE = new Set<number | null>([1146, 1049]);

type TableName = Pick<Table, 'schema' | 'name'>;

export const createdSql = ({ schema, name }: TableName): string =>
  `SHOW CREATE TABLE ${qualified(schema, name)}`;

/** @param rows of `createdSql` */
export const shapeIn = (rows: readonly TextRow[]): Shape | null => shapeOf(rows[0]?.['Create Table'] ?? null);

/** The same of rows as they came: a view has more columns. */
export const shapeInRaw = ([row]: readonly RawRow[]): Shape | null =>
  shapeOf(row?.length === 2 ? row[1]!.toString('utf8') : null);

/**
 * Inside a transaction that touched the table before, the answer holds until its end: no ALTER gets past
 * the metadata lock.
 *
 * @returns null when there is no such base table
 */
export async function readShape(db: Database | Session, table: TableName): Promise<Shape | null> {
  try {
    return shapeIn(await db.rows(createdSql(table)));
  } catch (error) {
    if (error instanceof DatabaseError && GONE.has(error.errno)) return null;
    throw error;
  }
}

/** Does nothing but the primary key, the same as ours, make rows unique? */
export const onlyPrimaryIsUnique = (shape: Shape | null, { primary }: Pick<Table, 'primary'>): boolean =>
  shape !== null &&
  !/^UNIQUE /m.test(shape) &&
  shape.split('\n').includes(`PRIMARY KEY (${primary.map(({ name }) => ident(name)).join(',')})`);

const COMMENT = / COMMENT '(?:[^'\\]|''|\\.)*'/;

/** By what they were made of: the mirror asks for the same few tables all day. */
const SHAPES = new Map<string, Shape>();
const SHAPES_MAX = 1_000;

/** @param created as SHOW CREATE TABLE prints it; null for a view */
export function shapeOf(created: string | null): Shape | null {
  if (created === null) return null;
  const end = created.indexOf('\n)') + 1;
  const options = optionsIn(created.slice(end).split('\n', 1)[0]!).join('\n');
  const text = created.slice(0, end) + options;
  const known = SHAPES.get(text);
  if (known !== undefined) return known;
  const [, ...lines] = created.slice(0, end).trimEnd().split('\n');
  const parts = lines.map((line) => line.trim().replace(/,$/, '').replace(COMMENT, ''));
  const shape = [...parts, ...options.split('\n')].sort().join('\n');
  if (SHAPES.size >= SHAPES_MAX) SHAPES.clear();
  SHAPES.set(text, shape);
  return shape;
}

const OPTIONS = ['ENGINE', 'CHARSET', 'COLLATE'].map((name) => ({
  name,
  pattern: new RegExp(`\\b${name}=(\\w+)`),
}));

function optionsIn(line: string): string[] {
  return OPTIONS.flatMap(({ name, pattern }) => {
    const value = pattern.exec(line)?.[1];
    return value === undefined ? [] : [`${name}=${value}`];
  });
}

/** How a line is called, and what of it is its definition. The first row that fits. */
// prettier-ignore
const PARTS: readonly (readonly [RegExp, string])[] = [
  [/^`((?:[^`]|``)+)` (.*)$/s, 'column'],
  [/^(PRIMARY KEY) (.*)$/s, ''],
  [/^UNIQUE KEY `((?:[^`]|``)+)` (.*)$/s, 'unique key'],
  [/^(?:FULLTEXT |SPATIAL |VECTOR )?KEY `((?:[^`]|``)+)` (.*)$/s, 'index'],
  [/^CONSTRAINT `((?:[^`]|``)+)` (FOREIGN KEY .*)$/s, 'foreign key'],
  [/^CONSTRAINT `((?:[^`]|``)+)` (CHECK .*)$/s, 'check'],
  [/^(\w+)=(\w+)$/s, ''],
];

function partsOf(shape: Shape): Map<string, string> {
  return new Map(
    shape.split('\n').map((line): [string, string] => {
      for (const [pattern, kind] of PARTS) {
        const [, name, text] = pattern.exec(line) ?? [];
        if (name !== undefined && text !== undefined)
          return [
            `${kind} ${name.replaceAll('``', '`')}`.trim().replace(/^PRIMARY KEY$/, 'primary key'),
            text,
          ];
      }
      return [line, line];
    }),
  );
}

const COLUMN = 'column ';
const INDEX = 'index ';

export const columnsOfShape = (shape: Shape): string[] =>
  [...partsOf(shape).keys()].flatMap((part) => (part.startsWith(COLUMN) ? [part.slice(COLUMN.length)] : []));

/**
 * @returns one clause for each part that differs, `column note is new (text)`; none when rows are read and
 *   written as before
 */
export function describeChange(was: Shape, is: Shape | null): string[] {
  if (is === null) return ['the table is gone or renamed'];
  if (was === is) return [];
  const [before, now] = [partsOf(was), partsOf(is)];
  const gone = [...before.keys()].filter((part) => !now.has(part));
  const fresh = [...now.keys()].filter((part) => !before.has(part) && !part.startsWith(INDEX));
  const renamed = new Map(
    gone
      .filter((part) => part.startsWith(COLUMN))
      .flatMap((part): [string, string][] => {
        const alike = fresh.filter((one) => one.startsWith(COLUMN) && now.get(one) === before.get(part));
        return alike.length === 1 ? [[part, alike[0]!]] : [];
      }),
  );
  const called = new Set(renamed.values());
  return [
    ...[...renamed].map(([part, name]) => `${part} is now called ${name.slice(COLUMN.length)}`),
    ...gone
      .filter((part) => !renamed.has(part))
      .map((part) => `${part} is gone (it was ${before.get(part)})`),
    ...fresh.filter((part) => !called.has(part)).map((part) => `${part} is new (${now.get(part)})`),
    ...[...before]
      .filter(([part, text]) => now.has(part) && now.get(part) !== text)
      .map(([part, text]) => `${part} is ${now.get(part)}, it was ${text}`),
  ];
}
