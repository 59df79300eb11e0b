/** A key that changed its tenant: whoever mirrors one of the two holds the lock of both, so nobody writes what was before. */
import { setTimeout as sleep } from 'node:timers/promises';

import { beforeAll, expect, it } from 'vitest';

import { Mirror } from '../../../src/db/mirror.ts';
import { column, dump, useFixture } from '../../support/pair.ts';
import { stackInfo } from '../../support/stack.ts';
import { FaultyDatabase, isStep } from './faults.ts';

const fixture = useFixture([
  'CREATE TABLE items (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, KEY (tenant_id))',
]);

beforeAll(async () => {
  await fixture().install({ items: column() });
  for (const tenant of ['ant', 'bee']) await fixture().start(tenant);
});

it('waits for the tenant that has journaled the key before, though neither image nor target names it', async () => {
  const { pair, tracked, mirror, sql } = fixture();
  let hasRead = (): void => {};
  const read = new Promise<void>((resolve) => (hasRead = resolve));
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  const target = new FaultyDatabase(
    { side: 'target', url: stackInfo().targetUrl },
    {
      withoutLock: false,
      at: () => {},
      before: (side, text) => {
        if (!isStep('insert', side, text) || !text.includes('`items`')) return Promise.resolve();
        hasRead();
        return opened;
      },
    },
  );
  await sql('source', "INSERT INTO items VALUES (1, 'ant')");
  const first = new Mirror({ ...pair, target }, tracked).reach('ant');
  await read;
  await sql('source', "UPDATE items SET tenant_id = 'bee' WHERE id = 1");
  let isThere = false;
  const second = mirror.reach('bee').then(() => (isThere = true));
  await sleep(300);
  expect(isThere).toBe(false);
  open();
  await Promise.all([first, second]);

  expect(await dump(fixture(), 'target', 'items')).toEqual([JSON.stringify({ id: '1', tenant_id: 'bee' })]);
  await target.close();
});
