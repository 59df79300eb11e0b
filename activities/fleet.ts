/** The fleet's look at its waves, and the orders that operators give it. Every one may be repeated. */
import { activityInfo, heartbeat } from '@temporalio/activity';

import { SECOND, type Milliseconds } from '../src/domain/duration.ts';
import type { FleetCommand } from '../src/domain/fleet-command.ts';
import type { WavePolicy } from '../src/domain/plan.ts';
import { claimFleet, type FleetRow } from '../src/db/fleet.ts';
import { lookAtFleet, type FleetLook } from '../src/db/fleet-look.ts';
import { orderFleet } from '../src/db/fleet-orders.ts';
import { readMigration } from '../src/db/migrations.ts';
import { SHARED } from '../src/domain/stage.ts';
import type { Deps } from './deps.ts';
import { guarded } from './failures.ts';
import { pause } from './pause.ts';

export type { FleetLook, FleetRow };

export interface FleetActivities {
  /** @returns the record, and whether the shared tables were started */
  readonly claimFleet: (input: {
    firstWave: string;
    after: string | null;
    actor: string;
    why: string;
  }) => Promise<{ row: FleetRow; hasShared: boolean }>;
  readonly orderFleet: (input: {
    waves: readonly WavePolicy[];
    command: FleetCommand;
  }) => Promise<{ row: FleetRow; refused: string | null }>;
}

export interface FleetWaitActivities {
  /** Looks each second or so, and returns when a tenant is due, the wave or the mode changed, or `every` is over. */
  readonly awaitFleet: (input: {
    waves: readonly WavePolicy[];
    every: Milliseconds;
    /** As the workflow shows it; another one is news. */
    shown: string | null;
  }) => Promise<FleetLook>;
}

const runId = (): string => activityInfo().workflowExecution?.runId ?? '';

export const fleetActivities = ({ pair }: Deps): FleetActivities =>
  guarded<FleetActivities>({
    async claimFleet(input) {
      const row = await claimFleet(pair, { ...input, runId: runId() });
      const shared = await readMigration(pair.source, pair.control, SHARED);
      return { row, hasShared: shared !== null };
    },
    orderFleet: ({ waves, command }) => orderFleet(pair, runId(), waves, command),
  });

export const fleetWaitActivities = ({ pair }: Deps): FleetWaitActivities =>
  guarded<FleetWaitActivities>({
    async awaitFleet({ waves, every, shown }) {
      const ends = Date.now() + every;
      const poll = Math.min(Math.max(every / 500, SECOND / 4), 5 * SECOND);
      for (;;) {
        const look = await lookAtFleet(pair, runId(), waves);
        heartbeat({ decision: look.decision.kind, wave: look.row.wave });
        const isNews = look.decision.kind !== 'wait' && look.decision.kind !== 'finish';
        // A changed reason is worth an event only now and then: six weeks of counting must not fill the history.
        const changed = sayFleet(look) !== shown && (shown === null || ends - Date.now() < (7 * every) / 8);
        if (look.due.length > 0 || isNews || changed || Date.now() >= ends) return look;
        await pause(poll);
      }
    },
  });

/** What of a look the console shows. */
const sayFleet = ({ row, counts }: FleetLook): string =>
  JSON.stringify([row.wave, row.mode, row.reason, counts]);
