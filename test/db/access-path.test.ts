/** Which index is read for a tenant's part of a key range: measured by what it would read, on either server. */
import { beforeAll, describe, expect, it } from 'vitest';

import { cheaperIndex } from '../../src/db/access-path.ts';
import { column, useFixture } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';

describe('of a table that tenants share', () => {
  const fixture = useFixture(
    [
      'CREATE TABLE events (id INT AUTO_INCREMENT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, body VARCHAR(200) NOT NULL, KEY by_tenant (tenant_id, id))',
    ],
    stackInfo,
  );

  beforeAll(async () => {
    const { sql, install } = fixture();
    // One row in 32 is of ant, the rest of bee.
    await sql('source', "INSERT INTO events (tenant_id, body) VALUES ('ant', REPEAT('x', 150))");
    for (let doubling = 0; doubling < 5; doubling += 1)
      await sql('source', "INSERT INTO events (tenant_id, body) SELECT 'bee', body FROM events");
    for (let doubling = 0; doubling < 9; doubling += 1)
      await sql(
        'source',
        'INSERT INTO events (tenant_id, body) SELECT tenant_id, body FROM events ORDER BY id',
      );
    await sql('source', 'ANALYZE TABLE events');
    await install({ events: column() });
  });

  it.each([
    ['ant', 'by_tenant'],
    ['bee', 'PRIMARY'],
    ['nobody', 'by_tenant'],
  ])('%s: %s', async (tenant, expected) => {
    const { pair, tracked } = fixture();
    const range = 't.id > CAST(2000 AS UNSIGNED) AND t.id <= CAST(14000 AS UNSIGNED)';
    expect(
      await cheaperIndex(pair.source, tracked.byName('events'), tenant, { index: 'by_tenant', range }),
    ).toBe(expected);
  });
});
