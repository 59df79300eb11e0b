/** The digest of a window: one value on every server, and no row that leaves it in silence. */
import { createConnection } from 'mysql2/promise';
import { beforeAll, expect, it } from 'vitest';

import { Database } from '../../src/db/database.ts';
import { digestOf, rowHash } from '../../src/db/digest.ts';
import { reconcileSlice } from '../../src/db/reconcile.ts';
import { limits } from '../support/limits.ts';
import { column, useFixture } from '../support/pair.ts';
import { ownMysql, stackInfo } from '../support/stack.ts';

const LIMITS = limits({ windowRows: 50, reconcileRows: 50 });

const small = ownMysql('small');
const fixture = useFixture(
  [
    'CREATE TABLE files (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, body VARBINARY(60000), KEY (tenant_id))',
    'CREATE TABLE docs (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, doc JSON NOT NULL, KEY (tenant_id))',
    'CREATE TABLE pairs (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, a VARCHAR(20) NOT NULL, b VARCHAR(20) NOT NULL, KEY (tenant_id))',
  ],
  () => ({ sourceUrl: small().url(), targetUrl: stackInfo().targetUrl }),
);

beforeAll(async () => {
  await fixture().install({ files: column(), pairs: column(), docs: column() });
  await fixture().start('ant');
});

const HASHES = (unhashed: string) =>
  `SELECT IF(n IN (${unhashed}), NULL, SHA2(n, 256)) AS h FROM (SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3) v`;

it('a row without a hash makes the digest differ every time, and two of them do not cancel', async () => {
  const { source } = fixture().pair;
  expect(await digestOf(source, HASHES('0'))).toEqual(await digestOf(source, HASHES('0')));
  for (const unhashed of ['2', '1, 3']) {
    const [one, other] = [await digestOf(source, HASHES(unhashed)), await digestOf(source, HASHES(unhashed))];
    expect(one.rows).toBe(3);
    expect(one.digest).toMatch(/^[0-9a-f]{32}$/);
    expect(one.digest).not.toBe(other.digest);
  }
});

/** The digest of what stands in `pairs` on the source. */
async function digestOfPairs(): Promise<string> {
  const { pair, tracked } = fixture();
  const { table } = tracked.byName('pairs');
  const hash = rowHash({ table, side: 'source' }, 't');
  return (await digestOf(pair.source, `SELECT ${hash} AS h FROM ${table.schema}.pairs t`)).digest;
}

it('the same change on an even number of rows does not cancel', async () => {
  const { sql } = fixture();
  await sql('source', "INSERT INTO pairs VALUES (1, 'ant', '10', 'x'), (2, 'ant', '20', 'x')");
  const before = await digestOfPairs();
  await sql('source', "UPDATE pairs SET a = IF(id = 1, '20', '10')");
  expect(await digestOfPairs()).not.toBe(before);
  await sql('source', "UPDATE pairs SET a = IF(id = 1, '10', '20'), b = 'y'");
  expect(await digestOfPairs()).not.toBe(before);
});

it('text that moves from one column to the next is a difference', async () => {
  const { sql } = fixture();
  await sql('source', "REPLACE INTO pairs VALUES (1, 'ant', 'a|b', 'c')");
  const before = await digestOfPairs();
  await sql('source', "REPLACE INTO pairs VALUES (1, 'ant', 'a', 'b|c')");
  expect(await digestOfPairs()).not.toBe(before);
});

it('JSON that arrives as its text means is no drift, and a window of it is digested once more', async () => {
  const { sql, mirror, pair, tracked, rows } = fixture();
  await sql('source', "DELETE FROM pairs WHERE tenant_id = 'ant'");
  await sql(
    'source',
    `INSERT INTO docs VALUES (1, 'ant', CAST(1.10 AS JSON)), (2, 'ant', JSON_OBJECT('d', CAST('2.50' AS DECIMAL(5, 2)))), (3, 'ant', '{"n": 1}')`,
  );
  await mirror.drain('ant');
  const pass = () =>
    reconcileSlice(pair, tracked, {
      tenant: 'ant',
      limits: LIMITS,
      missingAgain: 1_000,
      progress: () => {},
      until: () => false,
    });
  expect((await pass()).pass).toMatchObject({ clean: true, counts: { suspects: 0, drifted: 0, rows: 3 } });
  const windows = await rows(
    'source',
    `SELECT source_digest, target_digest FROM \`${pair.control}\`.pass_window WHERE source_rows = 3`,
  );
  expect(windows).toHaveLength(1);
  expect(windows[0]!['source_digest']).toBe(windows[0]!['target_digest']);
  await sql('target', "UPDATE docs SET doc = JSON_OBJECT('d', 2.51) WHERE id = 2");
  expect((await pass()).pass).toMatchObject({ clean: false, counts: { suspects: 1, drifted: 1 } });
  await sql('source', 'DELETE FROM docs');
  await mirror.drain('ant');
});

it('a row too long for a packet is a fault with its way out, never an equal window', async () => {
  const { sql, mirror, pair, tracked } = fixture();
  await sql('source', "INSERT INTO files VALUES (1, 'ant', REPEAT('x', 60000)), (2, 'ant', 'y')");
  await mirror.drain('ant');
  const root = await createConnection(small().rootUrl());
  await root.query('SET GLOBAL max_allowed_packet = 65536');
  await root.end();
  const narrow = new Database({ side: 'source', url: small().url() });
  const pass = (source: Database) =>
    reconcileSlice({ ...pair, source }, tracked, {
      tenant: 'ant',
      limits: LIMITS,
      missingAgain: 1_000,
      progress: () => {},
      until: () => false,
    });
  // Its HEX is 120,000 characters.
  await expect(pass(narrow)).rejects.toThrow(/^source: .*max_allowed_packet.*raise it/);
  expect((await pass(pair.source)).pass.clean).toBe(true);
  await narrow.close();
});
