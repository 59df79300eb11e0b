/** Orders to the fleet: an update, answered at once; without a worker a signal with the same request id. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { parseFleetCommand, type FleetCommand, type FleetCommandName } from '../domain/fleet-command.ts';
import { readRoster, type Enrolled } from '../db/fleet.ts';
import { SECOND } from '../domain/duration.ts';
import { fleetWorkflowId } from '../domain/ids.ts';
import { waveOf } from '../domain/plan.ts';
import type { FleetReceipt, FleetStatus } from '../../workflows/messages.ts';
import type { Handler } from './commands.ts';
import { TEMPORAL_WAIT, type Context } from './context.ts';
import { CliFailure } from './exit.ts';
import type { Input } from './input.ts';
import { oneLine } from './terminal.ts';

export interface FleetPayload {
  readonly requestId: string;
  readonly actor: string;
  readonly reason: string;
  readonly tenant?: string;
  readonly wave?: string;
}

export function commandOf(name: FleetCommandName, payload: FleetPayload): FleetCommand {
  const parsed = parseFleetCommand(name, payload);
  if (!parsed.ok) throw new CliFailure('usage', parsed.why);
  return parsed.command;
}

export const noFleet = (context: Context): CliFailure =>
  new CliFailure('not-found', 'no fleet of this plan is running', {
    next: [context.change('fleet', 'start')],
  });

export const order =
  (name: FleetCommandName): Handler =>
  async (context, input) => {
    const payload = await payloadOf(context, name, input);
    const command = commandOf(name, payload);
    const stood = await stands(context, command).catch(() => null); // without a source nothing is waited for
    const receipt = await send(context, name, payload);
    const next = [context.line('fleet', 'status')];
    if (receipt === null) {
      return {
        data: { command: name, requestId: payload.requestId, via: 'signal', accepted: null },
        lines: [
          `No worker answered within 3 s, so ${name} was sent as a signal with the same request id (${payload.requestId}).`,
          'It is carried out, or refused, when a worker runs.',
        ],
        next: [context.line('worker'), ...next],
      };
    }
    if (stood !== null) await requireCarriedOut(context, command, stood);
    return {
      data: { command: name, requestId: payload.requestId, via: 'update', ...receipt },
      lines: [`${receipt.message} (${receipt.mode} when it was accepted).`],
      next,
    };
  };

const CARRIED_OUT_WITHIN = 5 * SECOND;
const LOOK_EVERY = SECOND / 5;

/**
 * The workflow accepts an order about a tenant before it looks at the roster, and refuses then what does not fit. That is
 * waited for; what takes longer is told by `fleet status`.
 */
async function requireCarriedOut(context: Context, command: FleetCommand, stood: boolean): Promise<void> {
  const { name, tenant, actor } = command;
  if (tenant === null) return;
  const [plan, { client }] = await Promise.all([context.plan(), context.temporal()]);
  const handle = client.workflow.getHandle(fleetWorkflowId(plan.name));
  const began = Date.now();
  while (Date.now() < began + CARRIED_OUT_WITHIN) {
    const { refusals } = await handle.query<FleetStatus>('status');
    // Newest first, each behind its time.
    const found = refusals.map((text) => /^(\S+) (.*)$/s.exec(text)!);
    const refusal = found.find(
      ([, at, said]) =>
        Date.parse(at!) > began - SECOND && said!.startsWith(`${name} by ${actor}: ${tenant} `),
    );
    if (refusal !== undefined)
      throw new CliFailure('refused', `${name} was refused: ${oneLine(refusal[2]!.replace(/^.*?: /s, ''))}`, {
        next: [context.line('fleet', 'status')],
      });
    if (!stood && (await stands(context, command))) return;
    await sleep(LOOK_EVERY);
  }
}

/** Does the roster show what the order asks for? */
async function stands(context: Context, { name, tenant }: FleetCommand): Promise<boolean> {
  if (tenant === null) return true;
  const { source, control } = await context.pair();
  const roster = await readRoster(source, control);
  return DONE[name](roster.find((one) => one.tenant === tenant) ?? null);
}

const DONE: Readonly<Record<FleetCommandName, (enrolled: Enrolled | null) => boolean>> = {
  pause: () => true,
  resume: () => true,
  advance: () => true,
  add: (enrolled) => enrolled !== null,
  remove: (enrolled) => enrolled === null,
  hold: (enrolled) => enrolled !== null && enrolled.held !== null,
  release: (enrolled) => enrolled !== null && enrolled.held === null,
};

export async function payloadOf(
  context: Context,
  name: FleetCommandName,
  input: Input,
): Promise<FleetPayload> {
  const requestId = input.text('requestId') ?? randomUUID();
  const tenant = input.word(0);
  if (tenant === null) return { requestId, ...(await context.who()) };
  if (name !== 'add') return { requestId, ...(await context.who()), tenant };
  const wave = waveOf(await context.plan(), await context.tenant(tenant));
  if (wave === null)
    throw new CliFailure(
      'usage',
      `${oneLine(tenant)} stands in no wave of the plan; put it into one, then plan apply`,
    );
  return { requestId, ...(await context.who()), tenant, wave: wave.name };
}

/** @returns null when no worker answered, and the order waits as a signal */
export async function send(
  context: Context,
  name: FleetCommandName,
  payload: FleetPayload,
): Promise<FleetReceipt | null> {
  const [plan, { client }, errors] = await Promise.all([
    context.plan(),
    context.temporal(),
    import('@temporalio/client'),
  ]);
  const handle = client.workflow.getHandle(fleetWorkflowId(plan.name));
  try {
    return await client.withDeadline(Date.now() + TEMPORAL_WAIT, () =>
      handle.executeUpdate<FleetReceipt, [FleetPayload]>(name, {
        args: [payload],
        updateId: payload.requestId,
      }),
    );
  } catch (error) {
    if (error instanceof errors.WorkflowUpdateFailedError)
      throw new CliFailure(
        'refused',
        `${name} was refused: ${oneLine(error.cause?.message ?? error.message)}`,
        {
          next: [context.line('fleet', 'status')],
        },
      );
    if (error instanceof errors.WorkflowNotFoundError) throw noFleet(context);
    if (!(error instanceof errors.WorkflowUpdateRPCTimeoutOrCancelledError)) throw error;
    await handle.signal(name, payload);
    return null;
  }
}
