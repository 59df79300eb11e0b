/**
 * Flips told over Redis, so that nodes follow in milliseconds. Never truth: whatever is lost, late or made up
 * here lives until the next poll of the stage table.
 */
import { Redis } from 'ioredis';

import { stageChannel, type StageHint } from './publish.ts';
import { SECOND } from '../domain/duration.ts';
import { isStage } from '../domain/stage.ts';

/** @returns null when the text is no hint: another version's, or somebody else's. */
export function parseHint(text: string): StageHint | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null; // not ours
  }
  if (typeof value !== 'object' || value === null) return null;
  const { tenant, stage, epoch, version } = value as Record<string, unknown>;
  if (typeof tenant !== 'string' || typeof stage !== 'string' || !isStage(stage)) return null;
  if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(version)) return null;
  return { tenant, stage, epoch: epoch as number, version: version as number };
}

export interface Subscription {
  /** Do hints arrive? */
  readonly isUp: boolean;
  close(): void;
}

export interface Listener {
  readonly hear: (hint: StageHint) => void;
  /** Subscribed, or subscribed again: messages may have been missed before. */
  readonly caughtUp: () => void;
}

/** Tries for ever, and never fails its caller. */
export function subscribe(url: string, control: string, { hear, caughtUp }: Listener): Subscription {
  const redis = new Redis(url, {
    maxRetriesPerRequest: null,
    connectTimeout: 2 * SECOND,
    retryStrategy: (attempt) => Math.min(100 * attempt, SECOND),
    autoResubscribe: false,
  });
  let isSubscribed = false;
  redis.on('error', () => {}); // down: the poll carries on
  redis.on('ready', () => {
    // A lost connection rejects this; the next `ready` subscribes again.
    const subscribed = (): void => {
      isSubscribed = true;
      caughtUp();
    };
    isSubscribed = false;
    void redis.subscribe(stageChannel(control)).then(subscribed, () => {});
  });
  redis.on('message', (_, text) => {
    const hint = parseHint(String(text));
    if (hint !== null) hear(hint);
  });
  return {
    get isUp() {
      return isSubscribed && redis.status === 'ready';
    },
    close: () => redis.disconnect(),
  };
}
