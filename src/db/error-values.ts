/**
 * ENUM's error value: a row that an unstrict writer once stored holds 0, prints as '' and may not be written in
 * strict mode, not even as itself. Such rows are set aside and inserted with an unstrict mode for that statement
 * alone; then each error value warns once, and any other warning is an error as always.
 */
import { DatabaseError } from '../domain/errors.ts';
import { storedColumns, type Column, type Table } from './catalog.ts';
import type { RawRow, Session, TextRow } from './database.ts';
import { insertSql, isErrorValue } from './images.ts';
import type { Batches } from './load.ts';

const UNSTRICT = "/*+ SET_VAR(sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO') */";
/** The server keeps 1,024 warnings. */
const WARNINGS_MAX = 500;

const enumsOf = (table: Table): Column[] => storedColumns(table).filter(({ type }) => type === 'enum');

/** Asked of every row of a copy, so it looks at the ENUMs alone. */
function counter(table: Table): (row: RawRow) => number {
  const enums = storedColumns(table).flatMap((column, index) =>
    column.type === 'enum' ? [{ column, index }] : [],
  );
  return (row) => {
    let count = 0;
    for (const { column, index } of enums) if (isErrorValue(column, row[index]!)) count += 1;
    return count;
  };
}

export function hasErrorValues(table: Table, rows: readonly RawRow[]): boolean {
  const errors = counter(table);
  return rows.some((row) => errors(row) > 0);
}

/** The rows without an error value; the others are put into `aside`. */
export function setAside(table: Table, rows: Batches, aside: RawRow[]): Batches {
  if (enumsOf(table).length === 0) return rows;
  const errors = counter(table);
  return (async function* () {
    for await (const batch of rows) {
      const isOdd = (row: RawRow): boolean => errors(row) > 0;
      if (batch.some(isOdd)) {
        aside.push(...batch.filter(isOdd));
        yield batch.filter((row) => !isOdd(row));
      } else yield batch;
    }
  })();
}

/** @throws DatabaseError when a value other than an error value would change */
export async function insertErrorValues(
  target: Session,
  table: Table,
  rows: readonly RawRow[],
  isReplacing = false,
): Promise<void> {
  const enums = enumsOf(table);
  const names = new Set(enums.map(({ name }) => name));
  const errors = counter(table);
  const atOnce = Math.max(1, Math.floor(WARNINGS_MAX / Math.max(1, enums.length)));
  for (let at = 0; at < rows.length; at += atOnce) {
    const some = rows.slice(at, at + atOnce);
    const expected = some.reduce((sum, row) => sum + errors(row), 0);
    let warned = 0;
    for (const statement of insertSql(table, some, isReplacing)) {
      await target.write(statement.replace(/^\w+/, `$& ${UNSTRICT}`), (warnings) => {
        warned += warnings.length;
        return warnings.every((warning) => isExpected(warning, names));
      });
    }
    if (warned !== expected)
      throw new DatabaseError(`target: an ENUM of ${table.name} would change on its way`, 1265);
  }
}

function isExpected(warning: TextRow, names: ReadonlySet<string>): boolean {
  const column = /^Data truncated for column '(.*)' at row \d+$/s.exec(warning['Message'] ?? '')?.[1];
  return warning['Code'] === '1265' && column !== undefined && names.has(column);
}
