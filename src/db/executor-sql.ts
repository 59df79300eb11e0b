/** The digest in SQL: only a count and 128 bits leave the server. The text of a row is in `digest.ts`. */
import { storedColumns } from './catalog.ts';
import { canonicalColumn, digestOf, hashed, rowHash } from './digest.ts';
import type { Executor } from './executor.ts';
import { list } from './sql.ts';

export const SQL_EXECUTOR: Executor = {
  name: 'sql',
  hasQuick: ({ table }) => storedColumns(table).some(({ type }) => type === 'json'),
  digest: (db, side, rows, form) =>
    digestOf(db, rows(`${rowHash(side, 't', form === 'quick' ? 'stored' : 'arrived')} AS h`)),
  async hashes(db, side, { rows, beside, parts }) {
    const hashes =
      parts === 'row'
        ? [rowHash(side, 't')]
        : storedColumns(side.table).map((column) => `SHA2(${canonicalColumn(column, 't', side.side)}, 256)`);
    const named = [
      ...beside.map((value, index) => `${value} AS b${index}`),
      ...hashes.map((value, index) => `${value} AS h${index}`),
    ];
    const found = await db.rows(rows(list(named)));
    return found.map((row) => ({
      beside: beside.map((_, index) => row[`b${index}`] ?? null),
      hashes: hashes.map((_, index) => hashed(side.side, row[`h${index}`])),
    }));
  },
};
