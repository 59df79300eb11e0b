/** Rows without a known tenant are dropped only while nobody migrates, and no start may slip in between. */
import { beforeAll, expect, it } from 'vitest';

import type { Session } from '../../src/db/database.ts';
import { purgeJournal } from '../../src/db/mirror.ts';
import { purgeUnresolved } from '../../src/db/mirror-loop.ts';
import { changeStage, holdStages, startedTenants } from '../../src/db/stages.ts';
import { child, column, useFixture } from '../support/pair.ts';

const fixture = useFixture([
  'CREATE TABLE customers (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, KEY (tenant_id))',
  'CREATE TABLE notes (id INT PRIMARY KEY, customer_id INT NOT NULL, KEY (customer_id))',
]);

const begin = (session: Session) =>
  changeStage(session, fixture().pair.control, {
    tenant: 'ant',
    to: 'dual-write',
    expectEpoch: null,
    from: ['source-only'],
    actor: 'test',
    reason: 'test',
    requestId: null,
  });

const unresolved = async (): Promise<number> => {
  const { pair } = fixture();
  const [row] = await pair.source.rows(
    `SELECT COUNT(*) AS n FROM \`${pair.control}\`.journal WHERE tenant = '_unresolved'`,
  );
  return Number(row!['n']);
};

beforeAll(async () => {
  const { install, pair, sql } = fixture();
  await install({ customers: column(), notes: child('customers', 'customer_id') });
  await pair.source.run(
    `INSERT INTO \`${pair.control}\`.stage (tenant, stage, epoch, version) VALUES ('ant', 'source-only', 0, 0)`,
  );
  await sql('source', 'INSERT INTO notes VALUES (1, 77), (2, 78)');
});

it('the purge holds every stage: a start waits for it', async () => {
  const { pair } = fixture();
  let started = false;
  let starting: Promise<unknown> = Promise.resolve();
  await pair.source.transaction(async (session) => {
    await holdStages(session, pair.control);
    starting = pair.source.transaction(begin).then(() => (started = true));
    await session.run('DO SLEEP(0.3)');
    expect(started).toBe(false);
    expect(await startedTenants(session, pair.control)).toEqual([]);
  });
  await starting;
  await pair.source.run(`UPDATE \`${pair.control}\`.stage SET stage = 'source-only'`);
});

it('a start that has not committed yet keeps the rows', async () => {
  const { pair } = fixture();
  let purging: Promise<void> = Promise.resolve();
  await pair.source.transaction(async (session) => {
    await begin(session);
    purging = purgeUnresolved(pair);
    await session.run('DO SLEEP(0.2)');
  });
  await purging;
  expect(await unresolved()).toBe(2);
  await pair.source.run(`UPDATE \`${pair.control}\`.stage SET stage = 'source-only'`);
  await purgeUnresolved(pair);
  expect(await unresolved()).toBe(0);
});

it('a start that has not committed yet keeps the rows of its tenant', async () => {
  const { pair, sql, rows } = fixture();
  await sql('source', "INSERT INTO customers VALUES (1, 'ant'), (2, 'ant')");
  const journaled = async () =>
    (await rows('source', `SELECT id FROM \`${pair.control}\`.journal WHERE tenant = 'ant'`)).length;
  let purging: Promise<number> = Promise.resolve(-1);
  await pair.source.transaction(async (session) => {
    await begin(session);
    purging = purgeJournal(pair, 'ant');
    await session.run('DO SLEEP(0.2)');
  });
  expect(await purging).toBe(0);
  expect(await journaled()).toBe(2);
  await pair.source.run(`UPDATE \`${pair.control}\`.stage SET stage = 'source-only'`);
  expect(await purgeJournal(pair, 'ant')).toBe(2);
  expect(await journaled()).toBe(0);
});
