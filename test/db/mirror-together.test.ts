/** Several tenants in one transaction: what it costs, whom it leaves out, and that nobody waits for another. */
import { setTimeout as sleep } from 'node:timers/promises';

import { beforeAll, beforeEach, expect, it } from 'vitest';

import { STATEMENTS, type Statement } from '../../src/db/database.ts';
import { lockTenants } from '../../src/db/lock.ts';
import { MirrorLoop } from '../../src/db/mirror-loop.ts';
import { column, dump, useFixture } from '../support/pair.ts';

const TENANTS = ['ant', 'bee', 'cat'] as const;
const fixture = useFixture([
  'CREATE TABLE items (id INT PRIMARY KEY AUTO_INCREMENT, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, KEY (tenant_id))',
]);

beforeAll(async () => {
  const { install, start } = fixture();
  await install({ items: column() });
  for (const tenant of TENANTS) await start(tenant, 'read-target');
});

const writeOf = (tenant: string, rows = 1): Promise<unknown> =>
  fixture().sql(
    'source',
    `INSERT INTO items (tenant_id, n) VALUES ${Array.from({ length: rows }, (_, n) => `('${tenant}', ${n})`).join()}`,
  );

beforeEach(async () => {
  for (const tenant of TENANTS) {
    await fixture().mirror.drain(tenant);
    await writeOf(tenant);
  }
});

const both = async (): Promise<readonly unknown[]> => [
  await dump(fixture(), 'target', 'items'),
  await dump(fixture(), 'source', 'items'),
];

async function expectEqual(): Promise<void> {
  const [target, source] = await both();
  expect(target).toEqual(source);
}

const missingOf = async (tenant: string): Promise<number> => {
  const rows = (side: 'source' | 'target') => dump(fixture(), side, 'items');
  const own = (all: readonly string[]) => all.filter((row) => row.includes(`"${tenant}"`)).length;
  return own(await rows('source')) - own(await rows('target'));
};

it('costs one transaction, whoever many they are', async () => {
  const { pair, mirror } = fixture();
  const sent: string[] = [];
  const hear = (statement: unknown): void => {
    const { side, sql } = statement as Statement;
    if (sql === 'COMMIT' || sql.includes(pair.control) || sql.includes(pair.targetSchema))
      sent.push(`${side}: ${sql}`);
  };
  STATEMENTS.subscribe(hear);
  expect(await mirror.reachTogether(TENANTS)).toEqual(new Set(TENANTS));
  STATEMENTS.unsubscribe(hear);

  expect(sent.filter((statement) => /^target: .*(INSERT|REPLACE) INTO/.test(statement))).toHaveLength(1);
  expect(sent.filter((statement) => statement.includes('FOR UPDATE'))).toHaveLength(1);
  await expectEqual();
  for (const tenant of TENANTS) await mirror.drain(tenant);
  expect(await pair.source.rows(`SELECT id FROM \`${pair.control}\`.journal`)).toEqual([]);
});

it.each(['reachTogether', 'mirrorTogether'] as const)(
  'a tenant that somebody else has is left out, and nobody waits: %s',
  async (way) => {
    const { pair, mirror } = fixture();
    const reached = await pair.target.transaction(async (session) => {
      await lockTenants(session, pair.control, ['bee']);
      const found = await mirror[way](TENANTS);
      return 'reached' in found ? found.reached : found;
    });

    expect(reached).toEqual(new Set(['ant', 'cat']));
    expect(await Promise.all(TENANTS.map(missingOf))).toEqual([0, 1, 0]);
    await mirror.reach('bee');
    await expectEqual();
  },
);

it('finds at once what one tenant commits late, below the ids of another that was mirrored meanwhile', async () => {
  const { pair, mirror } = fixture();
  expect(await mirror.mirrorTogether(TENANTS)).toMatchObject({ applied: 3 });
  await pair.source.transaction(async (late) => {
    await late.run(`INSERT INTO \`${pair.sourceSchema}\`.items (tenant_id, n) VALUES ('ant', 1)`);
    await writeOf('bee');
    expect(await mirror.mirrorTogether(TENANTS)).toMatchObject({ applied: 1 });
  });

  expect(await mirror.mirrorTogether(TENANTS)).toMatchObject({ applied: 1 });
  await expectEqual();
});

it('says of nobody that it was reached where there is more than a batch', async () => {
  const { mirror } = fixture();
  await writeOf('ant', 700);

  expect(await mirror.reachTogether(TENANTS)).toEqual(new Set());
  await Promise.all(TENANTS.map((tenant) => mirror.reach(tenant)));
  await expectEqual();
});

it('takes, in the loop, a longer backlog batch by batch', async () => {
  const { mirror } = fixture();
  await writeOf('ant', 4_500);
  const applied = [];
  for (let last = 1; last > 0;) applied.push((last = (await mirror.mirrorTogether(TENANTS)).applied));

  expect(applied).toEqual([2_000, 2_000, 503, 0]);
  await expectEqual();
});

it('the loop mirrors those that are waited for while the lock of one is taken again and again', async () => {
  const { pair } = fixture();
  const warnings: string[] = [];
  const loop = new MirrorLoop(pair, {
    info: () => {},
    warn: (message) => void warnings.push(message),
    published: () => Promise.resolve(),
  });
  await pair.target.transaction(async (session) => {
    await lockTenants(session, pair.control, ['bee']);
    loop.start();
    while ((await missingOf('ant')) + (await missingOf('cat')) > 0) await sleep(20);
    await sleep(500); // by now the loop waits for it
    await writeOf('ant');
    while ((await missingOf('ant')) > 0) await sleep(20);
    expect(await missingOf('bee')).toBe(1);
  });
  while ((await missingOf('bee')) > 0) await sleep(20);
  await loop.stop();

  expect(warnings).toEqual([]);
  await expectEqual();
});

/** How long a row that nobody else mirrors is on its way. */
async function takes(tenant: string): Promise<number> {
  const began = performance.now();
  await writeOf(tenant);
  while ((await missingOf(tenant)) > 0) await sleep(5);
  return performance.now() - began;
}

it('the loop leaves a tenant to whoever it met there, and comes when rows are neglected', async () => {
  const { pair } = fixture();
  const loop = new MirrorLoop(pair, { info: () => {}, warn: () => {}, published: () => Promise.resolve() });
  await pair.target.transaction(async (session) => {
    await lockTenants(session, pair.control, ['bee']);
    loop.start();
    await sleep(400);
  });
  while ((await missingOf('bee')) > 0) await sleep(20);
  // By then the loop waits for the lock; it would else find the row late, and come soon.
  await lockedFor(800, 'bee');
  const left = await takes('bee');
  const found = await takes('ant');
  await loop.stop();

  // A row that is late is taken after 50 ms, a neglected one after 150; the clock begins when the write is told.
  expect(left).toBeGreaterThan(100);
  expect(found).toBeLessThan(left);
  await expectEqual();
});

/** While a row of the tenant comes. */
async function lockedFor(ms: number, tenant: string): Promise<void> {
  const { pair } = fixture();
  await pair.target.transaction(async (session) => {
    await lockTenants(session, pair.control, [tenant]);
    await writeOf(tenant);
    await sleep(ms);
  });
  while ((await missingOf(tenant)) > 0) await sleep(5);
}

/** How often the loop looks at the journal in a second in which rows come all the time. */
async function looks(written: () => Promise<unknown>): Promise<number> {
  const { pair } = fixture();
  const loop = new MirrorLoop(pair, {
    info: () => {},
    warn: () => {},
    published: () => Promise.resolve(),
  });
  let count = 0;
  const hear = (statement: unknown): void => {
    const { sql } = statement as Statement;
    if (sql.includes(`\`${pair.control}\`.\`journal\` GROUP BY tenant`)) count += 1;
  };
  for (const tenant of TENANTS) await fixture().mirror.drain(tenant);
  loop.start();
  const ends = Date.now() + 2_000;
  try {
    while (Date.now() < ends) {
      await writeOf('ant');
      await written();
      await sleep(5);
      if (ends - Date.now() < 1_000 && !STATEMENTS.hasSubscribers) STATEMENTS.subscribe(hear);
    }
  } finally {
    STATEMENTS.unsubscribe(hear);
    await loop.stop();
  }
  return count;
}

// A machine that stalls for 50 ms in between makes a node look absent.
it(
  'the loop looks often where nobody else mirrors what is written, and seldom where a node does',
  { retry: 3 },
  async () => {
    expect(await looks(() => fixture().mirror.reach('ant'))).toBeLessThanOrEqual(12);
    expect(await looks(() => Promise.resolve())).toBeGreaterThan(24);
    while ((await missingOf('ant')) > 0) await fixture().mirror.reach('ant');
    await expectEqual();
  },
);
