/**
 * Rows as they arrive. mysql2's own stream emits row by row and forgets what its socket holds back; this one
 * hands out batches, pauses the socket while nobody asks, and says when the server has fallen silent.
 */
import type { Writable } from 'node:stream';

import type { PoolConnection } from 'mysql2/promise';

import { TransientDatabaseError } from '../domain/errors.ts';
import type { RawRow, Settings } from './database.ts';
import { stripError } from './faults.ts';

const BATCH_BYTES = 64 * 1024;
/** Batches that may wait for their consumer before the socket is paused. */
const WAITING_MAX = 2;

/** What mysql2's promise wrapper hides. */
interface CoreConnection {
  readonly stream: Writable;
  pause(): void;
  resume(): void;
  query(options: object): {
    on(event: 'result', listener: (row: RawRow) => void): void;
    on(event: 'error', listener: (error: unknown) => void): void;
    on(event: 'end', listener: () => void): void;
  };
}

const core = (connection: PoolConnection): CoreConnection =>
  connection.connection as unknown as CoreConnection;

export const socketOf = (connection: PoolConnection): Writable => core(connection).stream;

/** @throws TransientDatabaseError when the server says nothing within the deadline */
export async function* streamRows(
  connection: PoolConnection,
  sql: string,
  { side, deadline }: Settings,
  giveUp: () => void,
): AsyncGenerator<readonly RawRow[]> {
  const wire = core(connection);
  const waiting: RawRow[][] = [];
  let batch: RawRow[] = [];
  let bytes = 0;
  let ended = false;
  let failure: unknown = null;
  let wake = (): void => {};
  const query = wire.query({
    sql,
    rowsAsArray: true,
    typeCast: (field: { buffer(): Buffer | null }) => field.buffer(),
  });
  query.on('result', (row) => {
    batch.push(row);
    bytes += sizeOf(row);
    if (bytes < BATCH_BYTES) return;
    waiting.push(batch);
    [batch, bytes] = [[], 0];
    if (waiting.length >= WAITING_MAX) wire.pause();
    wake();
  });
  query.on('error', (error) => {
    failure = error;
    wake();
  });
  // Comes after an error, too.
  query.on('end', () => {
    if (batch.length > 0) waiting.push(batch);
    ended = true;
    wake();
  });
  try {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else if (failure !== null) throw stripError(side, failure);
      else if (ended) return;
      else {
        const arrived = arrival(deadline, side, (resolve) => (wake = resolve));
        // Packets that were held back are handed over at once: whoever waits must be known by then.
        wire.resume();
        await arrived;
      }
    }
  } finally {
    // The rest would arrive as the answer to the next statement; a paused socket would never answer again.
    if (ended) wire.resume();
    else giveUp();
  }
}

async function arrival(
  deadline: number,
  side: string,
  register: (resolve: () => void) => void,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      register(resolve);
      timer = setTimeout(
        () => reject(new TransientDatabaseError(`${side}: no answer within ${deadline} ms`)),
        deadline,
      );
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Bytes of a row's values. */
export const sizeOf = (row: RawRow): number => row.reduce((sum, value) => sum + (value?.length ?? 0) + 2, 0);
