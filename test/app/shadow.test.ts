/** Shadow reads: what they count, and what they never do. */
import { setTimeout as sleep } from 'node:timers/promises';

import { beforeAll, expect, it } from 'vitest';

import { qualified, tenantLiteral } from '../../src/db/sql.ts';
import type { Router } from '../../src/app/index.ts';
import { add, bodies, plans, until, useApp } from './support.ts';

const { fixture, open, flip } = useApp();

beforeAll(async () => {
  await fixture().install(plans);
});

const recorded = async (tenant: string) => {
  const { source, control } = fixture().pair;
  const [row] = await source.rows(
    `SELECT SUM(samples) AS samples, SUM(differing) AS differing FROM ${qualified(control, 'shadow')} WHERE tenant = ${tenantLiteral(tenant)}`,
  );
  return { samples: Number(row?.['samples'] ?? 0), differing: Number(row?.['differing'] ?? 0) };
};

const settled = (router: Router, samples: number) =>
  until(() => router.stats().shadow.samples >= samples, `${samples} shadow reads were decided`, 30_000);

it.each(['shadow-read', 'read-target'] as const)(
  'never counts racing writes as a difference, in %s',
  async (stage) => {
    const tenant = `racing-${stage}`;
    await fixture().start(tenant, stage);
    const router = await open({ sampleRate: 1 });
    const foreign = await open({ node: `foreign-${stage}` });
    const deadline = Date.now() + 6_000;
    const writing = [router, foreign].map(async (writer, index) => {
      for (let round = 0; Date.now() < deadline; round += 1) {
        const id = await add(writer, tenant, `w${index} ${round}`);
        await writer
          .tenant(tenant)
          .write((conn) =>
            round % 3 === 0
              ? conn.execute('DELETE FROM messages WHERE id = ?', [id])
              : conn.execute('UPDATE messages SET price = price + 1 WHERE id = ?', [id]),
          );
      }
    });
    const reading = (async () => {
      // On a busy machine the tenant lags for most of the time, and what lags is not sampled.
      while (Date.now() < deadline + 20_000) {
        if (Date.now() > deadline && router.stats().shadow.samples >= 20) break;
        await bodies(router, tenant);
        await router
          .tenant(tenant)
          .read('sum', (conn) =>
            conn.query('SELECT COUNT(*) AS n, SUM(price) AS price FROM messages WHERE tenant_id = ?', [
              tenant,
            ]),
          );
        await sleep(10);
      }
    })();
    await Promise.all([...writing, reading]);
    await settled(router, 20);

    expect(router.stats().shadow.differing).toBe(0);
  },
);

it('counts a corrupted target row, under the name of the read, also while others write', async () => {
  await fixture().start('corrupted', 'shadow-read');
  const router = await open({ sampleRate: 1 });
  const id = await add(router, 'corrupted', 'right');
  await fixture().mirror.drain('corrupted');
  await fixture().corrupt('corrupted', `UPDATE messages SET body = 'wrong' WHERE id = ${id}`);

  for (let round = 1; round <= 5; round += 1) {
    await add(router, 'corrupted', `later ${round}`);
    await bodies(router, 'corrupted');
    await settled(router, round); // the same question again, under way, would count as one
  }
  await until(async () => (await recorded('corrupted')).differing === 5, 'the ledger says so');

  expect(router.stats().shadow).toMatchObject({ samples: 5, differing: 5 });
  expect(await recorded('corrupted')).toEqual({ samples: 5, differing: 5 });
});

it('compares the source after the flip', async () => {
  await fixture().start('reverse', 'shadow-read');
  const router = await open({ sampleRate: 1, pollMs: 20 });
  const id = await add(router, 'reverse', 'right');
  await fixture().mirror.drain('reverse');
  await flip('reverse', 'read-target');
  await until(() => router.stage('reverse') === 'read-target', 'the node follows');

  await until(async () => {
    await bodies(router, 'reverse');
    return router.stats().shadow.samples > 0;
  }, 'an equal sample');
  const equal = router.stats().shadow;
  await fixture().corrupt('reverse', `UPDATE messages SET body = 'wrong' WHERE id = ${id}`);
  expect(await bodies(router, 'reverse')).toEqual(['wrong']);
  await until(() => router.stats().shadow.differing === 1, 'a differing sample');

  expect(equal.differing).toBe(0);
});

it('sees a difference in bytes that are no text, and in the last digit of a decimal', async () => {
  await fixture().start('exact', 'shadow-read');
  const router = await open({ sampleRate: 1 });
  // Each a question of its own: the same one would be taken for compared.
  const read = (column: string, price = 0) =>
    router
      .tenant('exact')
      .read(column, (conn) =>
        conn.query(`SELECT ${column} FROM messages WHERE tenant_id = 'exact' AND price > ?`, [price]),
      );
  await router
    .tenant('exact')
    .write((conn) =>
      conn.execute(
        "INSERT INTO messages (tenant_id, body, price, raw) VALUES ('exact', '', 9007199254740993.0001, X'00ff')",
      ),
    );
  await fixture().mirror.drain('exact');
  await Promise.all([read('price'), read('raw')]);
  await settled(router, 2);
  expect(router.stats().shadow.differing).toBe(0);

  await fixture().corrupt(
    'exact',
    "UPDATE messages SET price = 9007199254740993.0002, raw = X'00fe' WHERE tenant_id = 'exact'",
  );
  await Promise.all([read('price', 1), read('raw', 1)]);
  await settled(router, 4);

  expect(router.stats().shadow.differing).toBe(2);
});

it('counts a read that only the target refuses', async () => {
  await fixture().start('refusing', 'shadow-read');
  const router = await open({ sampleRate: 1 });
  await fixture().sql('source', 'ALTER TABLE countries ADD COLUMN prefix INT NULL');

  const read = router
    .tenant('refusing')
    .read('prefixes', (conn) => conn.query('SELECT prefix FROM countries'));
  await expect(read).resolves.toMatchObject([[], {}]);
  await settled(router, 1);
  await fixture().sql('source', 'ALTER TABLE countries DROP COLUMN prefix');

  expect(router.stats().shadow).toMatchObject({ differing: 1, classes: { error: 1 } });
});

it('does not count rows in another order', async () => {
  await fixture().start('order', 'shadow-read');
  const router = await open({ sampleRate: 1 });
  for (const body of ['a', 'b', 'c']) await add(router, 'order', body);
  await fixture().mirror.drain('order');

  let calls = 0;
  await router.tenant('order').read('shuffled', (conn) => {
    calls += 1;
    const direction = calls % 2 === 0 ? 'DESC' : 'ASC';
    return conn.query(`SELECT body FROM messages WHERE tenant_id = 'order' ORDER BY id ${direction}`);
  });
  await settled(router, 1);

  expect(router.stats().shadow).toMatchObject({ samples: 1, differing: 0, reordered: 1 });
});

it('counts nothing while shared rows are still on their way', async () => {
  await fixture().start('_shared', 'dual-write');
  await fixture().start('sharing', 'shadow-read');
  const router = await open({ sampleRate: 1 });
  const read = () =>
    router
      .tenant('sharing')
      .read('countries', (conn) => conn.query('SELECT code, name FROM countries ORDER BY code'));
  await fixture().sql('source', "INSERT INTO countries VALUES ('de', 'Germany')");

  await read();
  await until(() => router.stats().shadow.undecided === 1, 'it was given up');
  await fixture().mirror.drain('_shared');
  await read();
  await settled(router, 1);

  expect(router.stats().shadow).toMatchObject({ samples: 1, differing: 0, undecided: 1 });
});

it('drops what does not fit its queue, and says so', async () => {
  await fixture().start('flood', 'shadow-read');
  const router = await open({ sampleRate: 1 });
  await add(router, 'flood', 'one');

  await Promise.all(Array.from({ length: 400 }, () => bodies(router, 'flood')));
  const { samples, dropped, undecided } = await (async () => {
    await until(() => router.stats().shadow.samples > 0, 'some were decided', 20_000);
    return router.stats().shadow;
  })();

  expect(dropped).toBeGreaterThan(0);
  expect(samples + dropped + undecided).toBeLessThanOrEqual(400);
});
