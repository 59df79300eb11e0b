/**
 * An application's probe: reads a tenant through the library and writes a canary. Words: schema, control schema, and a
 * file that says how it behaves: `well`, `fail`, `ghost` (names a row that it never wrote), `chatter`.
 */
import { readFile } from 'node:fs/promises';

import { createRouter } from '../../src/app/index.ts';

const [, , schema = '', control = '', moods = ''] = process.argv;
const { WORLD_SOURCE = '', WORLD_TARGET = '', SWITCHBACK_TENANT = '', SWITCHBACK_DRILL = '' } = process.env;
const mood = (await readFile(moods, 'utf8')).trim();

if (mood === 'fail') process.exit(3);
const router = await createRouter({
  source: WORLD_SOURCE,
  target: WORLD_TARGET,
  schema: { source: schema, target: schema },
  control,
  service: 'probe',
});
const tenant = router.tenant(SWITCHBACK_TENANT);
const [rows] = await tenant.read('probe', (conn) =>
  conn.query('SELECT id FROM customers WHERE tenant_id = ? ORDER BY id', [SWITCHBACK_TENANT]),
);
const { value: id } = await tenant.write(async (conn) => {
  const [{ insertId }] = (await conn.query(
    'INSERT INTO customers (tenant_id, email, name) VALUES (?, ?, ?)',
    [SWITCHBACK_TENANT, `canary-${SWITCHBACK_DRILL}-${process.pid}@example.org`, 'canary'],
  )) as unknown as [{ insertId: number }];
  return insertId;
});
const { source, target } = router.stats().reads;
await router.close();
const key = { id: mood === 'ghost' ? '999999999' : String(id) };
const answer = JSON.stringify({
  reads: (rows as unknown[]).length,
  canaries: [{ table: 'customers', key }],
  source,
  target,
});
console.log(mood === 'chatter' ? `here you are: ${answer}` : answer);
