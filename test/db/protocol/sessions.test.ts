/** What the protocol needs of a session, tried on sessions that nobody has used before. */
import { createConnection } from 'mysql2/promise';
import { expect, it } from 'vitest';

import { copyTable } from '../../../src/db/backfill.ts';
import { Database } from '../../../src/db/database.ts';
import { stripError } from '../../../src/db/faults.ts';
import { Mirror } from '../../../src/db/mirror.ts';
import type { Pair } from '../../../src/db/tracked.ts';
import { column, useFixture } from '../../support/pair.ts';
import { stackInfo } from '../../support/stack.ts';

const fixture = useFixture([
  'CREATE TABLE items (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, KEY (tenant_id))',
]);

it('mirror and backfill delete rows in sessions that have no default schema', async () => {
  const { pair, sql, rows, install, start } = fixture();
  await install({ items: column() });
  await start('ant');
  await sql('source', "INSERT INTO items VALUES (1, 'ant', 1), (2, 'ant', 1)");
  const { sourceUrl, targetUrl } = stackInfo();
  const fresh: Pair = {
    ...pair,
    source: new Database({ side: 'source', url: sourceUrl }),
    target: new Database({ side: 'target', url: targetUrl }),
  };
  const mirror = new Mirror(fresh, fixture().tracked);
  expect(await mirror.drain('ant')).toBe(2);
  await sql('source', 'DELETE FROM items WHERE id = 1');
  expect(await mirror.drain('ant')).toBe(1);
  expect(await rows('target', 'SELECT id FROM items')).toEqual([{ id: '2' }]);

  await sql('target', "INSERT INTO items VALUES (3, 'ant', 3)");
  await copyTable(fresh, fixture().tracked, {
    tenant: 'ant',
    round: 1,
    tableId: fixture().tracked.byName('items').id,
    limits: {
      windowTarget: 100,
      windowRows: 10,
      windowBytes: 8_388_608,
      reconcileRows: 10,
      backfillParallel: 1,
      threadsRunning: 100,
      rowsPerSecond: 0,
    },
    pace: () => Promise.resolve(0),
    progress: () => {},
    until: () => false,
  });
  expect(await rows('target', 'SELECT id FROM items')).toEqual([{ id: '2' }]);
  await Promise.all([fresh.source.close(), fresh.target.close()]);
});

it('a connection that the driver has given up is a transient fault', async () => {
  const connection = await createConnection(stackInfo().sourceUrl);
  connection.on('error', () => {});
  connection.destroy();
  const error: unknown = await connection.query('SELECT 1').catch((caught: unknown) => caught);
  expect(stripError('source', error)).toMatchObject({ name: 'TransientDatabaseError' });
});

it('a transaction whose session died reports its own fault, not the failed rollback', async () => {
  const { pair } = fixture();
  const error = await pair.target
    .transaction((session) => {
      session.destroy();
      return Promise.reject(new Error('the cause'));
    })
    .catch((caught: unknown) => caught);
  expect(error).toMatchObject({ message: 'the cause' });
});
