/** Waits until the application nodes have seen a flip. Correctness does not wait for them; people do. */
import { setTimeout as sleep } from 'node:timers/promises';

import { qualified, tenantLiteral } from '../db/sql.ts';
import { readNodes, readStage, type StageRow } from '../db/stages.ts';
import type { Pair } from '../db/tracked.ts';
import type { Milliseconds } from '../domain/duration.ts';

const POLL = 10;

export interface Followed {
  readonly live: number;
  readonly following: number;
  /** From the flip's commit to the last node's acknowledgement, by the source's clock. */
  readonly ms: Milliseconds;
}

export async function awaitNodes(pair: Pair, row: StageRow, within: Milliseconds): Promise<Followed> {
  const ends = Date.now() + within;
  for (;;) {
    const [nodes, ms] = await Promise.all([
      readNodes(pair.source, pair.control),
      sinceChange(pair, row.tenant),
    ]);
    const live = nodes.filter((node) => node.live);
    const following = live.filter((node) => node.version >= row.version).length;
    if (following === live.length || Date.now() > ends) return { live: live.length, following, ms };
    await sleep(POLL);
  }
}

async function sinceChange(pair: Pair, tenant: string): Promise<Milliseconds> {
  const [row] = await pair.source.rows(
    `SELECT TIMESTAMPDIFF(MICROSECOND, changed_at, NOW(6)) DIV 1000 AS ms FROM ${qualified(pair.control, 'stage')} WHERE tenant = ${tenantLiteral(tenant)}`,
  );
  return Number(row?.['ms'] ?? 0);
}

/** @returns the stage row once the order was carried out; null when that did not happen in time. */
export async function awaitOrder(
  pair: Pair,
  tenant: string,
  requestId: string,
  within: Milliseconds,
): Promise<StageRow | null> {
  const ends = Date.now() + within;
  for (;;) {
    const [entry] = await pair.source.rows(
      `SELECT id FROM ${qualified(pair.control, 'audit')} WHERE tenant = ${tenantLiteral(tenant)} AND request_id = ? LIMIT 1`,
      [requestId],
    );
    if (entry !== undefined) return readStage(pair.source, pair.control, tenant);
    if (Date.now() > ends) return null;
    await sleep(POLL);
  }
}

export const sayFollowed = ({ live, following, ms }: Followed): string => {
  if (live === 0) return 'no application node is live, so nobody had to follow';
  return following === live
    ? `last of ${live} ${live === 1 ? 'node' : 'nodes'} followed after ${ms} ms`
    : `${following} of ${live} nodes followed within ${ms} ms; the others read from the source at their next poll, or when their lease ends`;
};
