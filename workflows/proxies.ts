/**
 * Activities by queue and retry class. `WAIT_CANCELLATION_COMPLETED` nearly everywhere: whoever goes on after a
 * cancel must know that the old attempt writes no more.
 */
import { proxyActivities } from '@temporalio/workflow';

import type {
  ControlActivities,
  DataActivities,
  DrillActivities,
  FleetActivities,
  FleetWaitActivities,
  ReconcileActivities,
} from '../activities/index.ts';
import { MINUTE, SECOND, type Milliseconds } from '../src/domain/duration.ts';
import { taskQueue } from '../src/domain/ids.ts';

/** Length of one slice of copying or comparing before it reports back. */
export const SLICE: Milliseconds = 15 * MINUTE;

const common = { cancellationType: 'WAIT_CANCELLATION_COMPLETED' } as const;

type ControlQueue = ControlActivities & DrillActivities & FleetActivities;

/** Retried for ever with short pauses: a rollback must go through as soon as the database answers. */
export const control = (migration: string, summary: string): ControlQueue =>
  proxyActivities<ControlQueue>({
    ...common,
    taskQueue: taskQueue(migration, 'control'),
    startToCloseTimeout: MINUTE,
    heartbeatTimeout: 20 * SECOND,
    retry: { initialInterval: 200, backoffCoefficient: 2, maximumInterval: 5 * SECOND },
    summary,
  });

const slices = {
  ...common,
  heartbeatTimeout: 30 * SECOND,
  retry: { initialInterval: 500, backoffCoefficient: 2, maximumInterval: MINUTE },
} as const;

export const data = (migration: string, summary: string): DataActivities =>
  proxyActivities<DataActivities>({
    ...slices,
    taskQueue: taskQueue(migration, 'data'),
    startToCloseTimeout: SLICE + 5 * MINUTE,
    summary,
  });

export const reconcile = (
  migration: string,
  summary: string,
  longest: Milliseconds = SLICE,
): ReconcileActivities & FleetWaitActivities =>
  proxyActivities<ReconcileActivities & FleetWaitActivities>({
    ...slices,
    taskQueue: taskQueue(migration, 'reconcile'),
    startToCloseTimeout: longest + 5 * MINUTE,
    summary,
  });

/**
 * A wait for gates, which an approval ends: it is not waited for, since a cancel takes a heartbeat to arrive, up to
 * half a minute. It may still note once what it saw, in the phase in which it saw it.
 *
 * @param stays in its phase so long, as far as is known: whoever does gives signs of life seldom, as each is a write of
 *   Temporal's
 */
export const gates = (
  migration: string,
  summary: string,
  every: Milliseconds,
  stays: Milliseconds,
): Pick<ReconcileActivities, 'awaitGates'> =>
  proxyActivities<ReconcileActivities>({
    ...slices,
    cancellationType: 'TRY_CANCEL',
    heartbeatTimeout: Math.min(Math.max(30 * SECOND, stays / 10), 3 * MINUTE),
    taskQueue: taskQueue(migration, 'reconcile'),
    startToCloseTimeout: every + 5 * MINUTE,
    summary,
  });
