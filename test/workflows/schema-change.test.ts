/** A column comes to the source alone while a tenant is in ramp: the line stops and says what; after the same on the target a retry goes on. */
import { expect, it } from 'vitest';

import { useWorld } from '../support/world.ts';

const world = useWorld(['acme']);

it(
  'stops the line with the difference, keeps the journal, and goes on after the change on the other side and a retry',
  { timeout: 90_000 },
  async () => {
    const { pair, followAsNode, work, start, until, sql, rows, command, record, status } = world();
    followAsNode();
    work();
    await start('acme');
    await until('acme', 'ramp', 'waiting');

    await sql('source', "ALTER TABLE customers ADD COLUMN city VARCHAR(40) NOT NULL DEFAULT 'nowhere'");
    await sql('source', "UPDATE customers SET city = 'Ghent' WHERE tenant_id = 'acme' LIMIT 3");
    const { reason } = await until('acme', 'ramp', 'stopped');
    expect(reason).toMatch(
      /^source table customers was altered: column city is new \(varchar\(40\) NOT NULL DEFAULT 'nowhere'\); make the same change on the target.*switchback plan check.*switchback retry/,
    );
    const waiting = () =>
      pair.source.rows(`SELECT COUNT(*) AS n FROM \`${pair.control}\`.journal WHERE tenant = 'acme'`);
    expect(await waiting()).toEqual([{ n: '3' }]);

    // Too early: nothing is taken over, and the line says so again.
    await command('acme', 'retry');
    const story = async () =>
      (
        await pair.source.rows(
          `SELECT event FROM \`${pair.control}\`.audit WHERE tenant = 'acme' AND event IN ('stop', 'retry') ORDER BY id`,
        )
      ).map((row) => row['event']);
    await expect.poll(story, { timeout: 15_000 }).toEqual(['stop', 'retry', 'stop']);
    expect((await record('acme'))!.reason).toBe(reason);
    expect((await status('acme')).phase).toBe('ramp');

    await sql('target', "ALTER TABLE customers ADD COLUMN city VARCHAR(40) NOT NULL DEFAULT 'nowhere'");
    await command('acme', 'retry');
    await until('acme', 'ramp', 'waiting');
    await expect.poll(waiting, { timeout: 10_000 }).toEqual([{ n: '0' }]);
    expect(await rows('target', "SELECT COUNT(*) AS n FROM customers WHERE city = 'Ghent'")).toEqual([
      { n: '3' },
    ]);
    // A pass that compared the new column.
    await expect
      .poll(
        () =>
          pair.source.rows(
            `SELECT COUNT(*) > 0 AS yes FROM \`${pair.control}\`.pass WHERE clean = 1 AND started_at > (SELECT MAX(shaped_at) FROM \`${pair.control}\`.tracked_table)`,
          ),
        { timeout: 15_000 },
      )
      .toEqual([{ yes: '1' }]);
  },
);
