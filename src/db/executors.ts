/** Which executor a table gets, and why. */
import type { Executor } from './executor.ts';
import { SQL_EXECUTOR } from './executor-sql.ts';
import type { Pair, Tracked } from './tracked.ts';

/** Chosen once for what is tracked: a changed table is tracked anew. */
export const executorOf = (_pair: Pair, _tracked: Tracked, _tableId: number): Promise<Executor> =>
  Promise.resolve(SQL_EXECUTOR);
