/** Shadow reads: in which way the sides differ, kept as evidence; one look for one difference; a share of the target. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Connection, RowDataPacket } from 'mysql2/promise';
import { beforeAll, describe, expect, it } from 'vitest';

import { LATENCY_BOUNDS, type Difference, type Router } from '../../src/app/index.ts';
import { readEvidence } from '../../src/db/evidence.ts';
import { lockTenants } from '../../src/db/lock.ts';
import { readShadowReads } from '../../src/db/shadow-evidence.ts';
import { judgeGates } from '../../src/domain/gate.ts';
import type { TenantPlan } from '../../src/domain/plan.ts';
import { stackInfo } from '../support/stack.ts';
import { add, plans, until, useApp } from './support.ts';

const { fixture, open } = useApp();

beforeAll(async () => {
  await fixture().install(plans);
});

interface Case {
  /** What is done to the target; missing: the statement itself tells the sides apart. */
  readonly corrupt?: string;
  readonly sql?: string;
  /** Read by the name `ordered`. */
  readonly ordered?: boolean;
}

/** True on the source alone. */
const onSource = (): string => `@@port = ${stackInfo().sourcePort}`;
const BODIES = 'SELECT body FROM messages WHERE tenant_id = ? ORDER BY id';

// prettier-ignore
const CASES = (tenant: string): Readonly<Record<Difference, Case>> => ({
  missing: { corrupt: `DELETE FROM messages WHERE tenant_id = '${tenant}' AND body = 'two'` },
  extra:   { corrupt: `INSERT INTO messages (id, tenant_id, body) VALUES (${Math.floor(Math.random() * 1e9) + 1e9}, '${tenant}', 'three')` },
  value:   { corrupt: `UPDATE messages SET body = 'wrong' WHERE tenant_id = '${tenant}' AND body = 'two'` },
  order:   { sql: `SELECT body FROM messages WHERE tenant_id = ? ORDER BY IF(${onSource()}, id, -id)`, ordered: true },
  error:   { sql: `SELECT IF(${onSource()}, 1, (SELECT 1 UNION SELECT 2)) AS n, ? AS tenant` },
  slower:  { sql: `SELECT IF(${onSource()}, 0, SLEEP(0.2)) AS n, ? AS tenant` },
});

const WORDS = ['missing', 'extra', 'value', 'order', 'error', 'slower'] as const satisfies Difference[];

describe.each(['shadow-read', 'read-target'] as const)('in %s', (stage) => {
  it.each(WORDS)('tells %s, and keeps it as evidence', async (word) => {
    const tenant = `${word}-${stage}`;
    const { corrupt, sql = BODIES, ordered = false } = CASES(tenant)[word];
    await fixture().start(tenant, stage);
    const router = await open({ sampleRate: 1, reads: { ordered: { compare: { ordered: true } } } });
    for (const body of ['one', 'two']) await add(router, tenant, body);
    await fixture().mirror.drain(tenant);
    if (corrupt !== undefined) await fixture().corrupt(tenant, corrupt);

    const name = ordered ? 'ordered' : 'plain';
    await until(async () => {
      await router.tenant(tenant).read(name, (conn) => conn.query(sql, [tenant]));
      await sleep(20);
      return router.stats().shadow.classes[word] > 0;
    }, `${word} was counted`);
    const { classes } = await quiet(router);
    await until(
      async () => (await found(tenant))[word] === classes[word],
      'the evidence says the same',
      20_000,
    );

    // On a busy machine anything may be slow besides.
    const { slower, ...others } = classes;
    expect(others).toEqual({ missing: 0, extra: 0, value: 0, order: 0, error: 0, ...without(classes, word) });
    const [read] = await readShadowReads(fixture().pair.source, fixture().pair.control, tenant);
    expect(read).toMatchObject({ read: name, differing: word === 'slower' ? 0 : classes[word] });
    if (word === 'slower') expect(read!.slowerByMs).toBeGreaterThan(50);
    else expect(slower, 'not by the word for the answer').toBeGreaterThanOrEqual(0);
  });
});

const without = (classes: Readonly<Record<Difference, number>>, word: Difference) =>
  word === 'slower' ? {} : { [word]: classes[word] };

const found = async (tenant: string) => {
  const { pair, tracked } = fixture();
  const { shadow } = await readEvidence(pair, tracked, {
    tenant,
    since: 0,
    round: 0,
    replicas: { named: 0, lag: null },
  });
  return shadow.classes!;
};

/** Counters that stand still. */
async function quiet(router: Router) {
  let before = '';
  await until(async () => {
    await sleep(300);
    const now = JSON.stringify(router.stats().shadow);
    const stands = now === before;
    before = now;
    return stands;
  }, 'nothing is under way');
  return router.stats().shadow;
}

it('evidence of a difference closes the gate, which says in which way and where', async () => {
  const { pair, tracked, start, corrupt, mirror } = fixture();
  await start('judged', 'shadow-read');
  const router = await open({ sampleRate: 1 });
  await add(router, 'judged', 'one');
  await mirror.drain('judged');
  await router.tenant('judged').read('fine', (conn) => conn.query('SELECT 1'));
  await corrupt('judged', "DELETE FROM messages WHERE tenant_id = 'judged'");
  await router.tenant('judged').read('inbox', (conn) => conn.query(BODIES, ['judged']));
  await until(() => router.stats().shadow.samples === 2, 'both were decided');
  await router.close();

  const evidence = await readEvidence(pair, tracked, {
    tenant: 'judged',
    since: 0,
    round: 0,
    replicas: { named: 0, lag: null },
  });
  const verdicts = judgeGates(
    'ready',
    { tenant: 'judged', evidence, plan: PLAN, since: 0, approved: true },
    [],
  );

  expect(evidence.shadow).toMatchObject({ samples: 2, differing: 1, worst: 'inbox' });
  expect(verdicts.find(({ gate }) => gate === 'shadow-equal')).toMatchObject({
    open: false,
    saw: '1 differing (1 missing), most in inbox',
  });
});

const PLAN = {
  durations: { dirtyAfter: 1_000, shadow: 0, certificate: 0 },
  gates: { nodes: 0, shadowSamples: 0, cleanPasses: 0 },
  hasShared: false,
} as unknown as TenantPlan;

it('looks once at one difference, however often it is seen meanwhile', async () => {
  const { pair, start, corrupt, mirror } = fixture();
  await start('twice', 'shadow-read');
  const router = await open({ sampleRate: 1 });
  await add(router, 'twice', 'one');
  await mirror.drain('twice');
  await corrupt('twice', "UPDATE messages SET body = 'wrong' WHERE tenant_id = 'twice'");
  const read = (least: number) =>
    router
      .tenant('twice')
      .read('since', (conn) =>
        conn.query('SELECT body FROM messages WHERE tenant_id = ? AND id > ?', ['twice', least]),
      );

  // Nothing is decided while somebody has the tenant's lock.
  await pair.target.transaction(async (session) => {
    await lockTenants(session, pair.control, ['twice']);
    for (let round = 1; round <= 5; round += 1) await read(0);
    await read(-1);
    await until(() => router.stats().shadow.joined === 4, 'the others were taken for the same', 2_000);
  });
  await until(() => router.stats().shadow.differing === 2, 'one look for each question');
  await read(0);
  await until(() => router.stats().shadow.differing === 3, 'a later one is looked at again');

  expect(router.stats().shadow).toMatchObject({ samples: 3, joined: 4, classes: { value: 3 } });
});

it.each([
  { connections: 10, shadowShare: 0.3, most: 3 },
  { connections: 2, shadowShare: 0.1, most: 1 },
])('takes $shadowShare of $connections connections: $most at once', async ({ most, ...options }) => {
  const tenant = `share-${most}`;
  await fixture().start(tenant, 'shadow-read');
  const router = await open({ sampleRate: 1, ...options });
  const busy = { now: 0, most: 0 };
  const read = () => router.tenant(tenant).read('slow', (conn) => dwell(conn, busy));

  await Promise.all(Array.from({ length: 30 }, read));
  await until(() => router.stats().shadow.samples === 30, 'all were compared', 30_000);

  expect(busy.most).toBe(most);
});

async function dwell(conn: Connection, busy: { now: number; most: number }): Promise<number> {
  const [[row]] = await conn.query<RowDataPacket[]>('SELECT @@port AS port');
  if (Number(row!['port']) !== stackInfo().targetPort) return 1;
  busy.now += 1;
  busy.most = Math.max(busy.most, busy.now);
  await sleep(30);
  busy.now -= 1;
  return 1;
}

it('a share of nothing compares nothing, and what is no share is refused', async () => {
  await fixture().start('none', 'shadow-read');
  const router = await open({ sampleRate: 1, shadowShare: 0 });
  await router.tenant('none').read('one', (conn) => conn.query('SELECT 1'));

  expect(router.stats().shadow).toMatchObject({ samples: 0, dropped: 1 });
  await expect(open({ shadowShare: 2 })).rejects.toThrow('shadowShare is 2: give a share, from 0 to 1');
  const reads = { latest: { sampleRate: 10 } };
  await expect(open({ reads })).rejects.toThrow('reads.latest.sampleRate is 10: give a share, from 0 to 1');
});

it('measures both sides, and calls slow what was given up', async () => {
  await fixture().start('clocked', 'shadow-read');
  const router = await open({ sampleRate: 1, targetReadMs: 300 });
  const read = (sql: string) => router.tenant('clocked').read('clocked', (conn) => conn.query(sql));

  await read('SELECT 1');
  await until(() => router.stats().shadow.samples === 1, 'it was compared');
  const before = router.stats().shadow;
  await read(`SELECT IF(${onSource()}, 0, SLEEP(5)) AS n`);
  await until(() => router.stats().shadow.dropped === 1, 'it was given up');
  const { samples, classes, latency } = router.stats().shadow;

  expect(before.latency.target).toMatchObject({ count: 1 });
  expect({ samples, slower: classes.slower - before.classes.slower }).toEqual({ samples: 1, slower: 1 });
  for (const { counts, count } of [latency.source, latency.target]) {
    expect(counts).toHaveLength(LATENCY_BOUNDS.length + 1);
    expect(counts.reduce((sum, each) => sum + each)).toBe(count);
    expect(count).toBe(2);
  }
  expect(latency.target.sumMs).toBeGreaterThan(300);
});

it('writes no answer down that is too long, and none while there is no room', async () => {
  await fixture().start('long', 'shadow-read');
  const router = await open({ sampleRate: 1 });
  let touched = 0;
  const row = {
    get body() {
      touched += 1;
      return 'x';
    },
  };
  await router.tenant('long').read('long', () => Promise.resolve(Array.from({ length: 6_000 }, () => row)));

  expect(router.stats().shadow.dropped).toBe(1);
  expect(touched).toBe(0);
});
