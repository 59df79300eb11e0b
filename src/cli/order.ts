/** Sends one order to a tenant's workflow: as an update, which answers; without a worker as a signal, which waits. */
import type { WorkflowHandle } from '@temporalio/client';

import { parseCommand, type Command, type CommandName } from '../domain/command.ts';
import type { Receipt } from '../../workflows/messages.ts';
import type { Context } from './context.ts';
import { TEMPORAL_WAIT } from './context.ts';
import { CliFailure } from './exit.ts';
import { oneLine } from './terminal.ts';

export interface Payload {
  readonly requestId: string;
  readonly actor: string;
  readonly reason: string;
  readonly expectPhase?: string;
  readonly gate?: string;
  readonly until?: string;
  readonly rowsPerSecond?: number;
  readonly of?: string;
}

export type Answer =
  | { readonly via: 'update'; readonly receipt: Receipt }
  /** It stands in the history, and is carried out when a worker comes. */
  | { readonly via: 'signal' };

export interface Order {
  readonly tenant: string;
  readonly name: CommandName;
  readonly payload: Payload;
}

/** @throws CliFailure when the words are wrong */
export function commandOf({ name, payload }: Order): Command {
  const parsed = parseCommand(name, payload);
  if (!parsed.ok) throw new CliFailure('usage', inFlags(parsed.why));
  return parsed.command;
}

/** @throws CliFailure when the words are wrong, there is no run, or the workflow refuses */
export async function sendOrder(context: Context, { tenant, name, payload }: Order): Promise<Answer> {
  commandOf({ tenant, name, payload });
  const [{ client }, errors] = await Promise.all([context.temporal(), import('@temporalio/client')]);
  const handle = client.workflow.getHandle(await context.workflowId(tenant));
  try {
    const receipt = await client.withDeadline(Date.now() + TEMPORAL_WAIT, () =>
      handle.executeUpdate<Receipt, [Payload]>(name, { args: [payload], updateId: payload.requestId }),
    );
    return { via: 'update', receipt };
  } catch (error) {
    if (error instanceof errors.WorkflowUpdateFailedError)
      throw new CliFailure(
        'refused',
        `${name} was refused: ${inFlags(oneLine(error.cause?.message ?? error.message))}`,
        {
          next: [context.line('why', tenant)],
        },
      );
    if (error instanceof errors.WorkflowNotFoundError) throw await noRun(context, tenant);
    if (!(error instanceof errors.WorkflowUpdateRPCTimeoutOrCancelledError)) throw error;
    await signal(context, handle, { tenant, name, payload });
    return { via: 'signal' };
  }
}

async function signal(
  context: Context,
  handle: WorkflowHandle,
  { tenant, name, payload }: Order,
): Promise<void> {
  const { WorkflowNotFoundError } = await import('@temporalio/client');
  try {
    await handle.signal(name, payload);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) throw await noRun(context, tenant);
    throw error;
  }
}

/** Never started, ended, or gone: the plan and the control record know which. */
export async function noRun(context: Context, tenant: string): Promise<CliFailure> {
  await context.tenant(tenant);
  const { readMigration } = await import('../db/migrations.ts');
  const pair = await context.pair();
  const record = await readMigration(pair.source, pair.control, tenant).catch(() => null);
  if (record === null || record.phase === 'aborted') {
    const what = record === null ? 'was not started yet' : 'was aborted';
    return new CliFailure('not-found', `${oneLine(tenant)} ${what}`, {
      next: [context.change('start', tenant)],
    });
  }
  const message = `${oneLine(tenant)} stands in ${record.phase}, but its run is gone; take it up, held`;
  return new CliFailure('not-found', message, { next: [context.change('start', tenant, '--adopt')] });
}

// prettier-ignore
const FLAGS: Readonly<Record<string, string>> = {
  gate: '--gate', until: '--until', rowsPerSecond: '--rows-per-second', of: '--of', requestId: '--request-id',
};

/** The contract speaks of JSON fields; whoever typed a command knows them as options. */
export const inFlags = (text: string): string =>
  text
    .replace(/, as in \{.*$/, '')
    .replaceAll(/"(gate|until|rowsPerSecond|of|requestId)"/g, (_, field: string) => FLAGS[field]!)
    .replaceAll(/\bexpectPhase\b(?:: "([\w-]+)")?/g, (_, given?: string) =>
      given === undefined ? '--expect-phase' : `--expect-phase ${given}`,
    );
