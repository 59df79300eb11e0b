/**
 * One worker process of the kill -9 test: the product's backfill slice and mirror, again and again, until it
 * is killed or the copy is finished. Waits for a line on standard input, so that it can be warm when it is
 * needed, and says which windows it begins.
 */
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { copyTables, tablesOf } from '../../../src/db/backfill.ts';
import { isTransient } from '../../../src/db/faults.ts';
import { Mirror } from '../../../src/db/mirror.ts';
import { loadTracked, type Pair } from '../../../src/db/tracked.ts';
import { FaultyDatabase } from './faults.ts';

export interface CopierConfig {
  readonly sourceUrl: string;
  readonly targetUrl: string;
  readonly control: string;
  readonly schema: string;
  readonly tenant: string;
  readonly lanes: number;
  readonly windowRows: number;
}

/** A window begins when it holds the lock and starts to replace its range; a retry is said when it was one. */
export type CopierSaid =
  | { readonly ready: true }
  | { readonly begun: string }
  | { readonly retry: string }
  | { readonly error: string }
  | { readonly finished: true };

const say = (said: CopierSaid): void => void writeSync(1, `${JSON.stringify(said)}\n`);

async function main(config: CopierConfig): Promise<void> {
  const { control, schema, tenant, lanes, windowRows } = config;
  const options = { idleTimeout: 5_000, connections: lanes + 6 };
  const undisturbed = { withoutLock: false, at: () => {} };
  const watched = {
    withoutLock: false,
    at: (moment: 'before' | 'sent', _: string, sql: string): void => {
      const table = /^LOAD DATA [^]* INTO TABLE `[^`]+`\.`([^`]+)`/.exec(sql)?.[1];
      if (moment === 'before' && table !== undefined) say({ begun: table });
    },
  };
  const pair: Pair = {
    source: new FaultyDatabase({ side: 'source', url: config.sourceUrl, ...options }, undisturbed),
    target: new FaultyDatabase({ side: 'target', url: config.targetUrl, ...options }, watched),
    control,
    sourceSchema: schema,
    targetSchema: schema,
  };
  const tracked = await loadTracked(pair);
  const mirror = new Mirror(pair, tracked);
  await pair.target.rows('SELECT 1');
  say({ ready: true });
  const [line] = (await once(process.stdin.setEncoding('utf8'), 'data')) as [string];
  const round = Number(line);
  let finished = false;
  const keepMirroring = async (): Promise<void> => {
    while (!finished) {
      await mirror.mirrorTenant(tenant, 0).catch(transient);
      await sleep(20);
    }
  };
  const mirroring = keepMirroring();
  const limits = {
    windowTarget: 60_000,
    windowRows,
    windowBytes: 8_388_608,
    reconcileRows: 1_000,
    backfillParallel: lanes,
    threadsRunning: 10_000,
    rowsPerSecond: 0,
  };
  while (!finished) {
    try {
      const tables = await copyTables(pair, tracked, tablesOf(tracked, tenant), {
        tenant,
        round,
        limits,
        pace: () => Promise.resolve(0),
        progress: () => {},
        until: () => false,
      });
      finished = tables.every((table) => table.finished);
    } catch (error) {
      transient(error);
    }
  }
  await mirroring;
  say({ finished: true });
}

function transient(error: unknown): void {
  if (isTransient(error)) say({ retry: String(error) });
  else say({ error: error instanceof Error ? (error.stack ?? '') : String(error) });
}

await main(JSON.parse(process.argv[2]!) as CopierConfig);
