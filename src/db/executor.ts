/**
 * Executors: who computes the digest of a table's rows, and how.
 *
 * `sql`: the server, where both servers compute one value from one row. `stream`: the worker, from the bytes
 * that either server sends, where they can't. Both hash every stored column of a row, the key inside, and XOR
 * 128 bits of the hashes; their values are never compared with each other.
 */
import type { Database, Session } from './database.ts';
import type { WindowDigest } from './digest.ts';
import type { TrackedTable } from './tenancy.ts';

/** What a query is sent to. */
export type Reader = Database | Session;

/** Completes `SELECT …` to a query over the rows, whose alias is `t`. */
export type RowsQuery = (select: string) => string;

export interface HashedRow {
  /** Values of the expressions that were asked for beside the hash. */
  readonly beside: readonly (string | null)[];
  /** 64 hex digits; of the whole row, or of one column each. */
  readonly hashes: readonly string[];
}

export type ExecutorName = 'sql' | 'stream';

export interface Executor {
  readonly name: ExecutorName;
  /** Is there a cheaper digest, of which equal values prove as much and different ones nothing? */
  readonly hasQuick: (side: TrackedTable) => boolean;
  readonly digest: (
    db: Database,
    side: TrackedTable,
    rows: RowsQuery,
    form?: 'quick' | 'exact',
  ) => Promise<WindowDigest>;
  /**
   * @param parts `row`: one hash of the whole row; `columns`: one of each stored column
   * @throws DatabaseError when a row has no hash
   */
  readonly hashes: (
    db: Reader,
    side: TrackedTable,
    query: {
      readonly rows: RowsQuery;
      readonly beside: readonly string[];
      readonly parts: 'row' | 'columns';
    },
  ) => Promise<HashedRow[]>;
}
