/** Windows by time: they stand on a column that never changes, and fall back to the key when it was seen to. */
import { beforeEach, describe, expect, it } from 'vitest';

import type { Database, Param } from '../../src/db/database.ts';
import { readDrift } from '../../src/db/ledger.ts';
import { reconcileSlice, type SliceResult } from '../../src/db/reconcile.ts';
import { gatherTimeChanges, refusedTimes, timeChanged } from '../../src/db/time-windows.ts';
import { limits } from '../support/limits.ts';
import { column, useFixture } from '../support/pair.ts';

const TABLES = ['stamped', 'dated', 'moments'];

const fixture = useFixture([
  `CREATE TABLE stamped (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, at TIMESTAMP(3) NOT NULL, n INT NOT NULL, KEY (tenant_id, at))`,
  `CREATE TABLE dated (tenant_id VARCHAR(20) NOT NULL, at DATE NOT NULL, id INT NOT NULL, n INT NOT NULL, PRIMARY KEY (tenant_id, at, id))`,
  `CREATE TABLE moments (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, at DATETIME(6) NOT NULL, n INT NOT NULL, KEY (tenant_id, at, id))`,
]);

const LIMITS = limits({ windowRows: 20, reconcileRows: 20 });
const ROWS = 120;
let installed = false;

beforeEach(async () => {
  const { install, start, sql, mirror, pair } = fixture();
  if (!installed) {
    await install(Object.fromEntries(TABLES.map((name) => [name, { tenancy: column(), time: 'at' }])));
    await start('ant');
    installed = true;
  }
  for (const name of TABLES) {
    await sql('source', `DELETE FROM ${name}`);
    const values = Array.from(
      { length: ROWS },
      (_, n) =>
        `(${n}, 'ant', '${name === 'moments' && n < 5 ? '0000-00-00' : `2026-01-${10 + (n % 9)}`}', 0)`,
    );
    await sql('source', `INSERT INTO ${name} (id, tenant_id, at, n) VALUES ${values.join(', ')}`);
  }
  await (mirror ?? fixture().mirror).drain('ant');
  for (const name of ['drift', 'time_change', 'pass', 'pass_window'])
    await pair.source.run(`DELETE FROM \`${pair.control}\`.${name}`);
  await pair.source.run(`UPDATE \`${pair.control}\`.tracked_table SET time_changed = NULL`);
});

const pass = (
  onWindow: (windows: number) => Promise<void> = () => Promise.resolve(),
  pair = fixture().pair,
): Promise<SliceResult> => {
  let waiting = Promise.resolve();
  const { tracked } = fixture();
  // Between two windows: a slice ends, something happens, the next slice takes up the pass.
  const slice = async (): Promise<SliceResult> => {
    let windows = 0;
    const result = await reconcileSlice(pair, tracked, {
      tenant: 'ant',
      limits: LIMITS,
      missingAgain: 60_000,
      progress: ({ counts }) => {
        windows += 1;
        waiting = onWindow(counts.windows);
      },
      until: () => windows > 0,
    });
    await waiting;
    return result.finished ? result : slice();
  };
  return slice();
};

const changed = (name: string): Promise<string | null> =>
  timeChanged(fixture().pair, fixture().tracked.byName(name).id);

/** How the windows of each table were cut: `time` or `key`, in their order without repetition. */
async function walks(): Promise<Record<string, string[]>> {
  const { pair, tracked } = fixture();
  const rows = await pair.source.rows(
    `SELECT table_id, bounds FROM \`${pair.control}\`.pass_window ORDER BY pass_id, seq`,
  );
  return Object.fromEntries(
    TABLES.map((name) => {
      const own = rows.filter((row) => row['table_id'] === String(tracked.byName(name).id));
      const cuts = own.map((row) => (row['bounds']!.includes('@') ? 'time' : 'key'));
      return [name, cuts.filter((cut, at) => cut !== cuts[at - 1])];
    }),
  );
}

describe('a column that never changed', () => {
  it('cuts the windows of every type, zero dates included, and each row is in one of them', async () => {
    const { sql } = fixture();
    await sql('source', 'UPDATE moments SET n = 1');
    await sql('source', 'UPDATE dated SET n = 1, at = at');
    await fixture().mirror.drain('ant');
    const { pass: done } = await pass();
    expect(done).toMatchObject({ clean: true, counts: { rows: 3 * ROWS, suspects: 0 } });
    expect(await walks()).toEqual({ stamped: ['time'], dated: ['time'], moments: ['time'] });
    expect(await Promise.all(TABLES.map(changed))).toEqual([null, null, null]);
  });
});

describe('an UPDATE of the column', () => {
  it('is noticed at once, and the next pass goes by key, clean', async () => {
    const { sql, mirror, pair } = fixture();
    await sql('source', "UPDATE stamped SET at = '2026-01-01' WHERE id = 7");
    expect(await changed('stamped')).toBe('an UPDATE changed it');
    await mirror.drain('ant');
    const { pass: done } = await pass();
    expect(done).toMatchObject({ clean: true, counts: { rows: 3 * ROWS, suspects: 0 } });
    expect(await walks()).toEqual({ stamped: ['key'], dated: ['time'], moments: ['time'] });

    await gatherTimeChanges(pair);
    expect(await pair.source.rows(`SELECT id FROM \`${pair.control}\`.time_change`)).toEqual([]);
    expect(await refusedTimes(pair)).toEqual([
      expect.stringMatching(/^windows of stamped are cut by key, not by at: an UPDATE changed it at 2/),
    ]);
    expect(await changed('stamped')).toMatch(/^an UPDATE changed it at 2\d{3}-/);
    expect(await changed('dated')).toBeNull();
  });

  it('of a row that leaves an unread window for a read one makes the table begin again, by key', async () => {
    const { sql, mirror } = fixture();
    const last = `SELECT MAX(id) FROM (SELECT id FROM stamped WHERE at = '2026-01-18') x`;
    const { pass: done } = await pass(async (windows) => {
      if (windows !== 3) return;
      await sql('source', `UPDATE stamped SET at = '2026-01-01', n = 5 WHERE id = (${last})`);
      await mirror.drain('ant');
      // What the mirror would have had to break for the row to differ: it is compared nevertheless.
      await sql('target', `UPDATE stamped SET n = 6 WHERE n = 5`);
    });
    expect(done).toMatchObject({ clean: false, counts: { drifted: 1 } });
    expect(await walks()).toMatchObject({ stamped: ['time', 'key'] });
    expect(await readDrift(fixture().pair, 'ant', true)).toMatchObject([
      { class: 'different', columns: 'n' },
    ]);
  });

  it('makes it begin again even in the moment before the last window is read', async () => {
    const { sql, mirror, pair } = fixture();
    let moved = false;
    const move = async (): Promise<void> => {
      moved = true;
      await sql('source', "UPDATE stamped SET at = '2026-01-01', n = 5 WHERE id = 17");
      await mirror.drain('ant');
      await sql('target', 'UPDATE stamped SET n = 6 WHERE n = 5');
    };
    // The last window of the first table has been cut when its end is not found.
    const source = new Proxy(pair.source, {
      get(db, name: keyof Database) {
        const found: unknown = db[name];
        if (name !== 'rows') return typeof found === 'function' ? (found.bind(db) as unknown) : found;
        return async (statement: string, params?: readonly Param[]) => {
          const rows = await db.rows(statement, params);
          if (!moved && statement.includes('OFFSET') && rows.length === 0) await move();
          return rows;
        };
      },
    });
    const { pass: done } = await pass(undefined, { ...pair, source });
    expect(moved).toBe(true);
    expect(done).toMatchObject({ clean: false, counts: { drifted: 1 } });
    expect(await walks()).toMatchObject({ stamped: ['time', 'key'] });
  });

  it('in flight is no drift, whichever window it falls into on either side', async () => {
    const { sql } = fixture();
    const { pass: done } = await pass(async (windows) => {
      if (windows !== 1) return;
      await sql('source', "UPDATE moments SET at = '2026-01-18' WHERE id = 20");
      await sql('source', "UPDATE moments SET at = '0000-00-00' WHERE id = 100");
    });
    expect(done).toMatchObject({ clean: true, counts: { drifted: 0 } });
    expect(done.counts.suspects).toBeGreaterThan(0);
  });

  it.each(['REPEATABLE READ', 'SERIALIZABLE'])(
    'makes no writer wait for another under %s',
    async (isolation) => {
      const { pair, tracked } = fixture();
      const at = `\`${pair.sourceSchema}\`.stamped`;
      const writers = 4;
      let waiting = writers;
      let go = (): void => {};
      const all = new Promise<void>((resolve) => (go = resolve));
      const write = (id: number): Promise<void> =>
        pair.source.session(async (session) => {
          await session.run('SET SESSION innodb_lock_wait_timeout = 1');
          await session.run(`SET TRANSACTION ISOLATION LEVEL ${isolation}`);
          await session.run('BEGIN');
          await session.run(`UPDATE ${at} SET at = '2026-02-0${id}' WHERE id = ${id}`);
          if ((waiting -= 1) === 0) go();
          // Every transaction has written its row before the first one ends.
          await all;
          await session.run('COMMIT');
          await session.run('SET SESSION innodb_lock_wait_timeout = 20');
        });
      await Promise.all(Array.from({ length: writers }, (_, id) => write(id + 1)));
      const [row] = await pair.source.rows(
        `SELECT COUNT(*) AS n FROM \`${pair.control}\`.time_change WHERE table_id = ${tracked.byName('stamped').id}`,
      );
      expect(row).toEqual({ n: String(writers) });
    },
  );
});

it('a verdict that finds two values of the column says so too, and judges the row once by its key', async () => {
  const { sql } = fixture();
  await sql('target', "UPDATE dated SET at = '2027-01-01' WHERE id = 30");
  const first = await pass();
  expect(first.pass).toMatchObject({ clean: false });
  const drift = await readDrift(fixture().pair, 'ant', true);
  // In `dated` the time is part of the key: two rows, neither of which changed.
  expect(drift.map((row) => row.class).sort()).toEqual(['extra']);
  expect(await changed('dated')).toBeNull();

  await sql('target', "UPDATE moments SET at = '2027-01-01' WHERE id = 30");
  await pass();
  expect(await changed('moments')).toMatch(/^a verdict found two values of it for one key at /);
  const found = (await readDrift(fixture().pair, 'ant', true)).filter((row) => row.class === 'different');
  expect(found).toMatchObject([{ columns: 'at' }]);
});

it('another column in the plan starts with a clean slate', async () => {
  const { pair, sql, install } = fixture();
  await sql('source', "UPDATE moments SET at = '2026-03-01' WHERE id = 9");
  await gatherTimeChanges(pair);
  await install({ moments: { tenancy: column(), time: 'at' } });
  expect(await changed('moments')).not.toBeNull();
  await install({ moments: column() });
  await install({ moments: { tenancy: column(), time: 'at' } });
  expect(await changed('moments')).toBeNull();
});
