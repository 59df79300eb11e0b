/** Which build of the workers gets the work: Temporal's Worker Deployment of a migration. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Client } from '@temporalio/client';

import { SECOND } from './domain/duration.ts';
import { deploymentName } from './domain/ids.ts';

/** gRPC: NOT_FOUND, FAILED_PRECONDITION; the server learns of a build from its first poll. */
const NOT_YET = new Set([5, 9]);
const KNOWN_WITHIN = 60 * SECOND;

/** @returns the build that all runs go to; null: none was set, and workers with a build get nothing */
export async function currentBuild(
  client: Client,
  namespace: string,
  migration: string,
): Promise<string | null> {
  const found = await unlessNotYet(
    client.workflowService.describeWorkerDeployment({ namespace, deploymentName: deploymentName(migration) }),
  );
  return found?.workerDeploymentInfo?.routingConfig?.currentDeploymentVersion?.buildId || null;
}

/** @returns whether it is set; false: no worker of that build polled in time */
export async function setCurrentBuild(
  client: Client,
  namespace: string,
  migration: string,
  buildId: string,
  stopping: AbortSignal = new AbortController().signal,
): Promise<boolean> {
  const ends = Date.now() + KNOWN_WITHIN;
  while (Date.now() < ends && !stopping.aborted) {
    const answer = await unlessNotYet(
      client.workflowService.setWorkerDeploymentCurrentVersion({
        namespace,
        deploymentName: deploymentName(migration),
        buildId,
        identity: 'switchback worker --set-current',
      }),
    );
    if (answer !== null) return true;
    await sleep(SECOND / 2, undefined, { signal: stopping }).catch(() => {});
  }
  return false;
}

async function unlessNotYet<T>(asking: Promise<T>): Promise<T | null> {
  try {
    return await asking;
  } catch (error) {
    if (NOT_YET.has((error as { code?: number }).code ?? -1)) return null;
    throw error;
  }
}
