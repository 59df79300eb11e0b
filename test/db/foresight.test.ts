/** Batches of the tables of the batch before are read in one packet; every other one as if nothing had been foreseen. */
import { beforeAll, beforeEach, expect, it } from 'vitest';

import { STATEMENTS, type Statement } from '../../src/db/database.ts';
import { Foresight } from '../../src/db/foresight.ts';
import { Mirror } from '../../src/db/mirror.ts';
import { loadTracked } from '../../src/db/tracked.ts';
import { child, column, dump, useFixture } from '../support/pair.ts';

const fixture = useFixture([
  'CREATE TABLE orders (id BIGINT UNSIGNED PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, KEY (tenant_id))',
  'CREATE TABLE parts (order_id BIGINT UNSIGNED NOT NULL, code VARCHAR(20) NOT NULL, note LONGTEXT NULL, PRIMARY KEY (order_id, code))',
  'CREATE TABLE days (day DATE PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, KEY (tenant_id))',
  'CREATE TABLE codes (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, code INT NOT NULL, UNIQUE (code), KEY (tenant_id))',
]);
const TABLES = ['orders', 'parts', 'days', 'codes'];
/** `dump` orders by it. */
const ORDER: Readonly<Record<string, string>> = { parts: 'order_id, HEX(code)', days: 'day' };

let mirror: Mirror;

beforeAll(async () => {
  const { install, start, sql } = fixture();
  const parts = child('orders', 'order_id');
  await install({ orders: column(), parts, days: column(), codes: column() });
  for (const tenant of ['ant', 'bee']) await start(tenant);
  await sql(
    'source',
    "INSERT INTO orders VALUES (1, 'ant', 0), (2, 'bee', 0), (18446744073709551615, 'ant', 0)",
  );
  await sql('source', "INSERT INTO parts VALUES (1, 'a:b', 'x'), (1, 'ÄB ', NULL), (2, '', 'y')");
  await sql('source', "INSERT INTO days VALUES ('2026-01-01', 'ant', 0)");
  await sql('source', "INSERT INTO codes VALUES (1, 'ant', 1), (2, 'ant', 2)");
  for (const tenant of ['ant', 'bee']) await fixture().mirror.drain(tenant);
});

beforeEach(async () => {
  const { pair } = fixture();
  mirror = new Mirror(pair, await loadTracked(pair));
});

interface Said {
  /** Snapshots of the source that were begun. */
  readonly snapshots: number;
  /** Rollbacks of either side. */
  readonly rollbacks: number;
  readonly all: readonly Statement[];
}

async function reach(...tenants: string[]): Promise<Said> {
  const all: Statement[] = [];
  const hear = (message: unknown): void => void all.push(message as Statement);
  STATEMENTS.subscribe(hear);
  const reached = await mirror
    .reachTogether(tenants, () => Promise.resolve())
    .finally(() => STATEMENTS.unsubscribe(hear));
  expect([...reached]).toEqual(expect.arrayContaining(tenants));
  await same();
  const count = (pattern: RegExp): number => all.filter(({ sql }) => pattern.test(sql)).length;
  return { snapshots: count(/WITH CONSISTENT SNAPSHOT/), rollbacks: count(/^ROLLBACK/), all };
}

async function same(): Promise<void> {
  for (const table of TABLES) {
    const order = ORDER[table] ?? 'id';
    const source = await dump(fixture(), 'source', table, order);
    expect(await dump(fixture(), 'target', table, order), table).toEqual(source);
  }
}

/** One batch of the table, which is read as every batch is. */
async function learn(sql: string, ...tenants: string[]): Promise<void> {
  await fixture().sql('source', sql);
  expect(await reach(...tenants)).toMatchObject({ snapshots: 1, rollbacks: 0 });
}

/** How the one packet reads the journal. */
const FORESEEN = /AS other,/;

it.each([
  ['changed', 'UPDATE orders SET n = n + 1 WHERE id <> 2'],
  ['changed twice', 'UPDATE orders SET n = n + 1 WHERE id <> 2; UPDATE orders SET n = n + 1 WHERE id <> 2'],
  [
    'deleted and new',
    "DELETE FROM orders WHERE id > 2; INSERT INTO orders VALUES (3, 'ant', 1), (18446744073709551614, 'ant', 1)",
  ],
  ['with a key of two columns', "UPDATE parts SET note = CONCAT(note, 'z') WHERE order_id = 1"],
  ['with a new spelling', "UPDATE parts SET code = 'äb' WHERE code = 'ÄB'"],
])('rows %s are read in one packet', async (_, change) => {
  const table = /parts/.test(change)
    ? 'UPDATE parts SET note = 1 WHERE order_id = 1'
    : 'UPDATE orders SET n = n + 1 WHERE id <> 2';
  await learn(table, 'ant', 'bee');
  await fixture().sql('source', change);
  const { snapshots, rollbacks, all } = await reach('ant', 'bee');
  expect({ snapshots, rollbacks }).toEqual({ snapshots: 1, rollbacks: 0 });
  const at = (side: string, pattern: RegExp): number =>
    all.findIndex((one) => one.side === side && pattern.test(one.sql));
  expect(at('source', FORESEEN)).toBeGreaterThan(-1);
  // The target's tables were looked at before the source's rows were read.
  expect(at('target', /^SHOW CREATE TABLE/)).toBeGreaterThan(-1);
  expect(at('target', /^SHOW CREATE TABLE/)).toBeLessThan(at('source', FORESEEN));
});

it('several tables are foreseen together', async () => {
  await learn(
    'UPDATE orders SET n = n + 1 WHERE id <> 2; UPDATE parts SET note = 2 WHERE order_id = 1',
    'ant',
  );
  await fixture().sql(
    'source',
    'UPDATE orders SET n = n + 1 WHERE id <> 2; UPDATE parts SET note = 3 WHERE order_id = 1',
  );
  expect(await reach('ant')).toMatchObject({ snapshots: 1, rollbacks: 0 });
});

it('a batch of another table, or a long one, is read once more', async () => {
  await learn('UPDATE orders SET n = n + 1 WHERE id <> 2', 'ant');
  await fixture().sql(
    'source',
    'UPDATE orders SET n = n + 1 WHERE id <> 2; UPDATE codes SET code = code + 10',
  );
  expect(await reach('ant')).toMatchObject({ snapshots: 2, rollbacks: 0 });
  const many = Array.from({ length: 120 }, (_, n) => `(${n + 100}, 'ant', 0)`);
  await fixture().sql('source', `INSERT INTO orders VALUES ${many.join(', ')}`);
  mirror = new Mirror(fixture().pair, await loadTracked(fixture().pair));
  await fixture().sql('source', 'DELETE FROM orders WHERE id BETWEEN 100 AND 101');
  await learn('UPDATE orders SET n = n + 1 WHERE id = 1', 'ant');
  await fixture().sql('source', 'DELETE FROM orders WHERE id BETWEEN 102 AND 1000');
  expect((await reach('ant')).snapshots).toBe(2);
});

it('a backlog of another table is not walked through for rows of the one that was foreseen', async () => {
  await learn('UPDATE orders SET n = n + 1 WHERE id = 1', 'ant');
  const many = Array.from({ length: 3_000 }, (_, n) => `(1, 'n${n}', NULL)`);
  await fixture().sql('source', `INSERT INTO parts VALUES ${many.join(', ')}`);
  const { source } = fixture().pair;
  const examined = async (): Promise<number> => {
    const [row] = await source.rows(
      `SELECT COALESCE(SUM(SUM_ROWS_EXAMINED), 0) AS n FROM performance_schema.events_statements_summary_by_digest
       WHERE DIGEST_TEXT LIKE 'SELECT ? , \`f\` . \`row_key\` ,%'`,
    );
    return Number(row!['n']);
  };
  const before = await examined();
  await mirror.reachTogether(['ant'], () => Promise.resolve());
  expect((await examined()) - before).toBeLessThan(1_000);
  await mirror.drain('ant');
  await fixture().sql('source', "DELETE FROM parts WHERE code LIKE 'n%'");
  await mirror.drain('ant');
});

it('a table that is tracked no longer is not foreseen', async () => {
  await learn('UPDATE orders SET n = n + 1 WHERE id = 1', 'ant');
  const { tracked } = fixture();
  const { id } = tracked.byName('orders');
  const foresight = new Foresight();
  foresight.learn({ keys: [{ tenant: 'ant', tableId: id, key: '1:1' }] });
  expect(foresight.of(tracked, ['ant'])).toEqual([id]);
  foresight.learn({ keys: [{ tenant: 'ant', tableId: 4_711, key: '1:1' }] });
  expect(foresight.of(tracked, ['ant'])).toEqual([]);
});

it('a key that is written over and over is read ahead once in a while', async () => {
  await learn('UPDATE orders SET n = n + 1 WHERE id = 1', 'ant');
  const often = Array.from({ length: 11 }, () => 'UPDATE orders SET n = n + 1 WHERE id = 1').join(';');
  const tries: number[] = [];
  for (let batch = 1; batch <= 18; batch += 1) {
    await fixture().sql('source', often);
    const { snapshots, all } = await reach('ant');
    if (all.some(({ sql }) => FORESEEN.test(sql))) tries.push(batch);
    expect(snapshots).toBe(tries.at(-1) === batch ? 2 : 1);
  }
  expect(tries).toEqual([1, 18]);
});

it('keys of types whose text may hold a colon are never foreseen', async () => {
  await learn('UPDATE days SET n = n + 1', 'ant');
  await fixture().sql('source', 'UPDATE days SET n = n + 1');
  const { snapshots, all } = await reach('ant');
  expect(snapshots).toBe(1);
  expect(all.filter(({ sql }) => FORESEEN.test(sql))).toEqual([]);
});

it('a row that is another tenant’s on the target is written under its lock, too', async () => {
  const { sql } = fixture();
  await learn("UPDATE orders SET n = n + 1 WHERE tenant_id = 'ant'", 'ant');
  // As if the journal row of the row's former owner had been applied and is forgotten, and its move is not.
  await sql('target', "UPDATE orders SET tenant_id = 'bee' WHERE id = 1");
  await sql('source', 'UPDATE orders SET n = n + 1 WHERE id = 1');
  const { rollbacks, all } = await reach('ant');
  expect(rollbacks).toBeGreaterThan(0);
  const locks = all.filter(({ side, sql: text }) => side === 'target' && /FOR UPDATE/.test(text));
  expect(locks.at(-1)!.sql).toContain(Buffer.from('bee').toString('hex'));
});

it('a row whose new tenant has journaled nothing since stays where it is', async () => {
  const { sql } = fixture();
  await learn("INSERT INTO orders VALUES (50, 'ant', 0)", 'ant');
  await sql('source', "UPDATE orders SET tenant_id = 'bee' WHERE id = 50");
  await fixture().mirror.drain('bee');
  expect((await reach('ant', 'bee')).snapshots).toBe(2);
});

it('values that move between rows of a unique index end where they are on the source', async () => {
  await learn('UPDATE codes SET code = code + 100 ORDER BY code DESC', 'ant');
  await fixture().sql(
    'source',
    'UPDATE codes SET code = -1 WHERE id = 1; UPDATE codes SET code = code - 1 WHERE id = 2; UPDATE codes SET code = 900 WHERE id = 1',
  );
  await reach('ant');
});

it('large rows are read ahead once, and then as every batch is', async () => {
  await learn("UPDATE parts SET note = 'x' WHERE order_id = 1", 'ant');
  await fixture().sql('source', "UPDATE parts SET note = REPEAT('x', 2000000) WHERE order_id = 1");
  await reach('ant');
  await fixture().sql('source', "UPDATE parts SET note = REPEAT('y', 2000000) WHERE order_id = 1");
  const { snapshots, all } = await reach('ant');
  expect(snapshots).toBe(1);
  expect(all.filter(({ sql }) => FORESEEN.test(sql))).toEqual([]);
});

it('an altered table that was foreseen is said of, and what is not of it goes on', async () => {
  const { sql } = fixture();
  await learn('UPDATE codes SET code = code + 1 WHERE id = 1', 'ant');
  await sql('target', 'ALTER TABLE codes ADD more INT NOT NULL');
  try {
    await sql('source', 'UPDATE orders SET n = n + 1 WHERE id = 1');
    await mirror.reachTogether(['ant'], () => Promise.resolve());
    expect(await dump(fixture(), 'target', 'orders')).toEqual(await dump(fixture(), 'source', 'orders'));
    mirror = new Mirror(fixture().pair, await loadTracked(fixture().pair));
    await sql('source', 'UPDATE codes SET code = code + 1 WHERE id = 1');
    await expect(mirror.reachTogether(['ant'], () => Promise.resolve())).rejects.toThrow(
      'target table codes was altered: column more is new',
    );
  } finally {
    await sql('target', 'ALTER TABLE codes DROP COLUMN more');
  }
});
