/** Reconcile: windows without a gap, the policy, and the evidence that is kept. */
import { beforeAll, describe, expect, it } from 'vitest';

import { copyTable, tablesOf } from '../../src/db/backfill.ts';
import { readDrift } from '../../src/db/ledger.ts';
import { reconcileSlice, type SliceResult } from '../../src/db/reconcile.ts';
import { nextWindowRows } from '../../src/domain/window.ts';
import { limits } from '../support/limits.ts';
import { column, useFixture } from '../support/pair.ts';
import { seeded } from './protocol/random.ts';

const LIMITS = limits({ windowRows: 50, reconcileRows: 50 });
const ROWS = 300;

const fixture = useFixture([
  `CREATE TABLE by_key (region INT NOT NULL, id INT NOT NULL, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, note VARCHAR(20) NULL, PRIMARY KEY (region, id), KEY (tenant_id))`,
  `CREATE TABLE by_time (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, at DATETIME(6) NOT NULL, n INT NOT NULL, KEY (tenant_id, at))`,
]);

const random = seeded(4);

beforeAll(async () => {
  const { pair, sql, install, start } = fixture();
  await install({ by_key: column(), by_time: { tenancy: column(), time: 'at' } });
  const keyed = Array.from(
    { length: ROWS },
    (_, n) => `(${random.below(5)}, ${n}, '${n % 10 === 0 ? 'bee' : 'ant'}', ${n}, 'x')`,
  );
  // Many rows share an instant, one of them more than a window holds.
  const timed = Array.from({ length: ROWS }, (_, n) => {
    const second = random.chance(0.3) ? 30 : random.below(60);
    return `(${n}, '${n % 10 === 0 ? 'bee' : 'ant'}', '2026-01-01 00:00:${String(second).padStart(2, '0')}.${random.below(2)}', ${n})`;
  });
  await sql('source', `INSERT INTO by_key VALUES ${keyed.join(', ')}`);
  await sql('source', `INSERT INTO by_time VALUES ${timed.join(', ')}`);
  await start('ant');
  for (const { id } of tablesOf(fixture().tracked, 'ant'))
    await copyTable(pair, fixture().tracked, {
      tenant: 'ant',
      round: 1,
      tableId: id,
      limits: { ...LIMITS, windowRows: 1_000, windowBytes: 8_388_608 },
      pace: () => Promise.resolve(0),
      progress: () => {},
      until: () => false,
    });
  await fixture().mirror.drain('ant');
});

const pass = (windowRows = 50, missingAgain = 60_000): Promise<SliceResult> =>
  reconcileSlice(fixture().pair, fixture().tracked, {
    tenant: 'ant',
    limits: { ...LIMITS, windowRows },
    missingAgain,
    progress: () => {},
    until: () => false,
  });

const owned = async (table: string): Promise<number> =>
  Number(
    (await fixture().rows('source', `SELECT COUNT(*) AS n FROM ${table} WHERE tenant_id = 'ant'`))[0]!['n'],
  );

describe('windows', () => {
  it('of any size cover every row exactly once, by time and by key', async () => {
    const expected = (await owned('by_key')) + (await owned('by_time'));
    for (const size of [7, 50, 10_000, ...Array.from({ length: 4 }, () => 2 + random.below(200))]) {
      const { pass: done } = await pass(size);
      expect([size, done.counts.rows, done.counts.suspects]).toEqual([size, expected, 0]);
      const windows = await fixture().pair.source.rows(
        `SELECT table_id, bounds, source_rows FROM \`${fixture().pair.control}\`.pass_window WHERE pass_id = ${done.id} ORDER BY seq`,
      );
      for (const { id } of fixture().tracked.all()) {
        const bounds = windows
          .filter((row) => row['table_id'] === String(id))
          .map((row) => row['bounds']!.slice(1, -1).split(', '));
        expect(bounds[0]![0]).toBe('-inf');
        expect(bounds.at(-1)![1]).toBe('+inf');
        for (const [index, [from]] of bounds.slice(1).entries()) expect(from).toBe(bounds[index]![1]);
      }
    }
  });

  it('hide no row of the target, before the first, between, or after the last', async () => {
    const { sql } = fixture();
    const extra = [
      "INSERT INTO by_key VALUES (-1, 0, 'ant', 0, NULL), (99, 0, 'ant', 0, NULL), (2, 9999, 'ant', 0, NULL)",
      "INSERT INTO by_time VALUES (9001, 'ant', '1970-01-01', 0), (9002, 'ant', '2099-01-01', 0), (9003, 'ant', '2026-01-01 00:00:30', 0)",
    ];
    for (const statement of extra) await sql('target', statement);
    for (const size of [9, 40]) {
      const { pass: done, stopped } = await pass(size);
      expect(done.counts.drifted).toBe(6);
      expect(stopped).toBe(true);
    }
    await sql('target', 'DELETE FROM by_key WHERE region IN (-1, 99) OR id = 9999');
    await sql('target', 'DELETE FROM by_time WHERE id > 9000');
    const { pair } = fixture();
    await pair.source.run(`DELETE FROM \`${pair.control}\`.drift`);
  });

  it('grow slowly and shrink at once, within their bounds', () => {
    const limits = { targetMs: 300, rowsMax: 10_000 };
    expect(nextWindowRows(1_000, 10, limits)).toBe(1_500);
    expect(nextWindowRows(1_000, 290, limits)).toBe(1_034);
    expect(nextWindowRows(1_000, 3_000, limits)).toBe(100);
    expect(nextWindowRows(9_000, 1, limits)).toBe(10_000);
    expect(nextWindowRows(1_000, 1_000_000, limits)).toBe(50);
    expect(nextWindowRows(7, 1_000_000, { targetMs: 300, rowsMax: 7 })).toBe(7);
  });

  it('take their size from how long the last one took', async () => {
    const sizes: (number | null)[] = [];
    await reconcileSlice(fixture().pair, fixture().tracked, {
      tenant: 'ant',
      limits: { ...LIMITS, windowTarget: 0.01, windowRows: 200, windowBytes: 8_388_608 },
      missingAgain: 1_000,
      progress: ({ position }) => sizes.push(position.rows),
      until: () => false,
    });
    expect(sizes[0]).toBe(50);
  });

  it('go on in the next slice where the last one ended', async () => {
    let windows = 0;
    const slice = (until: () => boolean) =>
      reconcileSlice(fixture().pair, fixture().tracked, {
        tenant: 'ant',
        limits: LIMITS,
        missingAgain: 1_000,
        progress: () => void (windows += 1),
        until,
      });
    const first = await slice(() => windows === 3);
    expect(first).toMatchObject({ finished: false, pass: { counts: { windows: 3 } } });
    const second = await slice(() => false);
    expect(second).toMatchObject({ finished: true, pass: { id: first.pass.id, clean: true } });
    expect(second.pass.counts.rows).toBe((await owned('by_key')) + (await owned('by_time')));
  });
});

describe('the policy', () => {
  const drift = () => readDrift(fixture().pair, 'ant', false);

  it('identical: the next window, and the pass is clean', async () => {
    expect(await pass()).toMatchObject({
      stopped: false,
      pass: { clean: true, counts: { suspects: 0, drifted: 0 } },
    });
    expect(await drift()).toEqual([]);
  });

  it('in flight: neither drift nor unclean', async () => {
    await fixture().sql('source', 'UPDATE by_key SET n = n + 1 WHERE id = 11');
    const { pass: done } = await pass();
    expect(done).toMatchObject({ clean: true, counts: { suspects: 1, inFlight: 1, drifted: 0 } });
  });

  it('missing: repaired at once, not clean, unverified until a later pass, flagged when it recurs', async () => {
    const { sql, rows } = fixture();
    await sql('target', 'DELETE FROM by_key WHERE id = 12');
    expect(await pass()).toMatchObject({
      stopped: false,
      pass: { clean: false, counts: { repaired: 1, drifted: 1 } },
    });
    expect(await rows('target', 'SELECT n FROM by_key WHERE id = 12')).toEqual([{ n: '12' }]);
    expect(await drift()).toMatchObject([
      { class: 'missing', repairedAt: expect.any(String) as string, verifiedAt: null, recurred: false },
    ]);

    expect(await pass()).toMatchObject({ pass: { clean: true } });
    expect(await drift()).toMatchObject([{ verifiedAt: expect.any(String) as string }]);

    await sql('target', 'DELETE FROM by_time WHERE id = 13');
    await pass();
    expect((await drift()).map((row) => row.recurred)).toEqual([true, false]);
    await sql('target', 'DELETE FROM by_time WHERE id = 14');
    await pass(50, 1);
    expect((await drift()).map((row) => row.recurred)).toEqual([false, true, false]);
  });

  it('different: the line stops, nothing is written, and the evidence names columns, never values', async () => {
    const { sql, rows, pair } = fixture();
    await pass();
    await sql('target', "UPDATE by_key SET n = 424242, note = 'secret' WHERE id = 15");
    const before = (await drift()).length;
    expect(await pass()).toMatchObject({
      stopped: true,
      pass: { clean: false, counts: { repaired: 0, drifted: 1 } },
    });
    expect(await rows('target', 'SELECT n FROM by_key WHERE id = 15')).toEqual([{ n: '424242' }]);
    const [found] = await drift();
    expect(found).toMatchObject({ class: 'different', columns: 'n, note', repairedAt: null });
    expect(found!.sourceHash).toMatch(/^[0-9a-f]{64}$/);
    expect(found!.targetHash).toMatch(/^[0-9a-f]{64}$/);
    expect(found!.sourceHash).not.toBe(found!.targetHash);
    const everything = await pair.source.rows(`SELECT * FROM \`${pair.control}\`.drift`);
    expect(JSON.stringify(everything)).not.toMatch(/secret|424242/);

    // The same drift seen again is one piece of evidence.
    await pass();
    expect(await drift()).toHaveLength(before + 1);
    await sql('target', "UPDATE by_key SET n = 15, note = 'x' WHERE id = 15");
  });

  it('extra: the line stops and the row is kept', async () => {
    const { sql, rows } = fixture();
    await sql('target', "INSERT INTO by_time VALUES (5000, 'ant', '2026-01-01', 1)");
    expect(await pass()).toMatchObject({ stopped: true, pass: { clean: false } });
    expect((await drift())[0]).toMatchObject({ class: 'extra', sourceHash: null });
    expect(await rows('target', 'SELECT id FROM by_time WHERE id = 5000')).toHaveLength(1);
  });

  it('what a verdict stood on is kept with its drift', async () => {
    const { sql, pair } = fixture();
    await sql('target', "UPDATE by_key SET note = 'seen' WHERE id = 21");
    await sql('source', "INSERT INTO by_time VALUES (21000, 'bee', '2026-01-01', 1)");
    const { pass: done } = await pass();
    const [row] = await pair.source.rows(
      `SELECT inputs, repaired_by FROM \`${pair.control}\`.drift WHERE pass_id = ${done.id} AND class = 'different'`,
    );
    const [journal] = await pair.source.rows(`SELECT MAX(id) AS id FROM \`${pair.control}\`.journal`);
    expect(row!['repaired_by']).toBeNull();
    expect(JSON.parse(row!['inputs']!)).toMatchObject({
      look: 1,
      how: 'read',
      locked: ['ant'],
      sourceRow: true,
      sourceOwner: 'ant',
      ownerMirrored: true,
      targetRow: true,
      targetOwner: 'ant',
      journaled: false,
      journalIds: { last: journal!['id'] },
      source: { version: (await pair.source.server()).version },
      target: { id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string },
    });
    await sql('target', "UPDATE by_key SET note = 'x' WHERE id = 21");
  });

  it('every window says when it was read, by which executor, and what both sides digested to', async () => {
    const { pair } = fixture();
    const { pass: done } = await pass();
    const windows = await pair.source.rows(
      `SELECT executor, source_digest, TIMESTAMPDIFF(MICROSECOND, started_at, at) AS took FROM \`${pair.control}\`.pass_window WHERE pass_id = ${done.id}`,
    );
    expect(windows.length).toBe(done.counts.windows);
    for (const row of windows) {
      expect(row['executor']).toMatch(/^(sql|stream)$/);
      expect(row['source_digest']).toMatch(/^[0-9a-f]{32}$/);
      expect(Number(row['took'])).toBeGreaterThanOrEqual(0);
    }
  });

  it('a table that is wrong everywhere is kept row by row up to a bound, and counted beyond it', async () => {
    const { sql, pair } = fixture();
    const rows = Array.from({ length: 1_300 }, (_, n) => `(7, ${50_000 + n}, 'ant', 1, NULL)`);
    await sql('target', `INSERT INTO by_key VALUES ${rows.join(', ')}`);
    const counted = async (id: number) =>
      pair.source.rows(
        `SELECT found, kept, (SELECT COUNT(*) FROM \`${pair.control}\`.drift WHERE pass_id = ${id} AND class = 'extra') AS recorded
         FROM \`${pair.control}\`.pass_drift WHERE pass_id = ${id} AND class = 'extra' AND found > 1`,
      );
    const first = await pass(5_000);
    expect(await counted(first.pass.id)).toEqual([{ found: '1300', kept: '1000', recorded: '1000' }]);
    // Still wrong at the next pass: nothing more is kept, and nobody is told again.
    const second = await pass(5_000);
    expect(await counted(second.pass.id)).toEqual([{ found: '1300', kept: '0', recorded: '0' }]);
    expect([first.fresh, second.fresh]).toEqual([1_000, 0]);
    await sql('target', 'DELETE FROM by_key WHERE id >= 50000');
  });
});
