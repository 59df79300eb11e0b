/** A slow line to one side while a copy runs: it is that side which is said to be slow, however rows are loaded. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { copyTable } from '../../src/db/backfill.ts';
import { Database } from '../../src/db/database.ts';
import { loadMethod } from '../../src/db/load.ts';
import { Throttle, type Took } from '../../src/db/throttle.ts';
import type { Pair } from '../../src/db/tracked.ts';
import { limits } from '../support/limits.ts';
import { column, useFixture } from '../support/pair.ts';
import { Proxy } from '../support/proxy.ts';
import { ownMysql, stackInfo } from '../support/stack.ts';

const TABLE =
  'CREATE TABLE items (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, KEY (tenant_id))';
const LIMITS = limits({
  windowRows: 100,
  threadsRunning: 1_000,
  throttle: { historyList: 0, redoPercent: 0, replicaLag: 0 },
});

/** The target of this file alone: whether it takes LOAD DATA is set for the whole server. */
const own = ownMysql('slow-side');
const opened: Database[] = [];
afterAll(async () => void (await Promise.allSettled(opened.map((db) => db.close()))));

/** Keeps how long the last window took on each side. */
class Heard extends Throttle {
  readonly last = { source: 0, target: 0 };

  override took(took: Took): void {
    this.last[took.side] = took.ms;
    super.took(took);
  }
}

describe.each(['load-data', 'insert'] as const)('a copy by %s', (method) => {
  const fixture = useFixture([TABLE], () => ({
    sourceUrl: stackInfo().sourceUrl,
    targetUrl: own().rootUrl(),
  }));
  beforeAll(async () => {
    const { pair, sql, install, start } = fixture();
    await pair.target.run(`SET GLOBAL local_infile = ${method === 'insert' ? 'OFF' : 'ON'}`);
    await install({ items: column() });
    await start('ant');
    const rows = Array.from({ length: 3_000 }, (_, id) => `(${id}, 'ant', 0)`);
    await sql('source', `INSERT INTO items VALUES ${rows.join(', ')}`);
  });

  it.each(['source', 'target'] as const)('says that the %s is slow when it is', async (slow) => {
    const { pair, tracked } = fixture();
    const sides = { source: stackInfo().sourceUrl, target: own().rootUrl() };
    const { proxy, url } = await Proxy.before(sides[slow]);
    try {
      const db = new Database({ side: slow, url });
      opened.push(db);
      const through: Pair = { ...pair, [slow]: db };
      expect(await loadMethod(through.target, pair.control)).toBe(method);
      const throttle = new Heard(through);
      let said: string | null = null;
      let windows = 0;
      await copyTable(through, tracked, {
        tenant: 'ant',
        limits: LIMITS,
        round: slow === 'source' ? 1 : 2,
        tableId: tracked.byName('items').id,
        pace: () => Promise.resolve(0),
        throttle,
        progress: (_, why) => {
          said ??= why;
          windows += 1;
          if (windows === 10) proxy.set({ kind: 'slow', delayMs: 600 });
        },
        until: () => said !== null,
      });
      expect(said).toMatch(
        new RegExp(`^${slow} takes \\d+\\.\\d times as long as usual for the copy of items$`),
      );
      expect(throttle.last[slow]).toBeGreaterThan(1_200);
      expect(throttle.last[slow === 'source' ? 'target' : 'source']).toBeLessThan(550);
    } finally {
      await proxy.close();
    }
  });
});
