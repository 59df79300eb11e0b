/** Activities by task queue: a flip has its own slots and never waits behind copying. */
import { controlActivities, type ControlActivities } from './control.ts';
import { dataActivities, type DataActivities } from './data.ts';
import type { Deps } from './deps.ts';
import { drillActivities, type DrillActivities } from './drill.ts';
import {
  fleetActivities,
  fleetWaitActivities,
  type FleetActivities,
  type FleetWaitActivities,
} from './fleet.ts';
import { reconcileActivities, type ReconcileActivities } from './reconcile.ts';

export type {
  ControlActivities,
  DataActivities,
  DrillActivities,
  FleetActivities,
  FleetWaitActivities,
  ReconcileActivities,
};
export type { Deps } from './deps.ts';

export const createActivities = (deps: Deps) => ({
  control: { ...controlActivities(deps), ...drillActivities(deps), ...fleetActivities(deps) },
  data: dataActivities(deps),
  reconcile: { ...reconcileActivities(deps), ...fleetWaitActivities(deps) },
});
