/**
 * One process of the history test: concurrent clients that write and read counters through one router, and
 * check what they see. Each counter has one writer, so its values say what came before what.
 *
 * Prints one line of JSON: violations, and how much was done on which side.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { Redis } from 'ioredis';
import type { RowDataPacket } from 'mysql2/promise';

import { createRouter, type RouterOptions } from '../../src/app/index.ts';

export interface ClientOptions {
  readonly router: RouterOptions;
  readonly tenant: string;
  readonly redisUrl: string;
  readonly board: string;
  /** Ids of the rows that this process writes, and of all. */
  readonly own: readonly number[];
  readonly all: readonly number[];
  readonly seconds: number;
}

interface Note {
  readonly id: number;
  readonly value: number;
  readonly token: string;
}

const options = JSON.parse(process.argv[2]!) as ClientOptions;
const { tenant, own, all, board } = options;
const redis = new Redis(options.redisUrl);
const router = await createRouter(options.router);
const endsAt = Date.now() + options.seconds * 1_000;
const violations: string[] = [];
/** Of each counter, the highest value that this process wrote or saw. */
const floor = new Map<number, number>();
const counts = { reads: 0, writes: 0, tokens: 0 };

const raise = (id: number, value: number): void => {
  floor.set(id, Math.max(floor.get(id) ?? 0, value));
};
const pick = (ids: readonly number[]): number => ids[Math.floor(Math.random() * ids.length)]!;

async function write(id: number, value: number): Promise<void> {
  const { token } = await router
    .tenant(tenant)
    .write((conn) => conn.query('UPDATE messages SET price = ? WHERE id = ?', [value, id]));
  raise(id, value);
  counts.writes += 1;
  await tell({ id, value, token });
}

/** @param note what this read must show at least, of another process */
async function read(note: Note | null): Promise<void> {
  const id = note?.id ?? pick(all);
  const least = Math.max(floor.get(id) ?? 0, note?.value ?? 0);
  const value = await router.tenant(tenant).read(
    'counter',
    async (conn) => {
      const [rows] = await conn.query<RowDataPacket[]>('SELECT price FROM messages WHERE id = ?', [id]);
      return Number(rows[0]?.['price'] ?? -1);
    },
    note === null ? {} : { after: note.token },
  );
  if (value < least)
    violations.push(
      `${note === null ? 'process' : 'token'}: counter ${id} was ${least}, read ${value} in ${router.stage(tenant)}`,
    );
  raise(id, value);
  counts.reads += 1;
  if (note === null && Math.random() < 0.3) await tell({ id, value, token: router.tenant(tenant).token() });
}

const tell = (note: Note): Promise<unknown> => redis.set(board, JSON.stringify(note));

async function heed(): Promise<void> {
  const text = await redis.get(board);
  if (text === null) return;
  counts.tokens += 1;
  await read(JSON.parse(text) as Note);
}

const writer = async (id: number): Promise<void> => {
  for (let value = 1; Date.now() < endsAt; value += 1) {
    await write(id, value);
    await read(null);
    // Room for reads on the target: a tenant that is written all the time lags all the time.
    await sleep(Math.random() * 400);
  }
};
const reader = async (): Promise<void> => {
  while (Date.now() < endsAt) {
    await (Math.random() < 0.5 ? heed() : read(null));
    await sleep(10);
  }
};
await Promise.all([...own.map(writer), reader(), reader()]);
const { reads, fallbacks } = router.stats();
await router.close();
redis.disconnect();
console.log(JSON.stringify({ violations: violations.slice(0, 10), counts, reads, fallbacks }));
