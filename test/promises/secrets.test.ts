/** No secret and no value of a row ever reaches Temporal: neither payload, heartbeat nor error. */
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { expect, it } from 'vitest';

import { reconcileWorkflowId, tenantWorkflowId } from '../../src/domain/ids.ts';
import { stackInfo } from '../support/stack.ts';
import { useWorld } from '../support/world.ts';

const world = useWorld(['acme'], { rows: 300 });
const CANARY = 'canary-f3a9';

it('histories hold no row value, no address and no password, also after errors that carry them', async () => {
  const { client, plan, followAsNode, work, start, until, sql, handle } = world();
  followAsNode();
  work();
  await sql('source', `UPDATE customers SET name = '${CANARY}-name', email = CONCAT('${CANARY}-', id)`);
  // The first insert of the copy fails with a value in the server's message (1406), and the line stops.
  await sql('target', 'ALTER TABLE customers MODIFY name VARCHAR(5) NULL');
  await start('acme');
  await until('acme', 'preflight', 'stopped');
  await sql(
    'target',
    'ALTER TABLE customers MODIFY name VARCHAR(100) NULL, ADD CONSTRAINT late CHECK (name <> "canary-f3a9-name")',
  );
  await world().command('acme', 'retry');
  const stopped = await until('acme', 'backfill', 'stopped');
  expect(stopped.reason).toMatch(/target: .*errno 3819\)/);
  await sql('target', 'ALTER TABLE customers DROP CHECK late');
  await world().command('acme', 'retry');
  await until('acme', 'ramp', 'waiting');
  await sql('target', `UPDATE customers SET name = '${CANARY}-drift' LIMIT 1`);
  await until('acme', 'shadow', 'stopped');

  const ids = [tenantWorkflowId(plan.name, 'acme'), reconcileWorkflowId(plan.name, 'acme')];
  const texts = await Promise.all(
    ids.map(async (id) => decoded(historyToJSON(await client.workflow.getHandle(id).fetchHistory()))),
  );
  const { raw } = await handle('acme').describe();
  const all = [...texts, decoded(JSON.stringify(raw))].join('\n');
  expect(all).toContain('acme');
  const { password } = new URL(stackInfo().sourceUrl);
  expect(password.length).toBeGreaterThan(3);
  for (const secret of [CANARY, `:${password}@`, stackInfo().sourceUrl, 'INSERT INTO'])
    expect(all).not.toContain(secret);
});

/** Payloads are base64 in JSON: what they hold is looked at too. */
function decoded(json: string): string {
  const payloads = [...json.matchAll(/"data":\s*"([A-Za-z0-9+/=]+)"/g)].map(([, data]) =>
    Buffer.from(data!, 'base64').toString('utf8'),
  );
  return [json, ...payloads].join('\n');
}
