/**
 * Since when a gate is closed, and what it saw when it opened: one row for each gate of each stay in a phase, kept for
 * ever. Written only when a gate opens or closes: what it sees changes all the time.
 */
import type { GateVerdict, Waiver } from '../domain/gate.ts';
import type { Phase } from '../domain/phase.ts';
import type { Database, TextRow } from './database.ts';
import { epochMs, list, literal, qualified, tenantLiteral } from './sql.ts';
import type { Pair } from './tracked.ts';

const TEXT_MAX = 500;

export interface GateRow {
  readonly gate: string;
  readonly phase: string;
  /** When the phase was entered. Times are epoch milliseconds of the source. */
  readonly enteredAt: number;
  readonly open: boolean;
  readonly waived: boolean;
  /** When it was first found closed in this stay. */
  readonly firstClosedAt: number | null;
  /** Since when it is closed; null: it is open. */
  readonly closedAt: number | null;
  readonly saw: string;
  readonly needs: string;
}

const COLUMNS = `g.gate, g.phase, ${epochMs('g.entered_at')} AS entered_at, g.is_open, g.waived, ${epochMs('g.first_closed_at')} AS first_closed_at,
  ${epochMs('g.closed_at')} AS closed_at, g.saw, g.needs`;

const gateTable = (control: string): string => qualified(control, 'gate');

/** Of the phase in which the tenant stands now. */
export async function readGates(source: Database, control: string, tenant: string): Promise<GateRow[]> {
  const rows = await source.rows(
    `SELECT ${COLUMNS} FROM ${qualified(control, 'migration')} m JOIN ${gateTable(control)} g ON g.tenant = m.tenant AND g.entered_at = m.since
     WHERE m.tenant = ${tenantLiteral(tenant)}`,
  );
  return rows.map(toGateRow);
}

/** Of every stay in every phase, the first one first. */
export async function readGateHistory(source: Database, control: string, tenant: string): Promise<GateRow[]> {
  const rows = await source.rows(
    `SELECT ${COLUMNS} FROM ${gateTable(control)} g WHERE g.tenant = ${tenantLiteral(tenant)} ORDER BY g.entered_at, g.gate`,
  );
  return rows.map(toGateRow);
}

const toGateRow = (row: TextRow): GateRow => {
  const time = (name: string): number | null => (row[name] == null ? null : Math.floor(Number(row[name])));
  return {
    gate: row['gate']!,
    phase: row['phase']!,
    enteredAt: time('entered_at')!,
    open: row['is_open'] === '1',
    waived: row['waived'] === '1',
    firstClosedAt: time('first_closed_at'),
    closedAt: time('closed_at'),
    saw: row['saw']!,
    needs: row['needs']!,
  };
};

export interface Judged {
  readonly tenant: string;
  readonly runId: string;
  readonly phase: Phase;
  readonly approved: boolean;
  readonly waivers: readonly Waiver[];
}

/**
 * A look that comes late changes nothing: of a phase that was left, of a run that lost the tenant, or from before an
 * approval or a waiver that ended it (nobody waits for such a look).
 */
export async function recordGates(
  { source, control }: Pair,
  { tenant, runId, phase, approved, waivers }: Judged,
  verdicts: readonly GateVerdict[],
): Promise<void> {
  const known = new Map((await readGates(source, control, tenant)).map((row) => [row.gate, row]));
  const isThrough = verdicts.every(({ open, waived }) => open || waived);
  const changed = verdicts.filter(({ gate, open, waived }) => {
    const row = known.get(gate);
    // What let the tenant through is kept as it was seen then.
    return isThrough || row === undefined || row.open !== open || row.waived !== waived;
  });
  if (changed.length === 0) return;
  const stands = `FROM ${qualified(control, 'migration')} m WHERE m.tenant = ${tenantLiteral(tenant)} AND m.phase = ${literal(phase)} AND m.run_id = ${literal(runId)}
     AND m.approved = ${approved ? 1 : 0} AND COALESCE(m.waivers, '[]') = ${literal(JSON.stringify(waivers))}`;
  const rows = changed.map(({ gate, open, waived, saw, needs }) => {
    const closed = open ? 'NULL' : 'NOW(6)';
    return `SELECT m.tenant, m.since, ${list([gate, phase].map(literal))}, ${open ? 1 : 0}, ${waived ? 1 : 0}, ${closed}, ${closed}, NOW(6),
      ${list([saw, needs].map((text) => literal(text.slice(0, TEXT_MAX))))} ${stands}`;
  });
  await source.run(
    `INSERT INTO ${gateTable(control)} (tenant, entered_at, gate, phase, is_open, waived, first_closed_at, closed_at, changed_at, saw, needs) ${rows.join(' UNION ALL ')}
     ON DUPLICATE KEY UPDATE first_closed_at = COALESCE(first_closed_at, VALUES(first_closed_at)),
       closed_at = IF(VALUES(is_open) = 1, NULL, COALESCE(closed_at, VALUES(closed_at))),
       is_open = VALUES(is_open), waived = VALUES(waived), changed_at = VALUES(changed_at), saw = VALUES(saw), needs = VALUES(needs)`,
  );
}
