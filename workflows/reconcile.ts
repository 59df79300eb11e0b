/** Pass after pass over one tenant, in every mode, until it is cancelled; continued as new each `reconcileRun`. */
import {
  CancellationScope,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  setCurrentDetails,
  sleep,
} from '@temporalio/workflow';

import { saysDrift } from '../src/domain/drift.ts';
import { formatDuration } from '../src/domain/duration.ts';
import { report, type ReconcileInput } from './messages.ts';
import { reconcile, SLICE } from './proxies.ts';

export async function continuousReconcile(input: ReconcileInput): Promise<void> {
  const { tenant, plan, tenantWorkflowId } = input;
  const ends = Date.now() + plan.durations.reconcileRun;
  let passes = 0;
  while (Date.now() < ends) {
    const pass = await reconcile(plan.name, `compare every window of ${tenant}`).reconcileSlice({
      tenant,
      limits: plan.limits,
      missingAgain: plan.durations.missingAgain,
      slice: SLICE,
    });
    if (pass.finished) passes += 1;
    setCurrentDetails(
      `${passes} passes in this run; the last one ${pass.clean ? 'was clean' : pass.finished ? `drifted in ${pass.drifted} rows` : 'is under way'}, ${pass.windows} windows, ${pass.rows} rows.`,
    );
    if (pass.fresh > 0) await tell(tenantWorkflowId, saysDrift(pass.fresh));
    if (pass.finished)
      await sleep(plan.durations.reconcileEvery, {
        summary: `next pass in ${formatDuration(plan.durations.reconcileEvery)}`,
      });
  }
  await continueAsNew<typeof continuousReconcile>(input);
}

/** Reads are back on the source already; a tenant whose run is gone learns of the drift when it is adopted. */
async function tell(tenantWorkflowId: string, message: string): Promise<void> {
  try {
    await CancellationScope.nonCancellable(() =>
      getExternalWorkflowHandle(tenantWorkflowId).signal(report, { kind: 'drift', message }),
    );
  } catch (error) {
    if (isCancellation(error)) throw error;
    log.warn('the tenant has no open run; the drift stands in the ledger', { tenantWorkflowId });
  }
}
