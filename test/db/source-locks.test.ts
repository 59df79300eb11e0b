/**
 * The source while everything runs: somebody looks into its performance_schema every few milliseconds. Our
 * sessions, which have a user of their own, never hold a lock on a row of the application, never let a writer
 * wait, are never idle inside a transaction and keep no read view for long.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { copyTables, tablesOf } from '../../src/db/backfill.ts';
import { Database } from '../../src/db/database.ts';
import { MirrorLoop } from '../../src/db/mirror-loop.ts';
import { reconcileSlice } from '../../src/db/reconcile.ts';
import { bodies, plans, useApp } from '../app/support.ts';
import { limits } from '../support/limits.ts';
import { ownMysql, stackInfo, urlWithSchema } from '../support/stack.ts';

const RUN_MS = 12_000;
/** Generous, for a machine with more to do than cores to do it. What is looked for lasts until somebody ends it. */
const IDLE_MS = 2_000;
const READ_VIEW_MS = 6_000;
const LIMITS = limits({ windowTarget: 200, windowRows: 200, reconcileRows: 200, backfillParallel: 3 });

const own = ownMysql('watched');
beforeAll(async () => {
  const root = new Database({ side: 'source', url: own().rootUrl() });
  for (const user of ['ours', 'application']) {
    await root.run(`CREATE USER ${user}@'%' IDENTIFIED BY 'x'`);
    await root.run(`GRANT ALL ON *.* TO ${user}@'%' WITH GRANT OPTION`);
  }
  await root.close();
});
const as = (user: string): string => {
  const url = new URL(own().rootUrl());
  url.username = user;
  url.password = 'x';
  return url.href;
};
const app = useApp(() => ({ sourceUrl: as('ours'), targetUrl: stackInfo().targetUrl }));

const others: Database[] = [];
afterAll(async () => void (await Promise.allSettled(others.map((db) => db.close()))));
function open(url: string): Database {
  const db = new Database({ side: 'source', url });
  others.push(db);
  return db;
}

/** What nobody may ever see, as rows; `@schema` is the application's. */
// prettier-ignore
const NEVER: Readonly<Record<string, (schema: string) => string>> = {
  'a lock on rows or a table of the application': (schema) =>
    `SELECT l.LOCK_TYPE AS type, l.LOCK_MODE AS mode, l.OBJECT_NAME AS object, t.PROCESSLIST_INFO AS statement FROM performance_schema.data_locks l
     JOIN performance_schema.threads t ON t.THREAD_ID = l.THREAD_ID WHERE t.PROCESSLIST_USER = 'ours' AND l.OBJECT_SCHEMA = '${schema}'`,
  'a metadata lock that a writer could wait for': (schema) =>
    `SELECT m.LOCK_TYPE AS mode, m.LOCK_STATUS AS status, m.OBJECT_NAME AS object, t.PROCESSLIST_INFO AS statement FROM performance_schema.metadata_locks m
     JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID WHERE t.PROCESSLIST_USER = 'ours' AND m.OBJECT_SCHEMA = '${schema}'
       AND m.LOCK_TYPE NOT IN ('SHARED', 'SHARED_HIGH_PRIO', 'SHARED_READ', 'INTENTION_EXCLUSIVE')`,
  'a writer that waits for us': () =>
    `SELECT r.PROCESSLIST_INFO AS waits, b.PROCESSLIST_INFO AS blocks FROM performance_schema.data_lock_waits w
     JOIN performance_schema.threads b ON b.THREAD_ID = w.BLOCKING_THREAD_ID JOIN performance_schema.threads r ON r.THREAD_ID = w.REQUESTING_THREAD_ID
     WHERE b.PROCESSLIST_USER = 'ours' AND r.PROCESSLIST_USER <> 'ours'`,
};
const OPEN = `SELECT t.PROCESSLIST_ID AS id, t.PROCESSLIST_COMMAND AS command, e.STATE AS state, e.EVENT_ID AS event, ROUND(e.TIMER_WAIT / 1000000000) AS ms, e.ISOLATION_LEVEL AS isolation,
    (SELECT ROUND(s.TIMER_WAIT / 1000000000) FROM performance_schema.events_statements_current s WHERE s.THREAD_ID = t.THREAD_ID AND s.NESTING_EVENT_LEVEL = 0 AND s.END_EVENT_ID IS NULL LIMIT 1) AS statement_ms
  FROM performance_schema.threads t JOIN performance_schema.events_transactions_current e ON e.THREAD_ID = t.THREAD_ID AND e.STATE = 'ACTIVE'
  WHERE t.PROCESSLIST_USER = 'ours'`;

class Watcher {
  readonly seen = new Map<string, string>();
  readonly sessions = new Set<string>();
  looks = 0;
  longestIdle = 0;
  longestOpen = 0;
  readonly #idleSince = new Map<string, number>();
  #ends = false;

  async watch(root: Database, schema: string): Promise<void> {
    await root.session(async (session) => {
      while (!this.#ends) {
        for (const [what, sql] of Object.entries(NEVER)) {
          const [row] = await session.rows(sql(schema));
          if (row !== undefined) this.seen.set(what, JSON.stringify(row));
        }
        this.#look(await session.rows(OPEN));
        this.looks += 1;
        await sleep(3);
      }
    });
  }

  end(): void {
    this.#ends = true;
  }

  #look(open: readonly Readonly<Record<string, string | null>>[]): void {
    const now = performance.now();
    const idle = new Set<string>();
    for (const row of open) {
      this.sessions.add(row['id']!);
      this.longestOpen = Math.max(this.longestOpen, Number(row['ms']));
      if (row['command'] === 'Sleep') idle.add(`${row['id']} ${row['event']}`);
    }
    for (const key of this.#idleSince.keys()) if (!idle.has(key)) this.#idleSince.delete(key);
    for (const key of idle) {
      const since = this.#idleSince.get(key) ?? now;
      this.#idleSince.set(key, since);
      this.longestIdle = Math.max(this.longestIdle, now - since);
    }
  }
}

it('is never locked, waited for or held in an old view, while capture, mirror, copy, reconcile, repair and shadow reads run', async () => {
  const { fixture, open: openRouter, flip } = app;
  const { pair, install, start, sql } = fixture();
  const application = open(urlWithSchema(as('application'), pair.sourceSchema));
  const messages = `\`${pair.sourceSchema}\`.messages`;
  const values = Array.from({ length: 3_000 }, (_, n) => `('${n % 3 === 0 ? 'bee' : 'ant'}', 'body ${n}')`);
  await application.run(`INSERT INTO ${messages} (tenant_id, body) VALUES ${values.join(', ')}`);
  await install(plans);
  for (const tenant of ['ant', 'bee', '_shared']) await start(tenant);
  await flip('ant', 'shadow-read');
  const { tracked } = fixture();
  const router = await openRouter({ sampleRate: 1 });

  const watcher = new Watcher();
  const watching = watcher.watch(open(own().rootUrl()), pair.sourceSchema);
  const loop = new MirrorLoop(pair, { info: () => {}, warn: () => {}, published: () => Promise.resolve() });
  loop.start();
  const ends = Date.now() + RUN_MS;
  const isOver = (): boolean => Date.now() > ends;
  const done = { writes: 0, copied: 0, held: 0, windows: 0, repaired: 0, drifted: 0, reads: 0 };

  const write = async (writer: number): Promise<void> => {
    for (let n = 0; !isOver(); n += 1) {
      const id = 1 + ((n * 7 + writer * 1_001) % 3_000);
      const change = [
        `UPDATE ${messages} SET body = 'changed ${n}' WHERE id = ${id}`,
        `INSERT INTO ${messages} (tenant_id, body) VALUES ('ant', 'new ${n}')`,
        `DELETE FROM ${messages} WHERE id = ${3_000 + n} AND tenant_id = 'ant'`,
      ][n % 3]!;
      await application.run(change);
      done.writes += 1;
      await sleep(3);
    }
  };
  /** A lock that lasts for milliseconds is seldom seen by who looks; one that has to wait for this is. */
  const hold = async (): Promise<void> => {
    while (!isOver()) {
      await application.transaction(async (session) => {
        await session.run(`UPDATE ${messages} SET price = price + 1 WHERE id % 150 = 0`);
        await sleep(1_000);
      });
      done.held += 1;
      await sleep(50);
    }
  };
  const copy = async (): Promise<void> => {
    for (let round = 1; !isOver(); round += 1)
      for (const tenant of ['ant', 'bee']) {
        const tables = tablesOf(tracked, tenant);
        const rest = { tenant, round, limits: LIMITS, pace: () => Promise.resolve(0), until: isOver };
        const copied = await copyTables(pair, tracked, tables, { ...rest, progress: () => {} });
        done.copied += copied.reduce((rows, { copiedRows }) => rows + copiedRows, 0);
      }
  };
  const reconcile = async (): Promise<void> => {
    while (!isOver()) {
      await sql('target', "DELETE FROM messages WHERE tenant_id = 'ant' AND id % 397 = 1");
      await sql('target', "UPDATE messages SET price = 13 WHERE tenant_id = 'ant' AND id % 501 = 2");
      const rest = { tenant: 'ant', limits: LIMITS, missingAgain: 0, until: isOver };
      const { pass } = await reconcileSlice(pair, tracked, { ...rest, progress: () => {} });
      done.windows += pass.counts.windows;
      done.repaired += pass.counts.repaired;
      done.drifted += pass.counts.drifted;
    }
  };
  const read = async (): Promise<void> => {
    while (!isOver()) {
      await bodies(router, 'ant');
      done.reads += 1;
      if (done.reads === 20) await flip('ant', 'read-target');
      await sleep(20);
    }
  };
  await Promise.all([write(0), write(1), hold(), copy(), reconcile(), read()]);
  await loop.stop();
  watcher.end();
  await watching;

  expect(Object.fromEntries(watcher.seen)).toEqual({});
  expect(watcher.longestIdle).toBeLessThan(IDLE_MS);
  expect(watcher.longestOpen).toBeLessThan(READ_VIEW_MS);
  // Everything did run, and was looked at.
  expect(watcher.looks).toBeGreaterThan(30);
  expect(watcher.sessions.size).toBeGreaterThan(3);
  for (const [what, count] of Object.entries(done)) expect.soft(count, what).toBeGreaterThan(0);
}, 120_000);
