/** The verbs that an operator gives to a running migration; `rollback` has more to say, and a file of its own. */
import { randomUUID } from 'node:crypto';

import type { CommandName } from '../domain/command.ts';
import type { Handler } from './commands.ts';
import type { Context } from './context.ts';
import type { Input } from './input.ts';
import { dryRunOf } from './dry-run.ts';
import { CliFailure } from './exit.ts';
import { sendOrder, type Answer, type Order, type Payload } from './order.ts';
import { oneLine, type Outcome } from './terminal.ts';

/** What to type after a verb was taken. */
const NEXT: Readonly<Record<CommandName, (context: Context, tenant: string) => readonly string[]>> = {
  pause: (context, tenant) => [context.change('resume', tenant)],
  resume: (context, tenant) => [context.line('status', tenant, '--watch')],
  advance: (context, tenant) => [context.line('status', tenant, '--watch')],
  drill: (context, tenant) => [context.line('status', tenant, '--watch')],
  rollback: (context, tenant) => [context.line('why', tenant), context.change('resume', tenant)],
  retry: (context, tenant) => [context.line('why', tenant)],
  waive: (context, tenant) => [context.line('why', tenant)],
  setPace: (context, tenant) => [context.line('status', tenant, '--watch')],
  abort: (context, tenant) => [context.line('status', tenant)],
};

export const verb =
  (name: CommandName): Handler =>
  async (context, input) => {
    const order = await orderOf(context, name, input);
    const answer = await sendOrder(context, order);
    return describe(context, { ...order, requestId: order.payload.requestId, answer });
  };

export const verbPreview = (name: CommandName): Handler =>
  dryRunOf(async (context, input) => {
    const { previewOrder } = await import('./order-preview.ts');
    return previewOrder(context, await orderOf(context, name, input));
  });

async function orderOf(context: Context, name: CommandName, input: Input): Promise<Order> {
  const { tenant } = input;
  // Only the workflow can judge the rest; this would be refused in any phase.
  if (name === 'abort' && input.text('expectPhase') === null) {
    const message = 'abort needs --expect-phase, the phase that you saw';
    throw new CliFailure('usage', message, { next: [context.line('status', tenant)] });
  }
  return { tenant, name, payload: await payloadOf(context, input) };
}

export async function payloadOf(context: Context, input: Input): Promise<Payload> {
  const requestId = input.text('requestId') ?? randomUUID();
  const expectPhase = input.text('expectPhase');
  const gate = input.text('gate');
  const until = input.text('until');
  const rowsPerSecond = input.count('rowsPerSecond');
  const of = input.text('of');
  return {
    requestId,
    ...(await context.who()),
    ...(expectPhase === null ? {} : { expectPhase }),
    ...(gate === null ? {} : { gate }),
    ...(until === null ? {} : { until }),
    ...(rowsPerSecond === null ? {} : { rowsPerSecond }),
    ...(of === null ? {} : { of }),
  };
}

export interface Done {
  readonly tenant: string;
  readonly name: CommandName;
  readonly requestId: string;
  readonly answer: Answer;
}

export function describe(context: Context, { tenant, name, requestId, answer }: Done): Outcome {
  const base = { tenant, command: name, requestId, via: answer.via };
  if (answer.via === 'signal') {
    return {
      data: { ...base, accepted: null, message: 'no worker answered; the signal waits for one' },
      lines: [
        `${oneLine(tenant)}: no worker answered within 3 s, so ${name} was sent as a signal with the same request id (${requestId}).`,
        'It is carried out, or refused, when a worker runs.',
      ],
      next: [context.line('worker'), context.line('why', tenant)],
    };
  }
  const { phase, mode, message } = answer.receipt;
  return {
    data: { ...base, ...answer.receipt },
    lines: [`${oneLine(tenant)}: ${message} (${phase}, ${mode} when it was accepted).`],
    next: NEXT[name](context, tenant),
  };
}
