/** Backfill: resumable windows that neither lose, resurrect nor overwrite anything. */
import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, it, vi } from 'vitest';

import { copyTable } from '../../src/db/backfill.ts';
import { readCursors, type TableProgress } from '../../src/db/copy-cursor.ts';
import type { Pair } from '../../src/db/tracked.ts';
import { limits } from '../support/limits.ts';
import { child, column, dump, useFixture } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';
import { FaultyDatabase, type Interference } from './protocol/faults.ts';

const LIMITS = limits({ windowRows: 10, reconcileRows: 10 });
const TABLE =
  'CREATE TABLE items (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, email VARCHAR(40) NOT NULL UNIQUE, n INT NOT NULL, KEY (tenant_id))';

const UNDISTURBED: Interference = { withoutLock: false, at: () => {} };

/** Calls `afterStream` when a window's rows have been read from the source and not yet been committed. */
const watched = (afterStream: () => Promise<void>) =>
  new FaultyDatabase({ side: 'source', url: stackInfo().sourceUrl }, { ...UNDISTURBED, afterStream });
const target = (interference: Interference) =>
  new FaultyDatabase({ side: 'target', url: stackInfo().targetUrl }, interference);

const fixture = useFixture([TABLE]);

async function copy(
  pair: Pair,
  round: number,
  progress: (table: TableProgress) => void = () => {},
): Promise<TableProgress> {
  const { tracked } = fixture();
  return copyTable(pair, tracked, {
    tenant: 'ant',
    round,
    tableId: tracked.byName('items').id,
    limits: LIMITS,
    pace: () => Promise.resolve(0),
    progress,
    until: () => false,
  });
}

const antRows = async () => (await dump(fixture(), 'source', 'items')).filter((row) => row.includes('"ant"'));

describe('a window', () => {
  it('commits with its cursor, and a copy that died goes on where it was', async () => {
    const { pair, sql, rows, install, start } = fixture();
    await install({ items: column() });
    for (const tenant of ['ant', 'bee']) await start(tenant);
    for (let id = 1; id <= 45; id += 1)
      await sql('source', `INSERT INTO items VALUES (${id}, '${id % 9 === 0 ? 'bee' : 'ant'}', 'e${id}', 0)`);

    let commits = 0; // the first keeps the parts
    const dying = target({
      withoutLock: false,
      at(moment, _, sql) {
        if (moment === 'before' && sql === 'COMMIT' && (commits += 1) === 4)
          throw new Error('died before the commit');
      },
    });
    await expect(copy({ ...pair, target: dying }, 1)).rejects.toThrow('died before the commit');
    const [cursor] = await readCursors(pair, 'ant', 1);
    expect(cursor).toMatchObject({ copiedRows: 20, finished: false });
    expect(await rows('target', 'SELECT id FROM items')).toHaveLength(20);

    const seen: number[] = [];
    const finished = await copy(pair, 1, ({ copiedRows }) => seen.push(copiedRows));
    expect(seen).toEqual([30, 40, 40]);
    expect(finished).toMatchObject({ copiedRows: 40, finished: true });
    expect(await dump(fixture(), 'target', 'items')).toEqual(await antRows());
    await dying.close();
  });

  /** A row is deleted and mirrored while a window that has read it is not yet written. */
  async function deleteDuringWindow(id: number, withoutLock: boolean): Promise<boolean> {
    const { pair, sql, rows, mirror } = fixture();
    // A row that is there already would be locked by the window's delete, which hides a missing tenant lock.
    await sql('target', `DELETE FROM items WHERE id = ${id}`);
    const side = target({ withoutLock, at: () => {} });
    const draining: Promise<number>[] = [];
    const source = watched(async () => {
      if (draining.length > 0) return;
      await sql('source', `DELETE FROM items WHERE id = ${id}`);
      draining.push(mirror.drain('ant'));
      await Promise.race([...draining, sleep(500)]);
    });
    await copy({ ...pair, source, target: side }, 100 + id);
    await Promise.all(draining);
    await Promise.all([source.close(), side.close()]);
    return (await rows('target', `SELECT id FROM items WHERE id = ${id}`)).length > 0;
  }

  it('does not resurrect a row that is deleted while it is copied', async () => {
    await fixture().mirror.drain('ant');
    expect(await deleteDuringWindow(1, false)).toBe(false);
    // Without the shared lock the mirror overtakes the window, and the row is back.
    expect(await deleteDuringWindow(2, true)).toBe(true);
    await fixture().sql('target', 'DELETE FROM items WHERE id = 2');
  });

  it('replaces its range: what the source no longer has is gone', async () => {
    const { pair, sql } = fixture();
    await sql(
      'target',
      "INSERT INTO items VALUES (1000, 'ant', 'left over', 0), (-5, 'ant', 'left over too', 0)",
    );
    await copy(pair, 10);
    expect(await dump(fixture(), 'target', 'items')).toEqual(await antRows());
  });
});

describe('a deadlock on the target', () => {
  it('that a window loses costs it a moment, not the copy', async () => {
    const { pair, sql } = fixture();
    await sql('target', 'CREATE TABLE ballast (id INT PRIMARY KEY)');
    let met = 0;
    let windows = 0;
    const side = target({
      withoutLock: false,
      at: (moment, _, statement) =>
        void (moment === 'before' && /^DELETE .*`items` FROM/.test(statement) && (met += 1)),
    });
    const copying = await pair.target.session(async (other) => {
      await other.run(`USE ${pair.targetSchema}`);
      await other.run('START TRANSACTION');
      // Whoever wrote fewer rows is rolled back.
      await other.run(
        `INSERT INTO ballast VALUES ${Array.from({ length: 200 }, (_, id) => `(${id})`).join()}`,
      );
      await other.run("UPDATE items SET n = 1 WHERE id = 8 AND tenant_id = 'ant'");
      const copying = copy({ ...pair, target: side }, 11, () => (windows += 1));
      copying.catch(() => {});
      await vi.waitFor(() => expect(met).toBe(1), { timeout: 10_000, interval: 10 });
      await sleep(300); // the window holds its first rows and waits for the eighth
      await other.run("UPDATE items SET n = 1 WHERE id = 3 AND tenant_id = 'ant'");
      await other.run('ROLLBACK');
      return { done: copying };
    });

    expect(await copying.done).toMatchObject({ finished: true });
    expect(met).toBe(windows + 1);
    expect(await dump(fixture(), 'target', 'items')).toEqual(await antRows());
    await side.close();
  });
});

describe('a row that is in the way', () => {
  it('under the same key, of the tenant that it came from, gives way', async () => {
    const { pair, sql, mirror } = fixture();
    await mirror.drain('bee');
    await sql('source', "UPDATE items SET tenant_id = 'ant', n = 5 WHERE id IN (9, 18)");
    expect(await copy(pair, 20)).toMatchObject({ finished: true });
    expect(await dump(fixture(), 'target', 'items')).toEqual(await dump(fixture(), 'source', 'items'));
  });

  it('with a unique value that has moved on, gives way, whoever owns it', async () => {
    const { pair, sql, mirror } = fixture();
    await mirror.drain('bee');
    await mirror.drain('ant');
    await sql('source', "UPDATE items SET email = 'hop' WHERE id = 27");
    await sql('source', "UPDATE items SET email = 'e27' WHERE id = 3");
    await sql('source', "UPDATE items SET email = 'e3' WHERE id = 4");
    await sql('source', "UPDATE items SET email = 'e4' WHERE id = 27");
    expect(await copy(pair, 30)).toMatchObject({ finished: true });
    expect(await dump(fixture(), 'target', 'items')).toEqual(await dump(fixture(), 'source', 'items'));
  });
});

describe('a row whose parent changed its tenant', () => {
  const family = useFixture([
    'CREATE TABLE parents (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, KEY (tenant_id))',
    'CREATE TABLE children (id INT PRIMARY KEY, parent_id INT NOT NULL, n INT NOT NULL, KEY (parent_id))',
  ]);

  it('gives way before the mirror comes to the parent', async () => {
    const { pair, sql, install, start } = family();
    await install({ parents: column(), children: child('parents', 'parent_id') });
    for (const tenant of ['ant', 'bee']) await start(tenant);
    await sql('source', "INSERT INTO parents VALUES (1, 'ant'), (2, 'bee')");
    await sql('source', 'INSERT INTO children VALUES (10, 1, 0), (11, 1, 0), (20, 2, 0)');
    const { tracked, mirror } = family();
    await mirror.drain('ant');
    await sql('source', "UPDATE parents SET tenant_id = 'bee' WHERE id = 1");
    await sql('source', 'UPDATE children SET n = 7 WHERE id = 10');

    const done = await copyTable(pair, tracked, {
      tenant: 'bee',
      round: 1,
      tableId: tracked.byName('children').id,
      limits: LIMITS,
      pace: () => Promise.resolve(0),
      progress: () => {},
      until: () => false,
    });

    expect(done).toMatchObject({ finished: true, copiedRows: 3 });
    expect(await dump(family(), 'target', 'children')).toEqual(await dump(family(), 'source', 'children'));
  });
});
