/** An operator's order to the fleet, carried out in its record together with the decision that it is. */
import type { FleetCommand } from '../domain/fleet-command.ts';
import type { WavePolicy } from '../domain/plan.ts';
import type { Session } from './database.ts';
import { appendDecision, beginWave, owned, readFleet, setMode, type FleetRow } from './fleet.ts';
import { countWaves } from './fleet-look.ts';
import { rosterTable } from './fleet-rows.ts';
import { qualified, tenantLiteral } from './sql.ts';
import type { Pair } from './tracked.ts';

/** @returns why the order was refused when the roster was looked at; null: it was carried out */
export async function orderFleet(
  pair: Pair,
  runId: string,
  waves: readonly WavePolicy[],
  command: FleetCommand,
): Promise<{ readonly row: FleetRow; readonly refused: string | null }> {
  const { control } = pair;
  const counts = command.name === 'advance' ? await countWaves(pair.source, control, waves) : null;
  return pair.source.transaction(async (session) => {
    const row = await owned(session, control, runId);
    const refused = await ACTS[command.name]({ session, control, row, waves, command });
    if (refused === null) {
      const { actor, reason: why } = command;
      const wave = (await readFleet(session, control))!.wave;
      const evidence = counts === null ? null : JSON.stringify(counts);
      const event = command.tenant === null ? command.name : `${command.name} ${command.tenant}`;
      await appendDecision(session, control, { wave, event, actor, why, evidence });
    }
    return { row: (await readFleet(session, control))!, refused };
  });
}

interface Act {
  readonly session: Session;
  readonly control: string;
  readonly row: FleetRow;
  readonly waves: readonly WavePolicy[];
  readonly command: FleetCommand;
}

const ACTS: Readonly<Record<FleetCommand['name'], (act: Act) => Promise<string | null>>> = {
  async pause({ session, control, command }) {
    await setMode(session, control, 'paused', `paused by ${command.actor}: ${command.reason}`);
    return null;
  },
  async resume({ session, control }) {
    await setMode(session, control, 'running', null);
    return null;
  },
  async advance({ session, control, row, waves }) {
    const next = waves[waves.findIndex(({ name }) => name === row.wave) + 1];
    if (next === undefined) return `${row.wave} is the last wave`;
    await beginWave(session, control, next.name);
    return null;
  },
  async add({ session, control, command }) {
    const { affectedRows } = await session.run(
      `INSERT IGNORE INTO ${rosterTable(control)} (tenant, wave) VALUES (${tenantLiteral(command.tenant!)}, ?)`,
      [command.wave],
    );
    return affectedRows === 0 ? `${command.tenant!} is in the fleet already` : null;
  },
  async remove({ session, control, command }) {
    const tenant = tenantLiteral(command.tenant!);
    const { affectedRows } = await session.run(
      `DELETE FROM ${rosterTable(control)} WHERE tenant = ${tenant} AND started_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM ${qualified(control, 'migration')} m WHERE m.tenant = ${tenant} AND m.phase <> 'aborted')`,
    );
    return affectedRows === 0
      ? `${command.tenant!} was started, or is not in the fleet; hold it, or abort it first`
      : null;
  },
  hold: ({ session, control, command }) =>
    setHeld(session, control, command, `held by ${command.actor}: ${command.reason}`.slice(0, 1_000)),
  release: ({ session, control, command }) => setHeld(session, control, command, null),
};

async function setHeld(
  session: Session,
  control: string,
  { tenant }: FleetCommand,
  held: string | null,
): Promise<string | null> {
  const { affectedRows } = await session.run(
    `UPDATE ${rosterTable(control)} SET held = ? WHERE tenant = ${tenantLiteral(tenant!)} AND held IS ${held === null ? 'NOT NULL' : 'NULL'}`,
    [held],
  );
  if (affectedRows > 0) return null;
  return `${tenant!} is not in the fleet, or ${held === null ? 'is not held' : 'is held already'}`;
}
