/** What a worker of a build says of its deployment, and sets on request. Never in the way of the work itself. */
import { setTimeout as sleep } from 'node:timers/promises';

import { SECOND } from '../domain/duration.ts';
import { deploymentName } from '../domain/ids.ts';
import type { Plan } from '../domain/plan.ts';
import { openTemporal } from '../connect.ts';
import { currentBuild, setCurrentBuild } from '../deployment.ts';
import type { Context } from './context.ts';

const TRY_AGAIN = 5 * SECOND;

/** Tries until Temporal answers or the worker stops. */
export async function reportBuild(
  context: Context,
  plan: Plan,
  buildId: string,
  makeCurrent: boolean,
): Promise<void> {
  const { signal } = context.stopping;
  while (!signal.aborted) {
    // Temporal is down: the mirror goes on, and so does this.
    const lines = await reported(plan, buildId, makeCurrent, signal).catch(() => null);
    for (const line of lines ?? []) context.terminal.note(line);
    if (lines !== null) return;
    await sleep(TRY_AGAIN, undefined, { signal }).catch(() => {});
  }
}

/** @returns null: no worker of the build has polled yet */
async function reported(
  plan: Plan,
  buildId: string,
  makeCurrent: boolean,
  stopping: AbortSignal,
): Promise<string[] | null> {
  const { namespace } = plan.temporal;
  const { client, close } = await openTemporal(plan);
  try {
    const isSet = !makeCurrent || (await setCurrentBuild(client, namespace, plan.name, buildId, stopping));
    return isSet ? says(plan, buildId, await currentBuild(client, namespace, plan.name)) : null;
  } finally {
    await close();
  }
}

export function says({ name, temporal }: Plan, buildId: string, current: string | null): string[] {
  const deployment = deploymentName(name);
  if (current === buildId)
    return [`Build ${buildId} is the current one of ${deployment}: every run goes on with it.`];
  const why =
    current === null ? `none of ${deployment} is current, so nothing runs` : `the current one is ${current}`;
  return [
    `Build ${buildId} gets no work yet: ${why}.`,
    `next: temporal worker deployment set-current-version --namespace ${temporal.namespace} --deployment-name ${deployment} --build-id ${buildId}`,
  ];
}
