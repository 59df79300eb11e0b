/** The runs of a migration as Temporal lists them: the fleet's, the tenants', and those of their continuous reconcile. */
import { WorkflowNotFoundError, type Client, type WorkflowExecutionInfo } from '@temporalio/client';

import { fleetWorkflowId, reconcileWorkflowId, tenantWorkflowId } from '../domain/ids.ts';
import type { History } from './events.ts';

export interface Run {
  readonly workflowId: string;
  readonly runId: string;
  readonly type: string;
  readonly status: string;
  readonly startedAt: Date;
  readonly closedAt: Date | null;
  readonly events: number;
}

export interface WhichRun {
  readonly migration: string;
  /** Null: all of them, and the fleet. */
  readonly tenant: string | null;
  /** Only of this workflow. */
  readonly only?: string;
  /** Only those that ended after it. */
  readonly closedSince?: Date;
}

/** Visibility is a little late: the newest run of a tenant is asked for by itself. */
export async function listRuns(client: Client, which: WhichRun): Promise<Run[]> {
  const found = new Map<string, Run>();
  for await (const execution of client.workflow.list({ query: query(which) }))
    found.set(execution.runId, toRun(execution));
  for (const workflowId of which.closedSince === undefined ? idsOf(which) : []) {
    const newest = await describe(client, workflowId);
    if (newest !== null) found.set(newest.runId, newest);
  }
  return [...found.values()];
}

const idsOf = ({ migration, tenant, only }: WhichRun): string[] => {
  if (only !== undefined) return [only];
  return tenant === null
    ? [fleetWorkflowId(migration)]
    : [tenantWorkflowId(migration, tenant), reconcileWorkflowId(migration, tenant)];
};

function query(which: WhichRun): string {
  const { tenant, migration, closedSince, only } = which;
  // All begin as the fleet's does; another migration whose name has the same slug is told apart by its input.
  const prefix = fleetWorkflowId(migration).split('/').slice(0, 2).join('/');
  const ids = idsOf(which).map((id) => `WorkflowId = '${id}'`);
  const who =
    tenant === null && only === undefined ? `WorkflowId STARTS_WITH '${prefix}/'` : `(${ids.join(' OR ')})`;
  return closedSince === undefined
    ? who
    : `${who} AND ExecutionStatus != 'Running' AND CloseTime > '${closedSince.toISOString()}'`;
}

async function describe(client: Client, workflowId: string): Promise<Run | null> {
  try {
    return toRun(await client.workflow.getHandle(workflowId).describe());
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

/** @returns null when the server has deleted it */
export async function fetchHistory(
  client: Client,
  workflowId: string,
  runId: string,
): Promise<History | null> {
  try {
    return await client.workflow.getHandle(workflowId, runId).fetchHistory();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

const toRun = (execution: Omit<WorkflowExecutionInfo, 'raw'>): Run => ({
  workflowId: execution.workflowId,
  runId: execution.runId,
  type: execution.type,
  status: execution.status.name,
  startedAt: execution.startTime,
  closedAt: execution.closeTime ?? null,
  events: execution.historyLength,
});
