/** What a history event says, without the wire format: names, payloads as values, times as milliseconds. */
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';

export type History = ReturnType<typeof historyFromJSON>;
export type HistoryEvent = NonNullable<History['events']>[number];

export const parseHistory = (text: string): History => historyFromJSON(JSON.parse(text));

/** Anything that cannot be decoded is told as nothing: a history must be readable whatever somebody sent. */
export function valueOf(payloads: readonly Payload[] | null | undefined): unknown {
  const [first] = payloads ?? [];
  if (first === undefined) return null;
  try {
    return defaultPayloadConverter.fromPayload<unknown>(first);
  } catch {
    return null;
  }
}

type Timestamp = HistoryEvent['eventTime'];

export const millisOf = (time: Timestamp): number =>
  Number(time?.seconds ?? 0) * 1_000 + Math.floor((time?.nanos ?? 0) / 1_000_000);

export const startOf = ({ events }: History) => events?.[0]?.workflowExecutionStartedEventAttributes ?? null;

/** Did the workflow's code run? A run that was just begun has not been heard of by any worker. */
export const hasRun = ({ events }: History): boolean =>
  (events ?? []).some((event) => event.workflowTaskCompletedEventAttributes != null);

export interface Begun {
  /** Of the plan that the run was started with. */
  readonly migration: string | null;
  readonly tenant: string | null;
  /** The run that this one continues as new. */
  readonly continues: string | null;
}

export function begunAs(history: History): Begun {
  const started = startOf(history);
  const input = fields(valueOf(started?.input?.payloads));
  const plan = fields(input['plan']);
  return {
    migration: text(plan['name']),
    tenant: text(input['tenant']),
    continues: started?.continuedExecutionRunId || null,
  };
}

export const fields = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

export const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
