/** The continuous reconcile runs beside its tenant, in runs of its own, so that its passes don't fill the tenant's history. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { getExternalWorkflowHandle, isCancellation, startChild, workflowInfo } from '@temporalio/workflow';

import { reconcileWorkflowId, taskQueue } from '../src/domain/ids.ts';
import type { ReconcileInput } from './messages.ts';
import type { continuousReconcile } from './reconcile.ts';
import type { TenantRun } from './run.ts';

/** Idempotent: one that outlived an earlier run of the tenant goes on, and reports by workflow id. */
export async function startReconcile({ state }: TenantRun): Promise<void> {
  const input: ReconcileInput = {
    tenant: state.tenant,
    tenantWorkflowId: workflowInfo().workflowId,
    plan: state.plan,
  };
  try {
    await startChild<typeof continuousReconcile>('continuousReconcile', {
      workflowId: reconcileWorkflowId(state.plan.name, state.tenant),
      taskQueue: taskQueue(state.plan.name, 'control'),
      args: [input],
      parentClosePolicy: 'ABANDON',
      cancellationType: 'ABANDON',
      staticSummary: `reconcile ${state.tenant} continuously`,
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

export async function stopReconcile({ state }: TenantRun): Promise<void> {
  try {
    await getExternalWorkflowHandle(reconcileWorkflowId(state.plan.name, state.tenant)).cancel();
  } catch (error) {
    if (isCancellation(error)) throw error;
    // It is not running: nothing to stop.
  }
}
