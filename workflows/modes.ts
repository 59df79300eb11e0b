/** Mode changes of a run, and what becomes of a fault that only an operator can mend. */
import { ActivityFailure, ApplicationFailure } from '@temporalio/common';
import { CancellationScope } from '@temporalio/workflow';

import type { Command } from '../src/domain/command.ts';
import { control } from './proxies.ts';
import type { TenantRun } from './run.ts';

export async function saveMode(
  run: TenantRun,
  mode: 'running' | 'waiting' | 'paused' | 'stopped',
  reason: string | null,
  event: string,
  command?: Command,
): Promise<{ captureLost: string | null }> {
  const { state } = run;
  let captureLost: string | null = null;
  // Before the record says it: whoever reads the record and answers must not be refused.
  Object.assign(state, { mode, reason });
  await orStop(run, async () => {
    const saved = await control(state.plan.name, `${event}: ${mode}`).saveMode({
      tenant: state.tenant,
      mode,
      reason,
      approved: state.approved,
      waivers: state.waivers,
      rowsPerSecond: command?.rowsPerSecond ?? null,
      ...(command?.paceOf === undefined ? {} : { paceOf: command.paceOf }),
      actor: command?.actor ?? 'switchback',
      event,
      why: command?.reason ?? reason ?? event,
      requestId: command?.requestId ?? null,
    });
    // A history from before this answer existed holds none.
    captureLost = (saved as { captureLost: string | null } | null)?.captureLost ?? null;
    run.show();
  });
  return { captureLost };
}

/** A control activity is retried for ever on transient faults; what comes back is for an operator. */
export async function orStop(run: TenantRun, act: () => Promise<void>): Promise<void> {
  try {
    await CancellationScope.nonCancellable(act);
  } catch (error) {
    if (!(error instanceof ActivityFailure)) throw error;
    const { type, message } = causeOf(error);
    run.state.lost = type === 'LostClaimError';
    run.state.mode = 'stopped';
    run.state.reason = message;
    run.hints = run.state.lost ? [`\`switchback start ${run.state.tenant} --adopt\``] : [];
    run.show();
  }
}

export async function stopFor(run: TenantRun, error: unknown): Promise<void> {
  if (!(error instanceof ActivityFailure)) throw error;
  const { type, message } = causeOf(error);
  if (type === 'LostClaimError') run.state.lost = true;
  await saveMode(
    run,
    'stopped',
    type === 'LostCaptureError' ? `capture was lost: ${message}` : message,
    'stop',
  );
}

function causeOf(error: ActivityFailure): { type: string; message: string } {
  const { cause } = error;
  return cause instanceof ApplicationFailure
    ? { type: cause.type ?? 'Error', message: cause.message }
    : { type: 'Error', message: cause?.message ?? error.message };
}
