/**
 * A fleet of 1,000 tiny tenants from `fleet start` to ramp on one worker and the development server, then everybody's
 * reads back. Beside it fleets of a tenth, on one worker and on two in turns: what a tenant costs must not depend on how
 * many there are.
 */

import { runFleet, type FleetFound } from './fleet-run.ts';
import { machine, median, rounded, type Result } from './result.ts';
import { say } from './rounds.ts';

const TENANTS = Number(process.env['BENCH_TENANTS'] ?? 1_000);
const SMALL = Math.ceil(TENANTS / 10);
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3);

export async function run(): Promise<Result> {
  const one: FleetFound[] = [];
  const two: FleetFound[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    one.push(await told(SMALL, 1));
    two.push(await told(SMALL, 2));
  }
  const large = await told(TENANTS, 1);
  const perTenant = ({ seconds, tenantSeconds }: FleetFound): number => seconds / tenantSeconds.length;
  const small = median(one.map(perTenant));
  return {
    name: 'fleet',
    machine: machine(),
    versions: large.versions,
    runs: ROUNDS,
    medians: {
      tenants: TENANTS,
      seconds: rounded(large.seconds),
      secondsPerTenant: rounded(perTenant(large)),
      smallTenants: SMALL,
      smallSecondsPerTenant: rounded(small),
      twoWorkersSecondsPerTenant: rounded(median(two.map(perTenant))),
      tenantMedianSeconds: rounded(median(large.tenantSeconds)),
      tenantSlowestSeconds: rounded(Math.max(...large.tenantSeconds)),
      workerRampMb: rounded(large.workerRampMb),
      workerPeakMb: rounded(large.workerPeakMb),
      eventsPerTenant: large.events,
      rollbackAllMs: rounded(large.rollbackMs),
      rollbackAllAdoptedMs: rounded(large.adoptedMs),
    },
    ratios: {
      slowestVsMedian: rounded(Math.max(...large.tenantSeconds) / median(large.tenantSeconds)),
      secondsPerTenantVs100: rounded(perTenant(large) / small),
      twoWorkersVsOne: rounded(median(one.map((found, at) => found.seconds / two[at]!.seconds))),
    },
  };
}

async function told(size: number, workers: number): Promise<FleetFound> {
  const found = await runFleet(size, workers);
  const slowest = Math.max(...found.tenantSeconds);
  say(
    `${size} tenants, ${workers} worker${workers === 1 ? '' : 's'}: ${rounded(found.seconds)} s, the slowest ${rounded(slowest)} s, ${rounded(found.workerRampMb)} MB in ramp, ${rounded(found.workerPeakMb)} MB at the most, everybody back after ${rounded(found.rollbackMs)} ms, taken up after ${rounded(found.adoptedMs)} ms`,
  );
  return found;
}
