/** The flip back of many tenants in one transaction: a thousand take as long as one. */
import { list, qualified, tenantLiteral } from './sql.ts';
import { nextVersion, toStageRow, type StageRow } from './stages.ts';
import type { Pair } from './tracked.ts';

export interface Order {
  readonly actor: string;
  readonly reason: string;
  readonly requestId: string;
}

const ROWS = 500;

/**
 * Only tenants in `read-target` are flipped; whoever changed a stage before is waited for, whoever does it later finds
 * this flip.
 *
 * @param only null: every tenant
 * @returns the rows as they stand now, of those that were flipped
 */
export async function tripBackMany(
  pair: Pair,
  only: readonly string[] | null,
  order: Order,
): Promise<StageRow[]> {
  if (only?.length === 0) return [];
  const stage = qualified(pair.control, 'stage');
  const among = only === null ? '' : `AND tenant IN (${list(only.map(tenantLiteral))})`;
  return pair.source.transaction(async (session) => {
    const version = await nextVersion(session, pair.control);
    const found = await session.rows(
      `SELECT tenant, stage, epoch, version, dirty FROM ${stage} WHERE stage = 'read-target' ${among} ORDER BY tenant FOR UPDATE`,
    );
    const flipped = found
      .map(toStageRow)
      .map((row): StageRow => ({ ...row, stage: 'shadow-read', epoch: row.epoch + 1, version }));
    for (let at = 0; at < flipped.length; at += ROWS) {
      const rows = flipped.slice(at, at + ROWS);
      await session.run(
        `UPDATE ${stage} SET stage = 'shadow-read', epoch = epoch + 1, version = ${version}, changed_at = NOW(6) WHERE tenant IN (${list(rows.map(({ tenant }) => tenantLiteral(tenant)))})`,
      );
      await session.run(
        `INSERT INTO ${qualified(pair.control, 'audit')} (tenant, event, before_value, after_value, epoch, actor, reason, request_id) VALUES ${list(
          rows.map(
            ({ tenant, epoch }) =>
              `(${tenantLiteral(tenant)}, 'stage', 'read-target', 'shadow-read', ${epoch}, ?, ?, ?)`,
          ),
        )}`,
        rows.flatMap(() => [order.actor.slice(0, 255), order.reason.slice(0, 1_000), order.requestId]),
      );
    }
    return flipped;
  });
}
