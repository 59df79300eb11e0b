/** The one place that turns our errors into Temporal failures: by name, never with a statement or a value. */
import { ApplicationFailure, CancelledFailure } from '@temporalio/activity';

/** Nobody retries these by themselves: the line stops, and an operator decides. */
const STOPS = new Set([
  'ConfigError',
  'SchemaMismatchError',
  'LostCaptureError',
  'LostClaimError',
  'StaleEpochError',
  'DatabaseError',
]);

export function toFailure(error: unknown): Error {
  if (error instanceof CancelledFailure || error instanceof ApplicationFailure) return error;
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return ApplicationFailure.create({ message, type: name, nonRetryable: STOPS.has(name) });
}

type Activity = (...args: never[]) => Promise<unknown>;

/** Wraps every activity of a group, so that no error leaves it as the driver made it. */
export function guarded<Group extends { readonly [Name in keyof Group]: Activity }>(group: Group): Group {
  const wrapped = Object.entries(group as Record<string, Activity>).map(([name, activity]) => [
    name,
    async (...args: never[]) => {
      try {
        return await activity(...args);
      } catch (error) {
        throw toFailure(error);
      }
    },
  ]);
  return Object.fromEntries(wrapped) as Group;
}
