/**
 * A payload that can't be decoded becomes a value that no command accepts. The default converter would
 * throw before the signal's handler runs, and so wedge the run on every replay of that event.
 */
import { defaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common';

export interface Undecodable {
  readonly undecodable: true;
}

export const payloadConverter: PayloadConverter = {
  toPayload: (value) => defaultPayloadConverter.toPayload(value),
  fromPayload<T>(payload: Payload): T {
    try {
      return defaultPayloadConverter.fromPayload<T>(payload);
    } catch {
      const marker: Undecodable = { undecodable: true };
      return marker as T;
    }
  },
};
