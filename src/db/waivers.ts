/** Gates that somebody opened by decision: kept for ever, with who, why and until when. */
import type { Waiver } from '../domain/gate.ts';
import type { Session } from './database.ts';
import { epochMs, qualified, tenantLiteral } from './sql.ts';
import type { Pair } from './tracked.ts';

export interface WaiverRow {
  readonly tenant: string;
  readonly gate: string;
  /** In which it was given. */
  readonly phase: string;
  readonly actor: string;
  readonly reason: string;
  /** Epoch milliseconds of the source. */
  readonly at: number;
  readonly until: number;
  /** The tenant was given up, and with it what was waived for it. */
  readonly endedAt: number | null;
  readonly standing: boolean;
}

const NOW = epochMs('NOW(6)');

const waiverTable = (control: string): string => qualified(control, 'waiver');

/** Repeating it with the same request changes nothing. */
export async function recordWaiver(
  session: Session,
  control: string,
  given: Waiver & { readonly tenant: string; readonly phase: string; readonly requestId: string },
): Promise<void> {
  await session.run(
    `INSERT INTO ${waiverTable(control)} (tenant, request_id, phase, gate, actor, reason, until_ms) VALUES (${tenantLiteral(given.tenant)}, ?, ?, ?, ?, ?, ${Math.max(0, Math.round(given.until))})
     ON DUPLICATE KEY UPDATE request_id = request_id`,
    [
      given.requestId.slice(0, 255),
      given.phase,
      given.gate,
      given.actor.slice(0, 255),
      given.reason.slice(0, 1_000),
    ],
  );
}

/** They end with the migration that they were given for. */
export const endWaivers = (session: Session, control: string, tenant: string) =>
  session.run(
    `UPDATE ${waiverTable(control)} SET ended_at = NOW(6) WHERE tenant = ${tenantLiteral(tenant)} AND ended_at IS NULL AND until_ms > ${NOW}`,
  );

/**
 * The latest first.
 *
 * @param tenant null: of all
 */
export async function readWaivers({ source, control }: Pair, tenant: string | null): Promise<WaiverRow[]> {
  const rows = await source.rows(
    `SELECT tenant, gate, phase, actor, reason, ${epochMs('at')} AS at, until_ms, ${epochMs('ended_at')} AS ended_at,
            ended_at IS NULL AND until_ms > ${NOW} AS standing
     FROM ${waiverTable(control)} ${tenant === null ? '' : `WHERE tenant = ${tenantLiteral(tenant)}`} ORDER BY id DESC`,
  );
  return rows.map((row) => ({
    tenant: row['tenant']!,
    gate: row['gate']!,
    phase: row['phase']!,
    actor: row['actor']!,
    reason: row['reason']!,
    at: Math.floor(Number(row['at'])),
    until: Number(row['until_ms']),
    endedAt: row['ended_at'] == null ? null : Math.floor(Number(row['ended_at'])),
    standing: row['standing'] === '1',
  }));
}
