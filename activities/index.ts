/** Activities by task queue: a flip has its own slots and never waits behind copying. */
import { controlActivities, type ControlActivities } from './control.ts';
import { dataActivities, type DataActivities } from './data.ts';
import type { Deps } from './deps.ts';
import { reconcileActivities, type ReconcileActivities } from './reconcile.ts';

export type { ControlActivities, DataActivities, ReconcileActivities };
export type { Deps } from './deps.ts';

export const createActivities = (deps: Deps) => ({
  control: controlActivities(deps),
  data: dataActivities(deps),
  reconcile: reconcileActivities(deps),
});
