/**
 * Row images on their way from the source to the target, without loss.
 *
 * A value is read as the text that the server prints for it and written as a literal of its type; it
 * never becomes a JavaScript number, date or object. Reconcile has its own encoding (`digest.ts`):
 * a mistake here must not repeat itself there.
 */
import { storedColumns, type Column, type Table } from './catalog.ts';
import type { RawRow } from './database.ts';
import { kindOf } from './kinds.ts';
import { hexLiteral, ident, list, literal, qualified } from './sql.ts';

/** ENUM's error value 0 prints as '', which may be a declared label too; no label ends with a space. */
const ENUM_ERROR = ' ';
export const isErrorValue = ({ type }: Column, value: Buffer | null): boolean =>
  type === 'enum' && value?.length === 1 && value[0] === ENUM_ERROR.charCodeAt(0);

/** What to select so that the text says the whole value. */
function selectValue(column: Column, row: string): string {
  const value = `${row}.${ident(column.name)}`;
  switch (kindOf(column)) {
    case 'float':
      // A bare FLOAT prints six digits; as a double it prints enough to find the same float again. Times one: plus
      // zero would lose the sign of -0.
      return `${value} * 1e0`;
    case 'bit':
      return `${value} + 0`;
    case 'label':
      return column.type === 'enum' ? `IF(${value} + 0 = 0, '${ENUM_ERROR}', ${value})` : value;
    case 'json':
      return `CAST(${value} AS CHAR CHARACTER SET utf8mb4)`;
    default:
      return value;
  }
}

export const selectImage = (table: Table, row: string): string =>
  list(storedColumns(table).map((column) => selectValue(column, row)));

function writeValue(column: Column, value: Buffer | null): string {
  if (value === null) return 'NULL';
  switch (kindOf(column)) {
    case 'integer':
    case 'decimal':
    case 'bit':
      return value.toString('latin1');
    case 'float':
    case 'double': {
      const text = value.toString('latin1');
      return /e/i.test(text) ? text : `${text}e0`;
    }
    case 'timestamp':
    case 'temporal':
      return `'${value.toString('latin1')}'`;
    case 'binary':
    case 'geometry':
      return hexLiteral(value);
    case 'label':
      return isErrorValue(column, value) ? '0' : literal(value.toString('utf8'));
    default:
      return literal(value.toString('utf8'));
  }
}

const INSERT_BYTES_MAX = 1024 * 1024;

/**
 * Plain INSERTs of at most 1 MiB or one row. Never IGNORE or ON DUPLICATE KEY: each can destroy another row.
 *
 * @param images values of `storedColumns`, in their order
 * @param isReplacing only where no unique key but the primary one could make it replace another row
 */
export function* insertSql(table: Table, images: readonly RawRow[], isReplacing = false): Generator<string> {
  const columns = storedColumns(table);
  const head = `${isReplacing ? 'REPLACE' : 'INSERT'} INTO ${qualified(table.schema, table.name)} (${list(columns.map((column) => ident(column.name)))}) VALUES `;
  let rows: string[] = [];
  let bytes = 0;
  for (const image of images) {
    const row = `(${list(columns.map((column, index) => writeValue(column, image[index]!)))})`;
    if (rows.length > 0 && bytes + row.length > INSERT_BYTES_MAX) {
      yield head + rows.join(', ');
      [rows, bytes] = [[], 0];
    }
    rows.push(row);
    bytes += row.length;
  }
  if (rows.length > 0) yield head + rows.join(', ');
}
