/**
 * Typed keys in SQL: how a trigger writes one, and how an applier finds its row again.
 *
 * A key is text that no session setting can change: TIMESTAMP as UTC seconds, BIT as a number, text and
 * binary as the hex of their bytes. Source: research/protocol-findings.md, row 6.
 */
import { decodeKey } from '../domain/key.ts';
import type { Column, Table } from './catalog.ts';
import { kindOf, type Kind } from './kinds.ts';
import { ident, list } from './sql.ts';

/** The text of one key column; `row` is `NEW`, `OLD` or a table alias. */
function partSql(column: Column, row: string): string {
  const value = `${row}.${ident(column.name)}`;
  switch (kindOf(column)) {
    case 'text':
      // MariaDB's UUID and INET types have no character set, and their HEX is not that of their text.
      return column.charset === null ? `HEX(CAST(${value} AS CHAR))` : `HEX(${value})`;
    case 'binary':
      return `HEX(${value})`;
    case 'timestamp':
      return `UNIX_TIMESTAMP(${value})`;
    case 'bit':
      return `${value} + 0`;
    case 'label':
      // Plus zero makes a double of the 64th member of a SET.
      return `CAST(${value} AS UNSIGNED)`;
    case 'float':
      return `${value} + 0e0`;
    default:
      return value;
  }
}

/** An expression for the whole key of a row, as ASCII bytes. */
export function keySql(table: Table, row: string): string {
  return keyOfColumns(table.primary, row);
}

export function keyOfColumns(columns: readonly Column[], row: string): string {
  const parts = columns.map((column) => {
    const part = `CONCAT(${partSql(column, row)})`;
    return `LENGTH(${part}), ':', ${part}`;
  });
  return `CAST(CONCAT(${parts.join(', ')}) AS BINARY)`;
}

/** Their values are equal exactly where their texts are, so none has to be made. */
const EXACT = new Set<Kind | null>(['integer', 'decimal', 'bit', 'label']);

/** Is the column the same in both rows, to the byte, and NULL where it is NULL? */
export function sameSql(column: Column, a: string, b: string): string {
  const value = (row: string): string =>
    EXACT.has(kindOf(column)) ? partSql(column, row) : `CONCAT(${partSql(column, row)})`;
  return `${value(a)} <=> ${value(b)}`;
}

/** One key part as a literal that compares with its column by index. */
export function partLiteral(column: Column, part: string): string {
  switch (kindOf(column)) {
    case 'integer':
    case 'bit':
    case 'label':
      return `CAST(${digits(part)} AS ${part.startsWith('-') ? 'SIGNED' : 'UNSIGNED'})`;
    case 'decimal':
      return `CAST('${digits(part)}' AS DECIMAL(${column.precision ?? 65},${column.scale ?? 30}))`;
    case 'float':
    case 'double':
      return `${digits(part)}${/e/i.test(part) ? '' : 'e0'}`;
    case 'timestamp':
      return timestampLiteral(column, digits(part));
    case 'temporal':
      return temporalLiteral(column, digits(part));
    case 'text':
      return `CONVERT(${hex(part)} USING ${column.charset ?? 'utf8mb4'}) COLLATE ${column.collation ?? 'utf8mb4_bin'}`;
    default:
      return hex(part);
  }
}

/** A key comes from our own triggers; a part that is not what its type prints is refused, not executed. */
function digits(part: string): string {
  if (!/^[-+0-9:. eE]*$/.test(part)) throw new Error('malformed journal key');
  return part;
}

function hex(part: string): string {
  if (!/^(?:[0-9A-Fa-f]{2})*$/.test(part)) throw new Error('malformed journal key');
  return part === '' ? "CAST('' AS BINARY)" : `X'${part}'`;
}

const temporalLiteral = (column: Column, part: string): string =>
  column.type === 'date'
    ? `CAST('${part}' AS DATE)`
    : `CAST('${part}' AS ${column.type.toUpperCase()}(${column.fraction ?? 0}))`;

const timestampLiteral = (column: Column, seconds: string): string =>
  Number(seconds) === 0
    ? `CAST('0000-00-00 00:00:00' AS DATETIME(${column.fraction ?? 0}))`
    : `CAST(FROM_UNIXTIME(${seconds}) AS DATETIME(${column.fraction ?? 0}))`;

/**
 * A derived table of keys, to be joined first: an equality join reads only the rows it names, where
 * `IN (…)` falls back to a scan that waits for every open transaction (research/protocol-findings.md, row 8).
 *
 * @param columns the primary key, or the columns of another unique index
 * @param asRows the server takes `VALUES ROW(…)`, which it parses in a third of the time of a UNION
 * @returns columns `k0`, `k1`, … and `n`, the position of the key in `keys`
 */
export function keysTable(columns: readonly Column[], keys: readonly string[], asRows = false): string {
  const decoded = keys.map((key) => partsOf(columns, key));
  const literals = columns.map((column, position) => {
    const isPlain =
      asRows && isPlainInteger(column) && decoded.every((parts) => PLAIN.test(parts[position]!));
    return (part: string): string => (isPlain ? part : partLiteral(column, part));
  });
  const rows = decoded.map((parts, n) => [
    String(n),
    ...parts.map((part, position) => literals[position]!(part)),
  ]);
  return derivedTable(['n', ...columns.map((_, position) => `k${position}`)], rows, asRows);
}

const isPlainInteger = (column: Column): boolean => kindOf(column) === 'integer';
/** Always a BIGINT: a mix with larger ones would become a DECIMAL, which finds nothing by index. */
const PLAIN = /^-?\d{1,18}$/;

/** @param rows literals; at least one row */
export function derivedTable(
  names: readonly string[],
  rows: readonly (readonly string[])[],
  asRows: boolean,
): string {
  if (asRows) {
    const named = names.map((name, position) => `column_${position} AS ${name}`);
    return `(SELECT ${list(named)} FROM (VALUES ${list(rows.map((row) => `ROW(${list(row)})`))}) v)`;
  }
  const [first, ...rest] = rows;
  const head = `SELECT ${list(first!.map((value, position) => `${value} AS ${names[position]!}`))}`;
  return `(${[head, ...rest.map((row) => `SELECT ${list(row)}`)].join(' UNION ALL ')})`;
}

export const keysJoin = (columns: readonly Column[], keyAlias: string, rowAlias: string): string =>
  columns
    .map((column, position) => `${rowAlias}.${ident(column.name)} = ${keyAlias}.k${position}`)
    .join(' AND ');

interface RowsOfKeys {
  /** Quoted, with its schema. */
  readonly table: string;
  /** How its rows are called: an alias, or the table's own name where no alias may be. */
  readonly as: string;
  /** The primary key, or the columns of another unique index. */
  readonly columns: readonly Column[];
  /** At least one. */
  readonly keys: readonly string[];
  /** Further tables, joined behind. */
  readonly joins?: string;
  readonly asRows: boolean;
}

/**
 * What follows FROM: the rows of the keys, each found by index. `placeIn` names the position of a row's key.
 *
 * A single key is looked up by itself: a derived table of one row is a temporary table all the same, which costs more
 * than the row.
 */
export function rowsOfKeys({ table, as, columns, keys, joins = '', asRows }: RowsOfKeys): string {
  const named = as === table ? table : `${table} ${as}`;
  const [only] = keys;
  if (keys.length > 1)
    return `${keysTable(columns, keys, asRows)} k STRAIGHT_JOIN ${named} ON ${keysJoin(columns, 'k', as)} ${joins}`;
  return `${named} ${joins} WHERE ${keyIs(columns, only!, as)}`;
}

export const placeIn = (keys: readonly string[]): string => (keys.length > 1 ? 'k.n' : '0');

function keyIs(columns: readonly Column[], key: string, row: string): string {
  const parts = partsOf(columns, key);
  return columns
    .map((column, at) => `${row}.${ident(column.name)} = ${partLiteral(column, parts[at]!)}`)
    .join(' AND ');
}

function partsOf(columns: readonly Column[], key: string): string[] {
  const parts = decodeKey(key);
  if (parts.length !== columns.length) throw new Error('a journal key has the wrong number of columns');
  return parts;
}

/**
 * Rows after a key, or up to it, in key order. OR-expanded, never a row constructor: `(a, b) > (x, y)`
 * scans the whole index (research/reconciliation.md, section C).
 */
export function afterKey(table: Table, row: string, key: string): string {
  return afterPlace(table.primary, row, key);
}

export function upToKey(table: Table, row: string, key: string): string {
  return upToPlace(table.primary, row, key);
}

/** The same for any columns in their order, none of them NULL. */
export const afterPlace = (columns: readonly Column[], row: string, place: string): string =>
  bound(columns, row, place, { operator: '>', inclusive: false });

export const upToPlace = (columns: readonly Column[], row: string, place: string): string =>
  bound(columns, row, place, { operator: '<', inclusive: true });

interface Side {
  readonly operator: '<' | '>';
  readonly inclusive: boolean;
}

function bound(columns: readonly Column[], row: string, place: string, side: Side): string {
  const parts = decodeKey(place);
  if (parts.length !== columns.length) throw new Error('a bound has the wrong number of columns');
  const equal = columns.map((column, at) => equals(column, row, parts[at]!));
  const alternatives = columns.flatMap((column, at) => {
    const inclusive = side.inclusive && at === columns.length - 1;
    const last = beyond(column, row, parts[at]!, { ...side, inclusive });
    return last === NONE ? [] : [[...equal.slice(0, at), last].join(' AND ')];
  });
  if (columns.length === 1) return alternatives[0] ?? NONE;
  const guard = beyond(columns[0]!, row, parts[0]!, { ...side, inclusive: true });
  return `${guard} AND (${alternatives.map((alternative) => `(${alternative})`).join(' OR ') || NONE})`;
}

const NONE = 'FALSE';

function equals(column: Column, row: string, part: string): string {
  const name = `${row}.${ident(column.name)}`;
  return numbersOf(column) === null
    ? `${name} = ${partLiteral(column, part)}`
    : among(name, [Number(digits(part))]);
}

/** Higher than any ENUM's number. */
const NO_LABEL = 65_536;

/** With a number that none has: an ENUM that equals one number counts as constant, and ORDER BY then sorts. */
const among = (name: string, numbers: readonly number[]): string =>
  numbers.length === 0 ? NONE : `${name} IN (${[...numbers, NO_LABEL].join(', ')})`;

function beyond(column: Column, row: string, part: string, { operator, inclusive }: Side): string {
  const name = `${row}.${ident(column.name)}`;
  const numbers = numbersOf(column);
  if (numbers === null) return `${name} ${operator}${inclusive ? '=' : ''} ${partLiteral(column, part)}`;
  // An index finds an ENUM or SET by equality only: a range of it would be a scan.
  const here = Number(digits(part));
  const listed = numbers.filter(
    (number) => (operator === '<' ? number < here : number > here) || (inclusive && number === here),
  );
  return among(name, listed);
}

const LISTED_MAX = 1_024;

/** What an ENUM or SET may be as a number, 0 for the error value; null for other types, and where it is too many. */
function numbersOf(column: Column): number[] | null {
  if (kindOf(column) !== 'label') return null;
  const members = column.declared.match(/'(?:[^']|'')*'/g)?.length ?? 0;
  const count = column.type === 'enum' ? members + 1 : 2 ** members;
  return count > LISTED_MAX ? null : Array.from({ length: count }, (_, number) => number);
}
