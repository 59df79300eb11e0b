/** Gathers what a report says from the control schemas; what Temporal adds is asked for by the caller's function. */
import { readStageMoves } from '../db/chronicle.ts';
import { readDecisions, readFleet, readRoster } from '../db/fleet.ts';
import { countWaves } from '../db/fleet-look.ts';
import { readMigrations, type Migration } from '../db/migrations.ts';
import { readStages } from '../db/stages.ts';
import { loadTracked, type Pair } from '../db/tracked.ts';
import { WEAKER } from '../domain/capture.ts';
import type { Evidence } from '../domain/evidence.ts';
import type { Plan } from '../domain/plan.ts';
import type { FleetFacts, ReportFacts, Standing, WorkflowFacts } from './facts.ts';
import { readTenant } from './tenant-facts.ts';
import { stagesOf } from './timeline.ts';

const DECISIONS = 500;
/** Told of one by one, whoever needs somebody first; the others by one line each. */
export const TENANTS_TOLD = 100;
const TOGETHER = 4;

export interface Query {
  readonly plan: Plan;
  /** null: all of them. */
  readonly tenant: string | null;
  /** Everybody of the plan. */
  readonly known: readonly string[];
  readonly replicas: Evidence['replicas'];
  /** null when there is no run; missing when Temporal does not answer. */
  readonly workflow?: (tenant: string) => Promise<WorkflowFacts | null>;
  /** Why it is missing, as a sentence. */
  readonly withoutTemporal: string | null;
}

const URGENCY = { stopped: 0, paused: 1, waiting: 2, running: 3 } as const;

export async function readFacts(pair: Pair, query: Query): Promise<ReportFacts> {
  const { source, control } = pair;
  const { plan, tenant, known } = query;
  const [clock, migrations, stages, moves, fleet, tracked] = await Promise.all([
    source.rows('SELECT UNIX_TIMESTAMP(NOW(6)) * 1000 AS now'),
    readMigrations(source, control),
    readStages(source, control, -1),
    readStageMoves(source, control),
    tenant === null ? fleetFacts(pair, plan) : null,
    loadTracked(pair),
  ]);
  const at = iso(Number(clock[0]!['now']));
  const byTenant = new Map(stages.map((row) => [row.tenant, row]));
  const standing = migrations
    .filter((migration) => tenant === null || migration.tenant === tenant)
    .map((migration): [Migration, Standing] => {
      const stage = byTenant.get(migration.tenant);
      const { wave, phase, mode, reason } = migration;
      return [
        migration,
        {
          tenant: migration.tenant,
          wave,
          phase,
          mode,
          reason,
          since: iso(migration.since),
          startedAt: iso(migration.startedAt),
          stage: stage?.stage ?? 'source-only',
          epoch: stage?.epoch ?? 0,
          stages: stagesOf(moves, migration.tenant, at),
        },
      ];
    });
  const told = standing.toSorted(([, a], [, b]) => URGENCY[a.mode] - URGENCY[b.mode]).slice(0, TENANTS_TOLD);
  const tenants = await each(told, TOGETHER, ([migration, stands]) =>
    readTenant(pair, tracked, { ...query, migration, stands, at }),
  );
  const started = new Set(migrations.map((migration) => migration.tenant));
  return {
    migration: plan.name,
    at,
    capture: plan.capture,
    weaker: WEAKER[plan.capture],
    missing: [
      ...(query.withoutTemporal === null ? [] : [query.withoutTemporal]),
      ...(tenants.some(({ copied }) => copied === null)
        ? [
            'The target could not be read: how many rows were copied, and when it was last mirrored, are missing.',
          ]
        : []),
    ],
    fleet,
    standing: standing.map(([, one]) => one),
    notStarted: tenant === null ? known.filter((name) => !started.has(name)) : [],
    tenants,
    leftOut: standing.length - tenants.length,
  };
}

async function fleetFacts({ source, control }: Pair, plan: Plan): Promise<FleetFacts | null> {
  const row = await readFleet(source, control);
  if (row === null) return null;
  const [waves, decisions, roster] = await Promise.all([
    countWaves(source, control, plan.waves),
    readDecisions(source, control, DECISIONS),
    readRoster(source, control),
  ]);
  const { wave, mode, reason, since } = row;
  return {
    wave,
    mode,
    reason,
    since: iso(since),
    waves,
    held: roster.flatMap(({ tenant, held }) => (held === null ? [] : [{ tenant, why: held }])),
    decisions: decisions.map((one) => ({ ...one, at: `${one.at.replace(' ', 'T')}Z` })).reverse(),
  };
}

/** A few at a time: a report must not take every connection. */
async function each<T, R>(items: readonly T[], together: number, use: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += together)
    results.push(...(await Promise.all(items.slice(at, at + together).map(use))));
  return results;
}

const iso = (ms: number): string => new Date(ms).toISOString();
