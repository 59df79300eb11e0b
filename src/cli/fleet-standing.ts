/** Where the fleet and a tenant in it stand, and what of an order its workflow would refuse when it looks at the roster. */
import { readFleet, readRoster, type Enrolled, type FleetRow } from '../db/fleet.ts';
import { readMigration } from '../db/migrations.ts';
import type { FleetCommand, FleetCommandName } from '../domain/fleet-command.ts';
import type { Context } from './context.ts';

export interface Standing {
  readonly fleet: Pick<FleetRow, 'mode' | 'reason' | 'wave'>;
  readonly waves: readonly string[];
  /** Of the tenant that the order names. */
  readonly enrolled: Enrolled | null;
  readonly started: boolean;
}

export async function standingOf(context: Context, { tenant }: FleetCommand): Promise<Standing> {
  const [plan, pair] = await Promise.all([context.plan(), context.pair()]);
  const waves = plan.waves.map(({ name }) => name);
  const [row, roster, migration] = await Promise.all([
    readFleet(pair.source, pair.control),
    readRoster(pair.source, pair.control),
    tenant === null ? null : readMigration(pair.source, pair.control, tenant),
  ]);
  return {
    // A run that no worker took up yet has no record.
    fleet: row ?? { mode: 'running', reason: null, wave: waves[0] ?? '' },
    waves,
    enrolled: roster.find((one) => one.tenant === tenant) ?? null,
    started: migration !== null && migration.phase !== 'aborted',
  };
}

type Judge = (tenant: string, standing: Standing) => string | null;
const never: Judge = () => null;

const ROSTER: Readonly<Record<FleetCommandName, Judge>> = {
  pause: never,
  resume: never,
  advance: never,
  add: (tenant, { enrolled }) => (enrolled === null ? null : `${tenant} is in the fleet already`),
  remove: (tenant, { enrolled, started }) =>
    enrolled === null || started
      ? `${tenant} was started, or is not in the fleet; hold it, or abort it first`
      : null,
  hold: (tenant, { enrolled }) =>
    enrolled === null || enrolled.held !== null ? `${tenant} is not in the fleet, or is held already` : null,
  release: (tenant, { enrolled }) =>
    enrolled?.held == null ? `${tenant} is not in the fleet, or is not held` : null,
};

/** @returns null when the roster has nothing against it */
export const refusalOf = ({ name, tenant }: FleetCommand, standing: Standing): string | null =>
  ROSTER[name](tenant ?? '', standing);
