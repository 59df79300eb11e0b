/** The copy's way into the target: parts, bounds in bytes, and both ways of loading. */
import { randomBytes } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import { copyTable } from '../../src/db/backfill.ts';
import { readCursors } from '../../src/db/copy-cursor.ts';
import { Database } from '../../src/db/database.ts';
import { encode } from '../../src/db/lines.ts';
import { loadMethod, loadRows } from '../../src/db/load.ts';
import { limits } from '../support/limits.ts';
import { column, dump, useFixture } from '../support/pair.ts';
import { ownMysql } from '../support/stack.ts';

const LIMITS = limits({
  windowRows: 2_000,
  windowBytes: 256 * 1024,
  reconcileRows: 2_000,
  backfillParallel: 4,
});

const fixture = useFixture([
  'CREATE TABLE big (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, KEY (tenant_id, id))',
  'CREATE TABLE fat (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, body LONGBLOB NULL, KEY (tenant_id, id))',
]);

const copy = (table: string, round: number, limits = LIMITS, windows: number[] = []) => {
  const { pair, tracked } = fixture();
  return copyTable(pair, tracked, {
    tenant: 'ant',
    round,
    tableId: tracked.byName(table).id,
    limits,
    pace: () => Promise.resolve(0),
    progress: ({ copiedRows }) => windows.push(copiedRows),
    until: () => false,
  });
};

it('a big table is cut into parts that together hold every row once, also rows that come later', async () => {
  const { pair, sql, rows, install, start } = fixture();
  await sql('source', "INSERT INTO big (tenant_id, n) VALUES ('ant', 1), ('bee', 2)");
  for (let doubling = 0; doubling < 18; doubling += 1)
    await sql('source', 'INSERT INTO big (tenant_id, n) SELECT tenant_id, n + 1 FROM big LIMIT 100000');
  await install({ big: column(), fat: column() });
  await start('ant');
  const [count] = await rows('source', "SELECT COUNT(*) AS n FROM big WHERE tenant_id = 'ant'");
  const done = await copy('big', 1);
  expect(done).toMatchObject({ copiedRows: Number(count!['n']), finished: true });
  const parts = await readCursors(pair, 'ant', 1);
  expect(parts.length).toBeGreaterThan(1);
  expect(parts.every(({ finished }) => finished)).toBe(true);
  for (const [index, part] of parts.entries()) expect(part.endKey === null).toBe(index === parts.length - 1);
  const sums = "SELECT COUNT(*) AS n, SUM(id) AS ids, SUM(n) AS ns FROM big WHERE tenant_id = 'ant'";
  expect(await rows('target', sums)).toEqual(await rows('source', sums));
  expect(await rows('target', "SELECT 1 FROM big WHERE tenant_id = 'bee' LIMIT 1")).toEqual([]);
});

it('a window that outgrows its bytes is given up and cut smaller; one larger row goes alone', async () => {
  const { pair, rows } = fixture();
  const bodies = [10, 300_000, 10, 100_000, 120_000, 130_000, 0, 700_000, 10, 10].map((size) =>
    randomBytes(size),
  );
  for (const [id, body] of [...bodies, null].entries())
    await pair.source.run(`INSERT INTO ${pair.sourceSchema}.fat VALUES (?, 'ant', ?)`, [id, body]);
  const windows: number[] = [];
  expect(await copy('fat', 1, LIMITS, windows)).toMatchObject({ copiedRows: 11, finished: true });
  expect(windows.length).toBeGreaterThan(4);
  const hashes = 'SELECT id, SHA2(body, 256) AS h FROM fat ORDER BY id';
  expect(await rows('target', hashes)).toEqual(await rows('source', hashes));
});

describe('where the target takes no local file', () => {
  const server = ownMysql('no-local-files');

  it('the copy is made of INSERTs, and arrives the same', async () => {
    const { pair } = fixture();
    await new Database({ side: 'target', url: server().rootUrl() }).session(async (root) => {
      await root.run('SET GLOBAL local_infile = 0');
      await root.run('CREATE DATABASE ctl');
      await root.run(
        'CREATE TABLE ctl.mirror_turn (tenant VARBINARY(10) PRIMARY KEY, mirrored_at TIMESTAMP(6))',
      );
    });
    const refusing = new Database({ side: 'target', url: server().url() });
    expect(await loadMethod(refusing, 'ctl')).toBe('insert');
    expect(await loadMethod(pair.target, pair.control)).toBe('load-data');
    await refusing.close();
  });

  it('both ways write the same bytes, and both say what is in the way', async () => {
    const { pair, tracked, sql } = fixture();
    const { table } = tracked.target(tracked.byName('fat').id);
    const odd = Buffer.from([0, 9, 10, 13, 26, 34, 39, 44, 92, 92, 78, 255, 92]);
    const image = (id: number, body: Buffer | null) => [Buffer.from(`${id}`), Buffer.from('a\tb\\N\n'), body];
    for (const method of ['load-data', 'insert'] as const) {
      await sql('target', 'DELETE FROM fat');
      await pair.target.session((target) =>
        loadRows(target, table, [[image(1, odd), image(2, null)], [image(3, Buffer.alloc(0))]], method),
      );
      const dumped = await pair.target.rows(
        `SELECT id, HEX(tenant_id) AS t, HEX(body) AS b FROM ${pair.targetSchema}.fat ORDER BY id`,
      );
      expect(dumped.map((row) => row['b'])).toEqual([odd.toString('hex').toUpperCase(), null, '']);
      expect(dumped[0]!['t']).toBe(Buffer.from('a\tb\\N\n').toString('hex').toUpperCase());
      const again = pair.target.transaction((target) =>
        loadRows(target, table, [[image(9, null), image(1, null)]], method),
      );
      await expect(again).rejects.toMatchObject({ errno: 1062 });
      const long = [Buffer.from('7'), Buffer.from('far too long for twenty characters'), null];
      const cut = pair.target.transaction((target) => loadRows(target, table, [[long]], method));
      await expect(cut).rejects.toThrow('target: ');
      expect(await dump(fixture(), 'target', 'fat')).toHaveLength(3);
    }
  });
});

it('blocks stay small whatever a value weighs, and put together they are the value escaped', () => {
  const value = Buffer.alloc(700_000, 0x5c);
  const blocks = [...encode([[value, null, Buffer.alloc(0)]])];
  expect(Math.max(...blocks.map((block) => block.length))).toBeLessThanOrEqual(128 * 1024);
  expect(
    Buffer.concat(blocks).equals(Buffer.concat([Buffer.alloc(1_400_000, 0x5c), Buffer.from('\t\\N\t\n')])),
  ).toBe(true);
});

it('the mirror takes rows of any weight, a few at a time', async () => {
  const { pair, sql, rows, mirror, start } = fixture();
  await start('cow');
  await sql('target', 'DELETE FROM fat');
  await sql('source', 'DELETE FROM fat');
  for (let id = 100; id < 112; id += 1)
    await pair.source.run(`INSERT INTO ${pair.sourceSchema}.fat VALUES (?, 'cow', ?)`, [
      id,
      randomBytes(3_000_000),
    ]);
  const started = Date.now();
  expect(await mirror.drain('cow')).toBe(12);
  expect(Date.now() - started).toBeLessThan(20_000);
  const hashes = 'SELECT id, SHA2(body, 256) AS h FROM fat ORDER BY id';
  expect(await rows('target', hashes)).toEqual(await rows('source', hashes));
});
