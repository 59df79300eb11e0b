/** What both sides have just answered alike is not asked again for a moment, and counts as compared. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { RowDataPacket } from 'mysql2/promise';
import { beforeAll, expect, it } from 'vitest';

import type { Router } from '../../src/app/index.ts';
import { add, bodies, plans, until, useApp } from './support.ts';

const { fixture, open } = useApp();

beforeAll(async () => {
  await fixture().install(plans);
});

/** Statements of the target's that read messages. */
async function asked(): Promise<number> {
  const { target, targetSchema } = fixture().pair;
  const [row] = await target.rows(
    `SELECT COALESCE(SUM(COUNT_STAR), 0) AS n FROM performance_schema.events_statements_summary_by_digest
     WHERE SCHEMA_NAME = '${targetSchema}' AND DIGEST_TEXT LIKE 'SELECT \`body\` FROM \`messages\`%'`,
  );
  return Number(row!['n']);
}

const samples = (router: Router, count: number): Promise<number> =>
  until(() => router.stats().shadow.samples >= count, `${count} are compared`);

async function opened(tenant: string): Promise<Router> {
  await fixture().start(tenant, 'shadow-read');
  const router = await open({ sampleRate: 1 });
  await add(router, tenant, 'right');
  await fixture().mirror.drain(tenant);
  return router;
}

it('is asked once, counts each time, and is asked again when its answer is another', async () => {
  const router = await opened('same');
  const before = await asked();
  await bodies(router, 'same');
  await samples(router, 1);
  for (let count = 2; count <= 20; count += 1) await bodies(router, 'same');
  expect(router.stats().shadow).toMatchObject({ samples: 20, repeated: 19, differing: 0 });
  expect(await asked()).toBe(before + 1);

  await add(router, 'same', 'and more');
  await fixture().mirror.drain('same');
  await bodies(router, 'same');
  await samples(router, 21);
  expect(router.stats().shadow).toMatchObject({ repeated: 19, differing: 0 });
  expect(await asked()).toBe(before + 2);
});

it('sees within five seconds that the other side alone has changed', async () => {
  const router = await opened('corrupt');
  await bodies(router, 'corrupt');
  await samples(router, 1);
  await fixture().corrupt('corrupt', "UPDATE messages SET body = 'wrong' WHERE tenant_id = 'corrupt'");
  const took = await until(async () => {
    await bodies(router, 'corrupt');
    await sleep(20);
    return router.stats().shadow.differing > 0;
  }, 'the difference is found');
  expect(took).toBeLessThan(8_000); // with the look at one instant
});

it.each<[string, (router: Router, n: number) => Promise<unknown>]>([
  [
    'another value',
    (router, n) =>
      router
        .tenant('other')
        .read('one', (conn) =>
          conn.query('SELECT body FROM messages WHERE tenant_id = ? AND id > ?', ['other', -n]),
        ),
  ],
  [
    'another statement',
    (router, n) =>
      router
        .tenant('other')
        .read('one', (conn) =>
          conn.query(`SELECT body FROM messages WHERE tenant_id = 'other' AND id > ${-n}`),
        ),
  ],
  [
    'another name',
    (router, n) =>
      router
        .tenant('other')
        .read(`name ${n}`, (conn) =>
          conn.execute('SELECT body FROM messages WHERE tenant_id = ?', ['other']),
        ),
  ],
  [
    'a value that the driver asks for its SQL',
    (router) =>
      router
        .tenant('other')
        .read('raw', (conn) =>
          conn.query('SELECT body FROM messages WHERE tenant_id = ?', [{ toSqlString: () => "'other'" }]),
        ),
  ],
  [
    'a cast of the application’s own',
    (router) =>
      router.tenant('other').read('cast', (conn) =>
        conn.query({
          sql: "SELECT body FROM messages WHERE tenant_id = 'other'",
          typeCast: (_field, next) => next(),
        }),
      ),
  ],
  [
    'bytes among the rows',
    (router) =>
      router
        .tenant('other')
        .read('bytes', (conn) => conn.query("SELECT X'00ff' AS raw FROM messages WHERE tenant_id = 'other'")),
  ],
  [
    'a BigInt among the values',
    (router) =>
      router
        .tenant('other')
        .read('big', (conn) =>
          conn.query("SELECT body FROM messages WHERE tenant_id = 'other' AND id > ?", [0n]),
        ),
  ],
  [
    'what the function makes of it',
    (router, n) =>
      router.tenant('other').read('made', async (conn) => {
        const [rows] = await conn.query<RowDataPacket[]>('SELECT body FROM messages WHERE tenant_id = ?', [
          'other',
        ]);
        return [n, rows.length];
      }),
  ],
])('%s is another question', async (_, read) => {
  const router = await opened('other');
  for (let n = 1; n <= 5; n += 1) {
    await read(router, n);
    await samples(router, n);
  }
  expect(router.stats().shadow).toMatchObject({ samples: 5, repeated: 0 });
});

it('what differs is looked at each time', async () => {
  const router = await opened('differs');
  await fixture().corrupt('differs', "UPDATE messages SET body = 'wrong' WHERE tenant_id = 'differs'");
  for (let count = 1; count <= 3; count += 1) {
    await bodies(router, 'differs');
    await samples(router, count);
  }
  expect(router.stats().shadow).toMatchObject({ samples: 3, differing: 3, repeated: 0 });
});

it('a function that leaves rows out hides no difference of theirs', async () => {
  const router = await opened('filters');
  const none = () =>
    router.tenant('filters').read('none', async (conn) => {
      const [rows] = await conn.query<RowDataPacket[]>(
        "SELECT body FROM messages WHERE tenant_id = 'filters'",
      );
      rows.splice(0, rows.filter(({ body }) => body === 'right').length);
      return rows;
    });
  // The target's row differs in what the function looks at, on the target alone it leaves nothing out.
  await fixture().corrupt('filters', "UPDATE messages SET body = 'wrong' WHERE tenant_id = 'filters'");
  await none();
  await samples(router, 1);
  expect(router.stats().shadow).toMatchObject({ differing: 1 });
  // … and where it makes the same of rows that differ, they are asked again.
  const count = () =>
    router.tenant('filters').read('count', async (conn) => {
      const [rows] = await conn.query<RowDataPacket[]>(
        "SELECT body FROM messages WHERE tenant_id = 'filters'",
      );
      return rows.splice(0, rows.length).length;
    });
  for (let n = 2; n <= 4; n += 1) {
    await count();
    await samples(router, n);
  }
  expect(router.stats().shadow).toMatchObject({ samples: 4, differing: 1, repeated: 0 });
});
