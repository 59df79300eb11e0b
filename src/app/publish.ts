/** The fast way of a flip: Redis tells the nodes at once. It is never truth; a node's poll carries on without it. */
import type { Redis } from 'ioredis';

import type { StageRow } from '../db/stages.ts';

export type StageHint = Pick<StageRow, 'tenant' | 'stage' | 'epoch' | 'version'>;

const PUBLISH_MS = 250;

export const stageChannel = (control: string): string => `switchback:${control}:stages`;

/** Never fails and never waits long: the row in the control schema stands already. */
export async function publishStage(redis: Redis, control: string, row: StageHint): Promise<void> {
  const { tenant, stage, epoch, version } = row;
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, PUBLISH_MS);
  });
  const sent = redis.publish(stageChannel(control), JSON.stringify({ tenant, stage, epoch, version })).then(
    () => {},
    () => {}, // Redis is down
  );
  // A client that queues while it is not connected would keep its caller for as long.
  await Promise.race([sent, patience]);
  clearTimeout(timer);
}
