/** As many tenants as a node has connections meet an altered table at once: none waits for the connection of another. */
import { beforeAll, expect, it } from 'vitest';

import { Database } from '../../src/db/database.ts';
import { Mirror } from '../../src/db/mirror.ts';
import { column, useFixture } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';
import { FaultyDatabase } from './protocol/faults.ts';

const TENANTS = ['ant', 'bee', 'cat', 'dog'] as const;
const fixture = useFixture([
  'CREATE TABLE items (id INT PRIMARY KEY AUTO_INCREMENT, tenant_id VARCHAR(20) NOT NULL, KEY (tenant_id))',
]);

beforeAll(async () => {
  await fixture().install({ items: column() });
  for (const tenant of TENANTS) await fixture().start(tenant);
});

it('each of them is told what was altered', async () => {
  const { pair, tracked, sql } = fixture();
  const { sourceUrl, targetUrl } = stackInfo();
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  let looking = 0;
  const target = new FaultyDatabase(
    { side: 'target', url: targetUrl },
    {
      withoutLock: false,
      at: () => {},
      // All of them hold the source by then.
      before(_, text) {
        if (!text.includes('SHOW CREATE TABLE')) return Promise.resolve();
        looking += 1;
        if (looking === TENANTS.length) open();
        return opened;
      },
    },
  );
  const source = new Database({ side: 'source', url: sourceUrl, connections: TENANTS.length });
  const mirror = new Mirror({ ...pair, source, target }, tracked);
  for (const tenant of TENANTS) await sql('source', `INSERT INTO items (tenant_id) VALUES ('${tenant}')`);
  await sql('target', 'ALTER TABLE items ADD COLUMN note INT NULL');

  const ends = await Promise.allSettled(TENANTS.map((tenant) => mirror.reach(tenant)));
  for (const end of ends)
    expect(end).toMatchObject({ status: 'rejected', reason: { name: 'SchemaMismatchError' } });
  await Promise.all([source.close(), target.close()]);
}, 15_000);
