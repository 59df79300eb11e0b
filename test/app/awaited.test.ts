/** Writes that wait for their mirror share it as long as it has not read the journal, and it does not wait for their commits. */
import { setTimeout as sleep } from 'node:timers/promises';

import { createPool, type Pool } from 'mysql2/promise';
import { afterEach, beforeAll, expect, it } from 'vitest';

import { STATEMENTS, type Statement } from '../../src/db/database.ts';
import { lockTenants } from '../../src/db/lock.ts';
import { stackInfo, urlWithSchema } from '../support/stack.ts';
import { add, plans, until, useApp } from './support.ts';

const { fixture, open } = useApp();
const PATIENT = { mirrorBudgetMs: 10_000 };

beforeAll(() => fixture().install(plans));
afterEach(() => STATEMENTS.unsubscribe(hear));

/** What the mirror sent, by what it is for. */
const seen = { locks: 0, readings: 0 };
function hear(statement: unknown): void {
  const { side, sql } = statement as Statement;
  if (side === 'target' && sql.includes('`tenant_lock`')) seen.locks += 1;
  if (side === 'source' && /^SELECT (f\.)?id, (f\.)?tenant, /.test(sql)) seen.readings += 1;
}

function listen(): void {
  Object.assign(seen, { locks: 0, readings: 0 });
  STATEMENTS.subscribe(hear);
}

const onTarget = async (id: string): Promise<boolean> =>
  ((await fixture().sql('target', `SELECT id FROM messages WHERE id = ${id}`)) as unknown[]).length === 1;

/** Writes, and looks at the target right when it is told. */
const addAndLook = async (router: Parameters<typeof add>[0], tenant: string): Promise<boolean> =>
  onTarget(await add(router, tenant, 'x'));

it('what commits before the journal is read shares one mirror', async () => {
  const { pair, start } = fixture();
  await start('boards', 'read-target');
  const router = await open(PATIENT);
  await add(router, 'boards', 'tables are known');
  listen();
  let writes: Promise<boolean>[] = [];
  await pair.target.transaction(async (session) => {
    await lockTenants(session, pair.control, ['boards']);
    for (let n = 0; n < 6; n += 1) {
      writes.push(addAndLook(router, 'boards'));
      await sleep(20);
    }
    await until(() => router.stats().writes === 7, 'all have committed');
    expect(seen.readings).toBe(0);
  });

  expect(await Promise.all(writes)).toEqual(writes.map(() => true));
  expect(seen.readings).toBe(1);
});

it('what commits after it waits for the next', async () => {
  const { pair, start, sql } = fixture();
  await start('late', 'read-target');
  const router = await open(PATIENT);
  const first = await add(router, 'late', 'first');
  listen();
  let writes: Promise<boolean>[] = [];
  await pair.target.transaction(async (session) => {
    // The mirror of this row has read, and waits to write it.
    await session.rows(`SELECT id FROM ${pair.targetSchema}.messages WHERE id = ${first} FOR UPDATE`);
    let updated: Promise<unknown> = Promise.resolve();
    await pair.target.transaction(async (locker) => {
      await lockTenants(locker, pair.control, ['late']);
      updated = router
        .tenant('late')
        .write((conn) => conn.query(`UPDATE messages SET body = 'second' WHERE id = ${first}`));
      await until(() => router.stats().writes === 2, 'it has committed');
    });
    await until(() => seen.readings === 1, 'the journal is read');
    writes = [addAndLook(router, 'late'), addAndLook(router, 'late'), updated.then(() => true)];
    await until(() => router.stats().writes === 4, 'they have committed');
  });

  expect(await Promise.all(writes)).toEqual([true, true, true]);
  expect(seen.readings).toBe(2);
  expect(await sql('target', `SELECT body FROM messages WHERE id = ${first}`)).toEqual([{ body: 'second' }]);
});

function poolOf(url: string, side: 'source' | 'target'): Pool {
  const { pair } = fixture();
  return createPool(urlWithSchema(url, side === 'source' ? pair.sourceSchema : pair.targetSchema));
}

type Answer = (...result: unknown[]) => void;

/** What becomes of each COMMIT of the pool. */
function atCommit(
  pool: Pool,
  act: (send: (sql: string, answered?: (answer: Answer) => Answer) => void) => void,
): void {
  pool.on('connection', (connection) => {
    const core = connection as unknown as { query: (...args: unknown[]) => unknown };
    const query = core.query.bind(connection);
    core.query = (...args) => {
      const [statement] = args as [string | { sql: string }];
      if ((typeof statement === 'string' ? statement : statement.sql) !== 'COMMIT') return query(...args);
      const answer = args.at(-1) as Answer;
      return act((sql, answered = (same) => same) => query(sql, answered(answer)));
    };
  });
}

it('takes the lock while COMMIT is under way, and does not hold it for one that is not answered', async () => {
  const { pair, start } = fixture();
  await start('early', 'read-target');
  let answer = (): void => {};
  const gate = new Promise<void>((resolve) => (answer = resolve));
  let isLate = false;
  const { sourceUrl, targetUrl } = stackInfo();
  const pools = { source: poolOf(sourceUrl, 'source'), target: poolOf(targetUrl, 'target') };
  // The server commits, and its answer is late.
  atCommit(pools.source, (send) =>
    send(
      'COMMIT',
      (tell) =>
        (...result) =>
          void (isLate ? gate : Promise.resolve()).then(() => tell(...result)),
    ),
  );
  const router = await open({
    ...PATIENT,
    source: { url: sourceUrl, pool: pools.source },
    target: { url: targetUrl, pool: pools.target },
  });
  await add(router, 'early', 'tables are known');
  isLate = true;
  listen();
  const write = add(router, 'early', 'its answer is late');

  await until(() => seen.locks > 0 && seen.readings > 0, 'the lock was taken, and the journal read');
  // Whoever else wants the lock gets it.
  await until(
    async () =>
      (await pair.target.transaction((session) => lockTenants(session, pair.control, ['early'], true)))
        .length === 1,
    'the lock is free',
  );
  answer();
  expect(await onTarget(await write)).toBe(true);
  await router.close();
  await Promise.all([pools.source.end(), pools.target.end()]);
});

it('a COMMIT that is refused holds up nothing, and is no failed mirror', async () => {
  await fixture().start('refused', 'read-target');
  const { sourceUrl, targetUrl } = stackInfo();
  let isRefused = false;
  const pools = { source: poolOf(sourceUrl, 'source'), target: poolOf(targetUrl, 'target') };
  atCommit(pools.source, (send) => send(isRefused ? 'COMMIT NOW' : 'COMMIT'));
  const router = await open({
    ...PATIENT,
    source: { url: sourceUrl, pool: pools.source },
    target: { url: targetUrl, pool: pools.target },
  });
  await add(router, 'refused', 'tables are known');
  isRefused = true;
  await expect(add(router, 'refused', 'never')).rejects.toThrow('SQL syntax');
  isRefused = false;

  expect(await addAndLook(router, 'refused')).toBe(true);
  expect(router.stats()['aurora.write.fail']).toBe(0);
  await router.close();
  await Promise.all([pools.source.end(), pools.target.end()]);
});
