/** What the protocol needs of a session, tried on sessions that nobody has used before. */
import { setTimeout as sleep } from 'node:timers/promises';

import { createConnection } from 'mysql2/promise';
import { expect, it } from 'vitest';

import { copyTable } from '../../../src/db/backfill.ts';
import { Database, type Session } from '../../../src/db/database.ts';
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

it('a transaction begins in the packet of its first statement, and what comes before a refused one is undone', async () => {
  const { pair, sql, rows } = fixture();
  await sql('target', "REPLACE INTO items VALUES (7, 'ant', 1)");
  const insideOf = (session: Session) =>
    session.rows(
      `SELECT COUNT(*) AS n FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = CONNECTION_ID()`,
    );
  const update = `UPDATE \`${pair.targetSchema}\`.items SET n = 2 WHERE id = 7`;
  const failing = pair.target.transaction(async (session) => {
    await session.run(update);
    expect(await insideOf(session)).toEqual([{ n: '1' }]);
    await session.run('SELECT nothing');
  });
  await expect(failing).rejects.toMatchObject({ errno: 1054 });
  expect(await rows('target', 'SELECT n FROM items WHERE id = 7')).toEqual([{ n: '1' }]);

  await pair.target.transaction((session) => session.run(update));
  expect(await rows('target', 'SELECT n FROM items WHERE id = 7')).toEqual([{ n: '2' }]);
});

it.each([true, false])('several statements are answered in their order, combined: %s', async (combines) => {
  const { sourceUrl } = stackInfo();
  const database = new Database({ side: 'source', url: sourceUrl, combines });
  const answers = await database.session((session) =>
    session.rowsOfEach(['SELECT 1 AS a', 'SELECT 2 AS b UNION SELECT 3', 'SELECT 4 AS c WHERE FALSE']),
  );
  expect(answers).toEqual([[{ a: '1' }], [{ b: '2' }, { b: '3' }], []]);
  const stopped = database.session((session) => session.rowsOfEach(['SELECT nothing', 'SELECT 1']));
  await expect(stopped).rejects.toMatchObject({ errno: 1054 });
  await database.close();
});

it('a statement that is not ours never shares a session with packets that hold several', async () => {
  const { sourceUrl } = stackInfo();
  const [combining, single] = [true, false].map(
    (combines) => new Database({ side: 'source', url: sourceUrl, combines }),
  );
  const smuggled = { sql: 'SELECT 1; SELECT 2' };
  await expect(combining!.session((session) => session.pass(smuggled))).rejects.toThrow('is not lent');
  await expect(single!.session((session) => session.pass(smuggled))).rejects.toMatchObject({ errno: 1064 });
  await Promise.all([combining!.close(), single!.close()]);
});

it('a session that the target has ended while this process was busy is not lent again', async () => {
  const { targetUrl } = stackInfo();
  const target = new Database({ side: 'target', url: targetUrl, idleTimeout: 1_000 });
  try {
    const ask = () =>
      Promise.all(Array.from({ length: 3 }, () => target.rows('SELECT SLEEP(0.05) AS slept')));
    await ask();
    // Nothing that the server says meanwhile is heard.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500);
    expect(await ask()).toEqual(Array(3).fill([{ slept: '0' }]));
  } finally {
    await target.close();
  }
});

it('what is wrong while this process cuts its own connections is looked at once more', async () => {
  const target = new Database({ side: 'target', url: stackInfo().targetUrl });
  let looks = 0;
  const look = async (): Promise<string[]> => {
    looks += 1;
    const asked = Array.from({ length: 3 }, () => target.rows('SELECT SLEEP(0.3) AS slept'));
    return (await Promise.allSettled(asked)).flatMap((one) =>
      one.status === 'rejected' ? [String(one.reason)] : [],
    );
  };
  try {
    const found = target.undisturbed(look);
    await sleep(100);
    expect(await target.cut()).toBe(3);
    expect(await found).toEqual([]);
    expect(looks).toBe(2);

    expect(await target.undisturbed(() => Promise.resolve([(looks += 1)]))).toEqual([3]);
  } finally {
    await target.close();
  }
});

it('a process that has been idle cuts one connection all the same', async () => {
  const target = new Database({ side: 'target', url: stackInfo().targetUrl });
  try {
    expect(await target.cut()).toBe(1);
  } finally {
    await target.close();
  }
});
