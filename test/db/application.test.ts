/** The mode in which the application writes both sides: what settles, what is held, and what breaks without it. */
import { setTimeout as sleep } from 'node:timers/promises';

import { beforeEach, describe, expect, it } from 'vitest';

import { copyTable } from '../../src/db/backfill.ts';
import { lostCapture } from '../../src/db/capture-loss.ts';
import { installMode } from '../../src/db/capture-install.ts';
import { modeOf } from '../../src/db/capture-mode.ts';
import { holdStill, lockKeys } from '../../src/db/held.ts';
import { lockTenants } from '../../src/db/lock.ts';
import type { Session } from '../../src/db/database.ts';
import { readDrift } from '../../src/db/ledger.ts';
import { reconcileSlice, type SliceResult } from '../../src/db/reconcile.ts';
import { limits } from '../support/limits.ts';
import { child, column, dump, useFixture } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';
import { encodeKey } from '../../src/domain/key.ts';
import { FaultyDatabase, type Interference } from './protocol/faults.ts';

const LIMITS = limits({ windowRows: 10 });
const SETTLE = 400;
const ROWS = 30;

const fixture = useFixture([
  `CREATE TABLE notes (id INT PRIMARY KEY, item_id INT NOT NULL, KEY (item_id))`,
  `CREATE TABLE items (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, email VARCHAR(40) NOT NULL UNIQUE, n INT NOT NULL, KEY (tenant_id))`,
]);

const NOTHING: Interference = { withoutLock: false, at: () => {} };
const PLAIN_READ = (sql: string): string => sql.replace(' LOCK IN SHARE MODE', '');

const source = (interference: Partial<Interference>) =>
  new FaultyDatabase({ side: 'source', url: stackInfo().sourceUrl }, { ...NOTHING, ...interference });
const target = (interference: Partial<Interference>) =>
  new FaultyDatabase({ side: 'target', url: stackInfo().targetUrl }, { ...NOTHING, ...interference });

/** Even ids, so that there are gaps. */
const seed = async (sides: readonly ('source' | 'target')[]): Promise<void> => {
  const values = Array.from({ length: ROWS }, (_, n) => `(${2 * n}, 'ant', 'e${2 * n}', 0)`).join(', ');
  for (const side of ['source', 'target'] as const) await fixture().sql(side, 'DELETE FROM items');
  for (const side of sides) await fixture().sql(side, `INSERT INTO items VALUES ${values}`);
};

/** What the application does: the source first, then the target, whose error is no error. */
const both = async (statement: string): Promise<void> => {
  await fixture().sql('source', statement);
  await fixture()
    .sql('target', statement)
    .catch(() => {});
};

/** @param waiting called while a verdict waits */
const pass = (settle = SETTLE, waiting = () => {}): Promise<SliceResult> =>
  reconcileSlice(fixture().pair, fixture().tracked, {
    tenant: 'ant',
    limits: { ...LIMITS, windowRows: 1_000 },
    missingAgain: 60_000,
    settle,
    progress: (_, why) => {
      if (why !== null) waiting();
    },
    until: () => false,
  });

const sidesAreEqual = async (): Promise<boolean> =>
  JSON.stringify(await dump(fixture(), 'source', 'items')) ===
  JSON.stringify(await dump(fixture(), 'target', 'items'));

let round = 0;

beforeEach(async () => {
  const { install, start, pair } = fixture();
  await install({ items: column(), notes: child('items', 'item_id') }, 'application');
  await start('ant');
  await pair.source.run(`DELETE FROM ${pair.control}.drift`);
  round += 1;
});

describe('installed', () => {
  it('makes no trigger, and has no capture to lose', async () => {
    const { pair, sql } = fixture();
    const triggers = await pair.source.rows(
      'SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?',
      [pair.sourceSchema],
    );
    expect(triggers).toEqual([]);
    await sql('source', 'TRUNCATE items');
    expect(await lostCapture(pair)).toEqual([]);
    await expect(installMode(pair, 'triggers')).rejects.toThrow('is not the mode that is installed');
  });
});

/** While a window, or a repair, stands between its read and its write, the application changes the same rows. */
const MEANWHILE = [
  'UPDATE items SET n = 99 WHERE id = 4',
  'DELETE FROM items WHERE id = 6',
  `INSERT INTO items VALUES (7, 'ant', 'e7', 7)`,
];

async function interrupt(running: Promise<unknown>[]): Promise<void> {
  if (running.length > 0) return;
  running.push(...MEANWHILE.map(both));
  await sleep(300);
}

describe.each([
  ['under the share lock', (sql: string) => sql, true],
  ['with a plain read, to see that these tests can fail', PLAIN_READ, false],
])('the source is read %s', (_, rewrite, isSafe) => {
  it('a window of the copy leaves no stale row, brings none back and destroys none', async () => {
    await seed(['source']);
    const { pair, tracked } = fixture();
    const writes: Promise<unknown>[] = [];
    const watched = source({ rewrite, afterStream: () => interrupt(writes) });
    await copyTable({ ...pair, source: watched }, tracked, {
      tenant: 'ant',
      round,
      tableId: tracked.byName('items').id,
      limits: LIMITS,
      pace: () => Promise.resolve(0),
      progress: () => {},
      until: () => false,
    });
    await Promise.all(writes);
    await watched.close();

    expect(await sidesAreEqual()).toBe(isSafe);
  });

  it('a repair of missing rows leaves no stale row and brings none back', async () => {
    await seed(['source']);
    const { pair, tracked } = fixture();
    const writes: Promise<unknown>[] = [];
    const before = async (_side: string, sql: string): Promise<void> => {
      if (/^INSERT INTO .*`items`/.test(sql)) await interrupt(writes);
    };
    const [locked, watched] = [source({ rewrite }), target({ before })];
    const keys = Array.from({ length: ROWS }, (_, n) => encodeKey([String(2 * n)]));
    const repair = { tenants: ['ant'], tableId: tracked.byName('items').id, keys };
    await modeOf(tracked).repairMissing({ ...pair, source: locked, target: watched }, tracked, repair);
    await Promise.all(writes);
    await Promise.all([locked.close(), watched.close()]);

    // The window's gaps are not held by a repair of keys: row 7 came on its own.
    expect(await sidesAreEqual()).toBe(isSafe);
  });
});

describe('a worker that freezes while it holds source rows', () => {
  it('loses them within seconds, and nothing of what it wrote is kept', async () => {
    await seed(['source']);
    const { pair, tracked, sql } = fixture();
    const hold = {
      lockTarget: (session: Session) => lockTenants(session, pair.control, ['ant']),
      lockSource: lockKeys(tracked.byName('items'), [encodeKey(['2'])]),
    };
    const began = performance.now();
    const frozen = holdStill(pair, hold, async (_, session) => {
      await session.run(`INSERT INTO ${pair.targetSchema}.items VALUES (2, 'ant', 'e2', 0)`);
      await sleep(9_000);
    });
    const freed = sql('source', 'UPDATE items SET n = 1 WHERE id = 2').then(() => performance.now() - began);

    await expect(frozen).rejects.toThrow();
    expect(await freed).toBeLessThan(8_500);
    expect(await dump(fixture(), 'target', 'items')).toEqual([]);
  }, 30_000);
});

describe('a verdict', () => {
  it('calls a late target write in flight', async () => {
    await seed(['source', 'target']);
    const { sql } = fixture();
    await sql('source', 'UPDATE items SET n = 1 WHERE id IN (0, 2, 4)');
    const late: Promise<unknown>[] = [];
    const { pass: done, stopped } = await pass(SETTLE, () => {
      if (late.length > 0) return;
      late.push(sleep(SETTLE / 2).then(() => sql('target', 'UPDATE items SET n = 1 WHERE id IN (0, 2, 4)')));
    });
    await Promise.all(late);

    expect(stopped).toBe(false);
    expect(done.clean).toBe(true);
    expect(done.counts).toMatchObject({ suspects: 3, inFlight: 3, hot: 0, drifted: 0, repaired: 0 });
  });

  it('repairs what is missing, and the next pass reads it equal', async () => {
    await seed(['source', 'target']);
    const { sql, pair } = fixture();
    await sql('target', 'DELETE FROM items WHERE id IN (8, 10)');
    const first = await pass();
    const second = await pass();

    expect(first).toMatchObject({ stopped: false, pass: { clean: false, counts: { repaired: 2, hot: 0 } } });
    expect(second.pass.clean).toBe(true);
    expect(await sidesAreEqual()).toBe(true);
    const drift = await readDrift(pair, 'ant', false);
    expect(drift.map((row) => [row.class, row.verifiedAt !== null])).toEqual([
      ['missing', true],
      ['missing', true],
    ]);
  });

  it('stops the line for a lost update and a lost delete, and names the column', async () => {
    await seed(['source', 'target']);
    const { sql, pair, tracked } = fixture();
    await sql('source', 'UPDATE items SET n = 5 WHERE id = 12');
    await sql('source', 'DELETE FROM items WHERE id = 14');
    const { stopped, fresh } = await pass();

    expect({ stopped, fresh }).toEqual({ stopped: true, fresh: 2 });
    const drift = await readDrift(pair, 'ant', true);
    expect(drift.map((row) => `${row.class} ${row.columns}`).sort((a, b) => a.localeCompare(b))).toEqual([
      'different n',
      'extra ',
    ]);
    // An operator's repair replaces both.
    const repair = {
      tenants: ['ant'],
      tableId: tracked.byName('items').id,
      keys: drift.map(({ key }) => key),
    };
    await modeOf(tracked).repair(pair, tracked, repair);
    expect(await sidesAreEqual()).toBe(true);
  });

  it('takes no orphan for drift, whose parent is gone on one side first', async () => {
    await seed(['source', 'target']);
    const { sql, pair, tracked } = fixture();
    await both('REPLACE INTO notes VALUES (1, 20), (2, 22)');
    await sql('source', 'DELETE FROM items WHERE id IN (20, 22)');
    await sql('target', 'DELETE FROM items WHERE id = 20');
    const { id: tableId } = tracked.byName('notes');
    const suspects = { tenant: 'ant', tableId, keys: ['1', '2'].map((id) => encodeKey([id])) };
    const judged = await modeOf(tracked).judge(pair, tracked, { ...suspects, settle: 50, beat: () => {} });

    expect(judged).toEqual({ drifts: [], inFlight: 0, hot: 0 });
  });

  it('never verifies a row that never stands still: it is hot, and the pass is not clean', async () => {
    await seed(['source', 'target']);
    const { sql } = fixture();
    let isOver = false;
    const writing = (async (): Promise<void> => {
      for (let n = 1; !isOver; n += 1) {
        await sql('source', `UPDATE items SET n = ${n} WHERE id = 16`);
        await sleep(20);
      }
    })();
    const { pass: done, stopped } = await pass(200);
    isOver = true;
    await writing;

    expect(stopped).toBe(false);
    expect(done.counts).toMatchObject({ hot: 1, drifted: 0 });
    expect(done.clean).toBe(false);
  });

  it('waits for nobody who holds the row: that is not verified either', async () => {
    await seed(['source', 'target']);
    const { sql, pair } = fixture();
    await sql('target', 'UPDATE items SET n = 7 WHERE id = 18');
    const { stopped } = await pair.source.transaction(async (session) => {
      await session.run(`UPDATE ${pair.sourceSchema}.items SET n = 7 WHERE id = 18`);
      return pass(200);
    });

    expect(stopped).toBe(false);
    expect((await pass(200)).pass.clean).toBe(true);
  });
});
