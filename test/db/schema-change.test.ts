/** A table is altered on one side while the line works: no window commits, the difference is named, a retry goes on. */
import { describe, expect, it } from 'vitest';

import { acceptShapes } from '../../src/db/accept-shapes.ts';
import { copyTable } from '../../src/db/backfill.ts';
import { openPass } from '../../src/db/ledger.ts';
import { MirrorLoop } from '../../src/db/mirror-loop.ts';
import { reconcileSlice } from '../../src/db/reconcile.ts';
import { alteredTables, assertNotAltered, watchShapes } from '../../src/db/shapes.ts';
import { loadTracked, type Pair } from '../../src/db/tracked.ts';
import { judgeKeys, repairKeys } from '../../src/db/verdict.ts';
import { limits } from '../support/limits.ts';
import { column, dump, useFixture, type Fixture } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';
import { InterruptedDatabase } from '../support/interrupted.ts';

type Side = 'source' | 'target';
const SIDES: readonly Side[] = ['source', 'target'];

const TABLE =
  'CREATE TABLE orders (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, code VARCHAR(20) NULL, amount INT NOT NULL DEFAULT 0, KEY (tenant_id), UNIQUE KEY code (code))';

const LIMITS = limits({ windowRows: 10, reconcileRows: 10 });

/** How a table is altered, what is said, and how the alteration is undone. */
// prettier-ignore
const CHANGES: readonly { readonly what: string; readonly sql: readonly string[]; readonly says: RegExp; readonly undo: readonly string[] }[] = [
  { what: 'ADD COLUMN', sql: ["ALTER TABLE orders ADD COLUMN note VARCHAR(30) NOT NULL DEFAULT 'none'"], says: /column note is new \(varchar\(30\) NOT NULL DEFAULT 'none'\)/, undo: ['ALTER TABLE orders DROP COLUMN note'] },
  { what: 'DROP COLUMN', sql: ['ALTER TABLE orders DROP COLUMN amount'], says: /column amount is gone \(it was int NOT NULL DEFAULT '0'\)/, undo: ['ALTER TABLE orders ADD COLUMN amount INT NOT NULL DEFAULT 0'] },
  { what: 'MODIFY', sql: ['ALTER TABLE orders MODIFY amount BIGINT NOT NULL DEFAULT 0'], says: /column amount is bigint NOT NULL DEFAULT '0', it was int NOT NULL DEFAULT '0'/, undo: ['ALTER TABLE orders MODIFY amount INT NOT NULL DEFAULT 0'] },
  { what: 'ADD UNIQUE KEY', sql: ['ALTER TABLE orders ADD UNIQUE KEY both_of (tenant_id, code)'], says: /unique key both_of is new \(\(`tenant_id`,`code`\)\)/, undo: ['ALTER TABLE orders DROP KEY both_of'] },
  { what: 'DROP UNIQUE KEY', sql: ['ALTER TABLE orders DROP KEY code'], says: /unique key code is gone \(it was \(`code`\)\)/, undo: ['ALTER TABLE orders ADD UNIQUE KEY code (code)'] },
  { what: 'RENAME COLUMN', sql: ['ALTER TABLE orders RENAME COLUMN amount TO sum'], says: /column amount is now called sum/, undo: ['ALTER TABLE orders RENAME COLUMN sum TO amount'] },
  { what: 'charset', sql: ['ALTER TABLE orders MODIFY code VARCHAR(20) CHARACTER SET latin1 NULL'], says: /column code is varchar\(20\) CHARACTER SET latin1.* it was varchar\(20\) DEFAULT NULL/, undo: ['ALTER TABLE orders MODIFY code VARCHAR(20) NULL'] },
  { what: 'RENAME TABLE', sql: ['RENAME TABLE orders TO sales'], says: /the table is gone or renamed/, undo: ['RENAME TABLE sales TO orders'] },
];

const slice = () => ({
  tenant: 'ant',
  limits: LIMITS,
  missingAgain: 60_000,
  progress: () => {},
  until: () => false,
});

let round = 1;

/** The whole table, with a look at it after every window. */
const copy = (pair: Pair, fixture: Fixture, id: number, afterWindow = () => {}) =>
  copyTable(pair, fixture.tracked, {
    tenant: 'ant',
    round: (round += 1),
    tableId: id,
    limits: LIMITS,
    pace: () => Promise.resolve(0),
    progress: afterWindow,
    until: () => false,
  });

/** Rows that a copy of this test committed. */
const finishedRows = async ({ pair }: Fixture): Promise<number> =>
  Number(
    (
      await pair.target.rows(
        `SELECT COALESCE(SUM(copied_rows), 0) AS n FROM \`${pair.control}\`.backfill_cursor WHERE round = ${round}`,
      )
    )[0]!['n'],
  );

async function prepared(fixture: Fixture): Promise<number> {
  const { install, start, sql } = fixture;
  await install({ orders: column() });
  await start('ant');
  const rows = Array.from({ length: 30 }, (_, id) => `(${id}, 'ant', 'c${id}', 0)`);
  await sql('source', `INSERT INTO orders VALUES ${rows.join(', ')}`);
  await fixture.mirror.drain('ant');
  return fixture.tracked.byName('orders').id;
}

const windows = async ({ pair }: Fixture): Promise<number> =>
  Number((await pair.source.rows(`SELECT COUNT(*) AS n FROM \`${pair.control}\`.pass_window`))[0]!['n']);

describe.each(SIDES)('a table altered on the %s', (side) => {
  const fixture = useFixture([TABLE]);
  let id = 0;

  it.each(CHANGES)(
    '$what: neither mirror, reconcile nor backfill commits anything, and each says what it is',
    async (change) => {
      const { pair, sql } = fixture();
      if (id === 0) id = await prepared(fixture());
      const says = new RegExp(
        `^${side} table orders was altered: .*${change.says.source}.*switchback plan check.*switchback retry`,
      );
      const before = await dump(fixture(), 'target', 'orders');
      const compared = await windows(fixture());

      for (const statement of change.sql) await sql(side, statement);
      if (!(side === 'source' && change.what === 'RENAME TABLE'))
        await sql('source', "UPDATE orders SET code = CONCAT('x', id) WHERE id = 7");
      else
        await sql(
          'source',
          'INSERT INTO `' +
            pair.control +
            "`.journal (tenant, table_id, row_key) VALUES ('ant', " +
            id +
            ", '1:7')",
        );
      await expect(fixture().mirror.drain('ant')).rejects.toMatchObject({
        name: 'SchemaMismatchError',
        message: expect.stringMatching(says) as string,
      });
      await expect(reconcileSlice(pair, fixture().tracked, slice())).rejects.toMatchObject({
        name: 'SchemaMismatchError',
        message: expect.stringMatching(says) as string,
      });
      await expect(copy(pair, fixture(), id)).rejects.toMatchObject({
        name: 'SchemaMismatchError',
        message: expect.stringMatching(says) as string,
      });
      expect(await windows(fixture())).toBe(compared);
      expect(await finishedRows(fixture())).toBe(0);
      expect(await alteredTables(pair)).toEqual([expect.stringMatching(change.says)]);
      await expect(assertNotAltered(pair, 'ant')).rejects.toMatchObject({ name: 'SchemaMismatchError' });
      await expect(assertNotAltered(pair, '_shared')).resolves.toBeUndefined();

      for (const statement of change.undo) await sql(side, statement);
      expect(await dump(fixture(), 'target', 'orders')).toEqual(before);
      expect(await watchShapes(pair)).toEqual([]);
      await assertNotAltered(pair, 'ant');
      await fixture().mirror.drain('ant');
      expect((await reconcileSlice(pair, fixture().tracked, slice())).pass.clean).toBe(true);
      await sql('source', "UPDATE orders SET code = CONCAT('c', id) WHERE id = 7");
      await fixture().mirror.drain('ant');
    },
  );
});

describe('the moment of the look', () => {
  const fixture = useFixture([TABLE]);
  const ADD = 'ALTER TABLE orders ADD COLUMN note INT NULL';
  const DROP = 'ALTER TABLE orders DROP COLUMN note';
  const MISMATCH = {
    name: 'SchemaMismatchError',
    message: expect.stringContaining('column note is new') as string,
  };
  let id = 0;

  /** The pair with one side that can be interrupted. */
  async function interrupted(side: Side, after: RegExp, act: () => Promise<unknown>) {
    if (id === 0) id = await prepared(fixture());
    const { sourceUrl, targetUrl } = stackInfo();
    const db = new InterruptedDatabase({ side, url: side === 'source' ? sourceUrl : targetUrl });
    db.interrupt = { after, act };
    return { db, pair: { ...fixture().pair, [side]: db } };
  }

  const repair = (pair: Pair, key: string) => repairKeys(pair, fixture().tracked, 'ant', id, [key]);
  const verdict = (pair: Pair, key: string) => judgeKeys(pair, fixture().tracked, 'ant', id, [key]);

  it.each([
    ['mirror', repair, /^SELECT tenant FROM .*`stage`/],
    ['verdict', verdict, /STRAIGHT_JOIN/],
  ] as const)(
    'on the source: an ALTER right after the rows were read by the %s is seen, and nothing is committed',
    async (_, act, after) => {
      // A mirror's snapshot keeps an ALTER out from its first read of the table on; one that gets in before it ends the snapshot (1412).
      const { db, pair } = await interrupted('source', after, () => fixture().sql('source', ADD));
      const before = await dump(fixture(), 'target', 'orders');
      const first = act === repair ? { name: 'TransientDatabaseError', errno: 1412 } : MISMATCH;
      for (const seen of [first, MISMATCH]) {
        await expect(act(pair, '1:3')).rejects.toMatchObject(seen);
        expect(await dump(fixture(), 'target', 'orders')).toEqual(before);
      }
      await fixture().sql('source', DROP);
      await act(pair, '1:3');
      await db.close();
    },
  );

  it('on the target: an ALTER before the first touch is seen; after it, it waits until the commit', async () => {
    const early = await interrupted('target', /tenant_lock`.*FOR UPDATE/, () => fixture().sql('target', ADD));
    const before = await dump(fixture(), 'target', 'orders', 'id');
    await expect(repair(early.pair, '1:3')).rejects.toMatchObject(MISMATCH);
    await fixture().sql('target', DROP);
    expect(await dump(fixture(), 'target', 'orders', 'id')).toEqual(before);
    await early.db.close();

    const refused: unknown[] = [];
    const alter = async () => {
      await fixture().pair.target.session(async (session) => {
        await session.run('SET SESSION lock_wait_timeout = 1');
        await session.run(`USE ${fixture().pair.targetSchema}`);
        await session.run(ADD).catch((error: unknown) => refused.push(error));
        await session.run('SET SESSION lock_wait_timeout = 31536000');
      });
    };
    const late = await interrupted('target', /^SHOW CREATE TABLE/, alter);
    await repair(late.pair, '1:3');
    expect(refused).toMatchObject([{ errno: 1205 }]);
    await late.db.close();
  });

  it('in the middle of a backfill: the windows before it stand, the next one does not commit', async () => {
    const { db, pair } = await interrupted('source', /never/, () => Promise.resolve());
    // As a window reads: after the second one has committed.
    const third = { after: /.*/, act: () => fixture().sql('source', ADD) };
    let seen = 0;
    await expect(
      copy(pair, fixture(), id, () => {
        seen += 1;
        if (seen === 2) db.interrupt = third;
      }),
    ).rejects.toMatchObject(MISMATCH);
    expect(await finishedRows(fixture())).toBe(20);
    await fixture().sql('source', DROP);
    await copy(pair, fixture(), id);
    expect(await finishedRows(fixture())).toBe(30);
    await db.close();
  });

  it('a backfill window: an ALTER on the target before the first touch is seen, after it waits', async () => {
    const early = await interrupted('target', /tenant_lock`.*FOR SHARE/, () => fixture().sql('target', ADD));
    await expect(copy(early.pair, fixture(), id)).rejects.toMatchObject(MISMATCH);
    expect(await finishedRows(fixture())).toBe(0);
    await fixture().sql('target', DROP);
    await early.db.close();
  });

  it('costs one statement a table and side', async () => {
    const { db, pair } = await interrupted('source', /never/, () => Promise.resolve());
    await reconcileSlice(pair, fixture().tracked, slice());
    const looks = db.statements.filter((sql) => sql.startsWith('SHOW CREATE TABLE'));
    const compared = db.statements.filter((sql) => sql.includes('pass_window'));
    expect(compared.length).toBeGreaterThan(2);
    expect(looks).toHaveLength(compared.length);
    await db.close();
  });
});

describe('the way out', () => {
  const fixture = useFixture([TABLE]);
  const ADD = "ALTER TABLE orders ADD COLUMN note VARCHAR(30) NOT NULL DEFAULT 'none'";

  it('the same change on the other side, then a retry: the new column is mirrored and compared', async () => {
    const { pair, sql, rows } = fixture();
    const id = await prepared(fixture());
    const open = await openPass(pair, 'ant');
    await sql('source', ADD);
    await sql('source', "UPDATE orders SET note = 'written before the retry' WHERE id = 3");
    await expect(fixture().mirror.drain('ant')).rejects.toMatchObject({ name: 'SchemaMismatchError' });
    // Only one side has it: a retry takes nothing over, and says so again.
    expect(await acceptShapes(pair)).toEqual([]);
    await expect(assertNotAltered(pair, 'ant')).rejects.toMatchObject({ name: 'SchemaMismatchError' });

    await sql('target', ADD);
    expect(await acceptShapes(pair)).toEqual(['orders']);
    await assertNotAltered(pair, 'ant');
    // Whoever still works from the former definition may not commit, and is told to read the tables again.
    await expect(fixture().mirror.drain('ant')).rejects.toMatchObject({ name: 'TransientDatabaseError' });
    const tracked = await loadTracked(pair);
    fixture().mirror.retrack(tracked);
    expect(await fixture().mirror.drain('ant')).toBe(1);
    expect(await rows('target', 'SELECT note FROM orders WHERE id = 3')).toEqual([
      { note: 'written before the retry' },
    ]);
    const { pass } = await reconcileSlice(pair, tracked, slice());
    expect(pass.id).toBeGreaterThan(open.id);
    expect(pass.clean).toBe(true);

    await sql('target', "UPDATE orders SET note = 'corrupted' WHERE id = 9");
    const found = await reconcileSlice(pair, tracked, slice());
    expect(found.stopped).toBe(true);
    expect((await judgeKeys(pair, tracked, 'ant', id, ['1:9']))[0]!.columns).toEqual(['note']);
  });

  it('a retry that takes the change over while a watch looks: the watch does not bring it back', async () => {
    const { pair, sql } = fixture();
    const further = 'ALTER TABLE orders ADD COLUMN further INT NULL';
    await sql('source', further);
    await sql('target', further);
    const target = new InterruptedDatabase({ side: 'target', url: stackInfo().targetUrl });
    target.interrupt = {
      after: /^SHOW CREATE TABLE .*orders/,
      act: async () => expect(await acceptShapes(pair)).toEqual(['orders']),
    };
    expect(await watchShapes({ ...pair, target })).toEqual([]);
    expect(target.interrupt).toBeNull();
    await target.close();
    await assertNotAltered(pair, 'ant');
  });

  it('what is no change of rows passes: an index, a comment, AUTO_INCREMENT, statistics', async () => {
    const { pair, sql } = fixture();
    const tracked = await loadTracked(pair);
    const { id } = tracked.byName('orders');
    for (const statement of [
      'ALTER TABLE orders ADD KEY by_amount (amount)',
      "ALTER TABLE orders COMMENT 'the orders'",
      "ALTER TABLE orders MODIFY amount INT NOT NULL DEFAULT 0 COMMENT 'it''s \\\\ cents'",
      'ALTER TABLE orders FORCE',
    ])
      for (const side of SIDES) await sql(side, statement);
    expect(await watchShapes(pair)).toEqual([]);
    await repairKeys(pair, tracked, 'ant', id, ['1:9']);
    expect((await reconcileSlice(pair, tracked, slice())).pass.clean).toBe(true);
  });
});

describe('the mirror of a worker', () => {
  const fixture = useFixture([TABLE, TABLE.replaceAll('orders', 'others')]);

  it('leaves the rows of an altered table in the journal and goes on with the others; the retry lets them through', async () => {
    const { pair, sql, rows, install, start } = fixture();
    await install({ orders: column(), others: column() });
    await start('ant');
    const loop = new MirrorLoop(pair, { info: () => {}, warn: () => {}, published: () => Promise.resolve() });
    loop.start();
    try {
      const ADD = 'ALTER TABLE orders ADD COLUMN note INT NOT NULL DEFAULT 5';
      const on = (table: string) => async () =>
        (await rows('target', `SELECT code FROM ${table} ORDER BY id`)).map((row) => row['code']);
      await sql('source', ADD);
      await sql('source', "INSERT INTO orders (id, tenant_id, code) VALUES (1, 'ant', 'held')");
      for (const id of [1, 2, 3]) {
        await sql(
          'source',
          `INSERT INTO others (id, tenant_id, code) VALUES (${id}, 'ant', 'through ${id}')`,
        );
        await expect.poll(on('others'), { timeout: 10_000 }).toHaveLength(id);
      }
      expect(await on('orders')()).toEqual([]);
      expect(await alteredTables(pair)).toEqual([expect.stringContaining('column note is new') as string]);
      // Whoever asks for everything is told that it is not there.
      await expect(fixture().mirror.drain('ant')).rejects.toMatchObject({ name: 'SchemaMismatchError' });

      await sql('target', ADD);
      expect(await acceptShapes(pair)).toEqual(['orders']);
      await expect.poll(on('orders'), { timeout: 10_000 }).toEqual(['held']);
      expect(await rows('target', 'SELECT note FROM orders')).toEqual([{ note: '5' }]);
    } finally {
      await loop.stop();
    }
  });
});
