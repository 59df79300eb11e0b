/** A trigger is dropped under a tenant in ramp: reads go back, the line stops, and the printed way out works the first time. */
import { expect, it } from 'vitest';

import { installCapture } from '../../src/db/capture.ts';
import { useWorld } from '../support/world.ts';

const world = useWorld(['acme']);

it(
  'is noticed within seconds, and install and retry bring the tenant back to ramp',
  { timeout: 90_000 },
  async () => {
    const { pair, followAsNode, work, start, until, sql, rows, stage, command } = world();
    followAsNode();
    work();
    await start('acme');
    await until('acme', 'ramp', 'waiting');
    const [trigger] = await pair.source.rows(
      "SELECT TRIGGER_NAME AS name FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ? AND EVENT_OBJECT_TABLE = 'customers' AND EVENT_MANIPULATION = 'UPDATE'",
      [pair.sourceSchema],
    );

    const dropped = Date.now();
    await sql('source', `DROP TRIGGER ${trigger!['name']!}`);
    await sql('source', "UPDATE customers SET name = 'unseen' WHERE tenant_id = 'acme' LIMIT 3");
    await expect.poll(() => stage('acme'), { timeout: 8_000 }).toBe('shadow-read');
    expect(Date.now() - dropped).toBeLessThan(5_000);
    await until('acme', 'shadow', 'stopped');
    // What a shadow read saw meanwhile was true then, and must not hold the tenant for ever.
    await pair.source.run(
      `INSERT INTO ${pair.control}.shadow VALUES ('acme', 'list', 'node', 10, 3, NOW(6), NOW(6), NULL)`,
    );

    await installCapture(pair);
    await command('acme', 'retry');
    await until('acme', 'ramp', 'waiting', 60_000);
    expect(await rows('target', "SELECT COUNT(*) AS n FROM customers WHERE name = 'unseen'")).toEqual([
      { n: '3' },
    ]);
  },
);
