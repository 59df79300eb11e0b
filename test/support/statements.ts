/** Every statement that the product sends while something runs, one example of each shape, and the plan of each. */
import { format } from 'mysql2';

import { STATEMENTS, type Database, type Statement } from '../../src/db/database.ts';

export interface Recorded {
  readonly side: 'source' | 'target';
  /** The statement without its values. */
  readonly shape: string;
  readonly sql: string;
}

/** Records until `stop`; of each shape the longest statement is kept, which has the most keys. */
export function recordStatements(): { readonly stop: () => Recorded[] } {
  const found = new Map<string, Recorded>();
  const listen = (message: unknown): void => {
    const { side, sql, values } = message as Statement;
    const text = values.length === 0 ? sql : format(sql, [...values]);
    const shape = shapeOf(text);
    const known = found.get(`${side} ${shape}`);
    if (known === undefined || known.sql.length < text.length)
      found.set(`${side} ${shape}`, { side, shape, sql: text });
  };
  STATEMENTS.subscribe(listen);
  return {
    stop() {
      STATEMENTS.unsubscribe(listen);
      return [...found.values()];
    },
  };
}

export function shapeOf(sql: string): string {
  return sql
    .replaceAll(/X'[0-9A-Fa-f]*'|'(?:[^'\\]|\\.|'')*'/g, '?')
    .replaceAll(/\b(?<!`)-?\d+(?:\.\d+)?(?:e[-+]?\d+)?\b(?!`)/g, '?')
    .replaceAll(/\b(app|ctl)_[0-9a-f]{8}\b/g, '$1')
    .replaceAll(/ UNION ALL SELECT (?:(?! UNION ALL |\) [a-z]\b).)*/gs, ' …')
    .replaceAll(/(?:\?, )+\?/g, '?…')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

export interface PlanRow {
  readonly table: string;
  readonly type: string;
  readonly key: string | null;
  readonly rows: number;
  readonly extra: string;
}

const EXPLAINED = /^\s*(?:SELECT|DELETE|UPDATE|REPLACE INTO \S+ \([^)]*\) SELECT)/i;

/** @returns null for what reads no table: SET, INSERT … VALUES, BEGIN */
export async function planOf(db: Database, sql: string): Promise<PlanRow[] | null> {
  if (!EXPLAINED.test(sql) || !/\bFROM\b|^\s*UPDATE/i.test(sql)) return null;
  const rows = await db.rows(`EXPLAIN FORMAT=TRADITIONAL ${sql}`);
  return rows.map((row) => ({
    table: row['table'] ?? '',
    type: row['type'] ?? '',
    key: row['key'] ?? null,
    rows: Number(row['rows'] ?? 0),
    extra: row['Extra'] ?? '',
  }));
}

/**
 * @param rowsMax what one statement may have to read of a table
 * @returns what is wrong with the plan; empty: every real table is read through a key, and not much of it
 */
export function faultsOf(sql: string, plan: readonly PlanRow[], rowsMax: number): string[] {
  return plan.flatMap(({ table, type, key, rows, extra }): string[] => {
    if (table === '' || table.startsWith('<') || extra.includes('no matching row')) return [];
    // Through an index from its end, and no further than LIMIT says.
    const limited = / LIMIT \d+/.test(sql) && !/filesort|temporary/.test(extra);
    // From one group to the next, without what lies between.
    if (extra.includes('Using index for group-by')) return [];
    if (type === 'ALL' || (type === 'index' && !limited))
      return [`${table}: full scan (${type} ${key}, ${rows} rows)`];
    if (rows > rowsMax && !limited) return [`${table}: reads about ${rows} rows by ${key} (${type})`];
    return / OFFSET /.test(sql) && /filesort|temporary/.test(extra) ? [`${table}: sorts (${extra})`] : [];
  });
}

/** Rows and index entries that the server reads to carry the statement out. */
export async function readsOf(db: Database, sql: string): Promise<number> {
  return db.session(async (session) => {
    await session.run('FLUSH STATUS');
    await session.rows(sql);
    const rows = await session.rows("SHOW SESSION STATUS LIKE 'Handler_read%'");
    return rows.reduce((sum, row) => sum + Number(row['Value'] ?? 0), 0);
  });
}
