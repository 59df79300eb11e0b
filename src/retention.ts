/** A worker reads anew, every few minutes, for how long its namespace keeps a closed history: a gate asks for it. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { NativeConnection } from '@temporalio/worker';

import { saveRetention } from './db/cluster-facts.ts';
import type { Pair } from './db/tracked.ts';
import { MINUTE, SECOND, type Milliseconds } from './domain/duration.ts';
import { errorFields, type Log } from './log.ts';

const EVERY: Milliseconds = 10 * MINUTE;
const AGAIN: Milliseconds = 5 * SECOND;

/** Never fails; what can't be read is said, and asked for again. */
export async function watchRetention(
  { workflowService }: NativeConnection,
  namespace: string,
  { source, control }: Pair,
  log: Log,
  stopping: AbortSignal,
): Promise<void> {
  while (!stopping.aborted) {
    let pause = EVERY;
    try {
      const { config } = await workflowService.describeNamespace({ namespace });
      await saveRetention(
        source,
        control,
        Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0) * SECOND,
      );
    } catch (error) {
      if (stopping.aborted) return;
      pause = AGAIN;
      log.warn({ ...errorFields(error), namespace, inMs: pause }, 'the retention could not be read');
    }
    await sleep(pause, undefined, { signal: stopping, ref: false }).catch(() => {});
  }
}
