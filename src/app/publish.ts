/** The fast way of a flip: Redis tells the nodes at once. It is never truth; a node's poll carries on without it. */
import type { Redis } from 'ioredis';

import type { StageRow } from '../db/stages.ts';

export const stageChannel = (control: string): string => `switchback:${control}:stages`;

/** Never fails and never waits long: the row in the control schema stands already. */
export async function publishStage(redis: Redis, control: string, row: StageRow): Promise<void> {
  const { tenant, stage, epoch, version } = row;
  await redis
    .publish(stageChannel(control), JSON.stringify({ tenant, stage, epoch, version }))
    .catch(() => {});
}
