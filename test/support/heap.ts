/** What is really kept: the heap after a full collection. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export const MB = 1024 * 1024;

/** @returns bytes */
export function heapKept(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}
