/**
 * Typed keys in SQL: how a trigger writes one, and how an applier finds its row again.
 *
 * A key is text that no session setting can change: TIMESTAMP as UTC seconds, BIT as a number, text and
 * binary as the hex of their bytes. Source: research/protocol-findings.md, row 6.
 */
import { decodeKey } from '../domain/key.ts';
import type { Column, Table } from './catalog.ts';
import { kindOf } from './kinds.ts';
import { ident } from './sql.ts';

/** The text of one key column; `row` is `NEW`, `OLD` or a table alias. */
function partSql(column: Column, row: string): string {
  const value = `${row}.${ident(column.name)}`;
  switch (kindOf(column)) {
    case 'text':
    case 'binary':
      return `HEX(${value})`;
    case 'timestamp':
      return `UNIX_TIMESTAMP(${value})`;
    case 'bit':
    case 'label':
      return `${value} + 0`;
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
 * @returns columns `k0`, `k1`, … and `n`, the position of the key in `keys`
 */
export function keysTable(columns: readonly Column[], keys: readonly string[]): string {
  const selects = keys.map((key, index) => {
    const parts = decodeKey(key);
    if (parts.length !== columns.length) throw new Error('a journal key has the wrong number of columns');
    const values = parts.map(
      (part, position) => `${partLiteral(columns[position]!, part)}${index === 0 ? ` AS k${position}` : ''}`,
    );
    return `SELECT ${index}${index === 0 ? ' AS n' : ''}, ${values.join(', ')}`;
  });
  return `(${selects.join(' UNION ALL ')})`;
}

export const keysJoin = (columns: readonly Column[], keyAlias: string, rowAlias: string): string =>
  columns
    .map((column, position) => `${rowAlias}.${ident(column.name)} = ${keyAlias}.k${position}`)
    .join(' AND ');

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

function bound(
  columns: readonly Column[],
  row: string,
  place: string,
  { operator, inclusive }: { readonly operator: '<' | '>'; readonly inclusive: boolean },
): string {
  const parts = decodeKey(place);
  if (parts.length !== columns.length) throw new Error('a bound has the wrong number of columns');
  const values = columns.map((column, position) => partLiteral(column, parts[position]!));
  const alternatives = columns.map((column, position) => {
    const equal = columns
      .slice(0, position)
      .map((before, index) => `${row}.${ident(before.name)} = ${values[index]!}`);
    const last = position === columns.length - 1;
    return [
      ...equal,
      `${row}.${ident(column.name)} ${operator}${inclusive && last ? '=' : ''} ${values[position]!}`,
    ].join(' AND ');
  });
  if (columns.length === 1) return alternatives[0]!;
  const guard = `${row}.${ident(columns[0]!.name)} ${operator}= ${values[0]!}`;
  return `${guard} AND (${alternatives.map((alternative) => `(${alternative})`).join(' OR ')})`;
}
