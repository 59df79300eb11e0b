/**
 * Rows as they arrive. mysql2's own stream emits row by row and forgets what its socket holds back; this one
 * hands out batches, pauses the socket while nobody asks, and says when the server has fallen silent. What a batch
 * is, its `Gather` decides: a copy needs bytes, not ten objects for each row.
 */
import type { Writable } from 'node:stream';

import type { PoolConnection } from 'mysql2/promise';

import type { Milliseconds } from '../domain/duration.ts';
import { TransientDatabaseError } from '../domain/errors.ts';
import type { RawRow, Settings } from './database.ts';
import { stripError } from './faults.ts';

const BATCH_BYTES = 64 * 1024;
/** Batches that may wait for their consumer before the socket is paused. */
const WAITING_MAX = 2;

/** A row as it came: values with their lengths before them, from `offset` to `end`. It holds only while it is looked at. */
export interface RowPacket {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly end: number;
  isEOF(): boolean;
  /** Moves on to the next value. */
  readLengthCodedBuffer(): Buffer | null;
}

/** Makes batches of rows. */
export interface Gather<Batch> {
  /** @param full takes a batch that is as large as it should get */
  row(packet: RowPacket, full: (batch: Batch) => void): void;
  /** Rows that have not been handed out yet; null: none. */
  rest(): Batch | null;
}

/** A state of mysql2's command: takes a packet and gives the next state. */
type CommandState = (this: CoreQuery, packet: RowPacket, connection: unknown) => unknown;

interface CoreQuery {
  row: CommandState;
  on(event: 'error', listener: (error: unknown) => void): void;
  on(event: 'end', listener: () => void): void;
}

/** What mysql2's promise wrapper hides. */
interface CoreConnection {
  readonly stream: Writable;
  pause(): void;
  resume(): void;
  query(options: object): CoreQuery;
}

const core = (connection: PoolConnection): CoreConnection =>
  connection.connection as unknown as CoreConnection;

export const socketOf = (connection: PoolConnection): Writable => core(connection).stream;

/** Values of each row, in column order. */
export class Rows implements Gather<readonly RawRow[]> {
  #batch: RawRow[] = [];
  #bytes = 0;

  row(packet: RowPacket, full: (batch: readonly RawRow[]) => void): void {
    this.#bytes += packet.end - packet.offset;
    this.#batch.push(valuesOf(packet));
    if (this.#bytes < BATCH_BYTES) return;
    full(this.#batch);
    this.#batch = [];
    this.#bytes = 0;
  }

  rest(): readonly RawRow[] | null {
    return this.#batch.length === 0 ? null : this.#batch;
  }
}

export function valuesOf(packet: RowPacket): RawRow {
  const values: (Buffer | null)[] = [];
  while (packet.offset < packet.end) values.push(packet.readLengthCodedBuffer());
  return values;
}

interface Reader extends Pick<Settings, 'side' | 'deadline'> {
  /** Called when nobody will read the rest. */
  readonly giveUp: () => void;
  /** Called after each wait for the server. */
  readonly waited: (ms: Milliseconds) => void;
}

/**
 * Answers in the packet of the rows: those of so many statements before theirs, and of what comes behind. One that
 * gives no rows at all, such as BEGIN, is not counted.
 */
export interface Beside {
  readonly before: number;
  /** So many statements give rows. */
  readonly streams: number;
  /** By the place of the statement; kept, so they must be few. */
  readonly rows: Map<number, RawRow[]>;
}

/** @throws TransientDatabaseError when the server says nothing within the deadline */
export async function* streamRows<Batch>(
  connection: PoolConnection,
  sql: string,
  { side, deadline, giveUp, waited }: Reader,
  gather: Gather<Batch>,
  beside: Beside = { before: 0, streams: 1, rows: new Map() },
): AsyncGenerator<Batch> {
  const wire = core(connection);
  const waiting: Batch[] = [];
  let ended = false;
  let failure: unknown = null;
  let wake = (): void => {};
  const query = wire.query({ sql });
  const full = (batch: Batch): void => {
    waiting.push(batch);
    if (waiting.length >= WAITING_MAX) wire.pause();
    wake();
  };
  const lastPacket = query.row;
  let place = 0;
  query.row = function row(packet, owner) {
    if (packet.isEOF()) {
      place += 1;
      return lastPacket.call(this, packet, owner);
    }
    try {
      if (isStream(beside, place)) gather.row(packet, full);
      else beside.rows.set(place, [...(beside.rows.get(place) ?? []), valuesOf(packet)]);
    } catch (error) {
      failure ??= error; // thrown here it would end the process
      wake();
    }
    return row;
  };
  query.on('error', (error) => {
    failure = error;
    wake();
  });
  // Comes after an error, too.
  query.on('end', () => {
    const rest = gather.rest();
    if (rest !== null) waiting.push(rest);
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
        const asked = performance.now();
        const arrived = arrival(deadline, side, (resolve) => (wake = resolve));
        // Packets that were held back are handed over at once: whoever waits must be known by then.
        wire.resume();
        await arrived;
        waited(performance.now() - asked);
      }
    }
  } finally {
    // The rest would arrive as the answer to the next statement; a paused socket would never answer again.
    if (ended) wire.resume();
    else giveUp();
  }
}

const isStream = ({ before, streams }: Beside, place: number): boolean =>
  place >= before && place < before + streams;

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

/** Bytes of the values of rows. */
export const weightOf = (rows: readonly RawRow[]): number => rows.reduce((sum, row) => sum + sizeOf(row), 0);

/** Bytes of a row's values. Asked of every row of a copy, so it is a loop. */
export function sizeOf(row: RawRow): number {
  let sum = 2 * row.length;
  for (const value of row) if (value !== null) sum += value.length;
  return sum;
}
