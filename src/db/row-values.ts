/** Both rows of a key as they are now, for the eyes of whoever asked. The one place that shows values. */
import { createHash } from 'node:crypto';

import { storedColumns, type Column } from './catalog.ts';
import type { Database } from './database.ts';
import { keysJoin, keysTable } from './keys.ts';
import { kindOf } from './kinds.ts';
import { ident, list, qualified } from './sql.ts';
import type { TrackedTable } from './tenancy.ts';
import type { Pair, Tracked } from './tracked.ts';

export interface ShownValue {
  readonly column: string;
  /** null: NULL, or no row. */
  readonly source: string | null;
  readonly target: string | null;
  readonly differs: boolean;
}

export interface ShownRows {
  readonly sourceRow: boolean;
  readonly targetRow: boolean;
  readonly values: readonly ShownValue[];
}

const SHOWN_BYTES = 256;

export async function showRows(
  pair: Pair,
  tracked: Tracked,
  tableId: number,
  key: string,
): Promise<ShownRows> {
  const [source, target] = await Promise.all([
    readRow(pair.source, tracked.source(tableId), key),
    readRow(pair.target, tracked.target(tableId), key),
  ]);
  const columns = storedColumns(tracked.source(tableId).table);
  return {
    sourceRow: source !== null,
    targetRow: target !== null,
    values: columns.map((column, position) => {
      const [here, there] = [source?.[position] ?? null, target?.[position] ?? null];
      return {
        column: column.name,
        source: here === null ? null : shown(column, here),
        target: there === null ? null : shown(column, there),
        differs: here === null || there === null ? here !== there : !here.equals(there),
      };
    }),
  };
}

async function readRow(
  db: Database,
  { table }: TrackedTable,
  key: string,
): Promise<(Buffer | null)[] | null> {
  const columns = storedColumns(table).map((column) => {
    const value = `t.${ident(column.name)}`;
    // Six digits of a bare FLOAT would show two different values alike.
    if (kindOf(column) === 'float') return `${value} + 0e0`;
    return kindOf(column) === 'bit' ? `${value} + 0` : value;
  });
  const [row] = await db.raw(
    `SELECT ${list(columns)} FROM ${keysTable(table.primary, [key])} k
     STRAIGHT_JOIN ${qualified(table.schema, table.name)} t ON ${keysJoin(table.primary, 'k', 't')} LIMIT 1`,
  );
  return row === undefined ? null : [...row];
}

function shown(column: Column, value: Buffer): string {
  if (value.length > SHOWN_BYTES)
    return `${value.length} bytes, SHA-256 ${createHash('sha256').update(value).digest('hex')}`;
  const kind = kindOf(column);
  if (kind === 'binary' || kind === 'geometry') return `0x${value.toString('hex')}`;
  const text = value.toString('utf8');
  return kind === 'text' || kind === 'label' ? JSON.stringify(text) : text;
}
