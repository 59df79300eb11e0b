/** A line that an ALTER stopped, as `status` tells it: why it stands still, and what to type. */
import { beforeAll, expect, it } from 'vitest';

import { admitTenants } from '../../src/db/control.ts';
import { assertNotAltered, watchShapes } from '../../src/db/shapes.ts';
import { admitStage } from '../../src/db/stages.ts';
import { useWorld } from '../support/world.ts';
import { switchbackHere, useFolder, writePlan } from './switchback.ts';

const world = useWorld(['acme'], { rows: 3 });
const folder = useFolder();

beforeAll(async () => {
  const { pair, sql } = world();
  const { source, target, control } = pair;
  await admitStage(source, control, 'acme');
  await admitTenants(target, control, ['acme']);
  await sql('source', 'ALTER TABLE customers ADD COLUMN city VARCHAR(40) NULL');
  await watchShapes(pair);
  const reason = await assertNotAltered(pair, 'acme').then(
    () => '',
    (error: unknown) => (error as Error).message,
  );
  await source.run(
    `INSERT INTO \`${control}\`.migration (tenant, phase, mode, reason, since, run_id, wave, started_at) VALUES ('acme', 'ramp', 'stopped', ?, NOW(6), 'run', 'first', NOW(6))`,
    [reason],
  );
  // What the pass said last that met the change; its worker lives.
  await source.run(
    `INSERT INTO \`${control}\`.progress (tenant, activity, rows_per_second, at) VALUES ('acme', 'reconcile', 900, NOW(6) - INTERVAL 5 MINUTE)`,
  );
  await source.run(`INSERT INTO \`${control}\`.heartbeat VALUES (2, NOW(6))`);
});

const ask = async (...words: string[]) =>
  switchbackHere([...words, '--plan', await writePlan(await folder(), world().plan)], {
    NO_COLOR: '1',
    TEMPORAL_ADDRESS: '127.0.0.1:9',
  });

it('says why nothing is compared, and the commands that go on', async () => {
  const { code, stdout, stderr } = await ask('status', 'acme');

  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(/^ {2}reason {3}source table customers was altered: column city is new/m);
  expect(stdout).toMatch(/^ {2}reconcile stands still for 5m.*: the line is stopped, see the reason$/m);
  expect(stdout).not.toContain('is a worker running?');
  expect(stderr).toMatch(/next: .*plan check.*\n.*retry acme --reason.*\n.*why acme/);
});

it('says it among all tenants too, once, with the rate of what is under way', async () => {
  const { stdout } = await ask('status');

  expect(stdout).toMatch(/^TENANT .* COPIED +ROWS\/S /m);
  expect(stdout).toMatch(/^acme +ramp +stopped .* - +- +-/m); // an old rate is none

  expect(stdout).not.toContain('nothing heard');
  expect(stdout.match(/customers was altered/g)).toHaveLength(2); // of the tenant, and of the table
});

it('shows the rate of live work, and the pace that an operator set', async () => {
  const { pair } = world();
  const { source, control } = pair;
  await source.run(
    `UPDATE \`${control}\`.migration SET mode = 'waiting', reason = NULL, reconcile_rows_per_second = 1000`,
  );
  await source.run(`UPDATE \`${control}\`.progress SET at = NOW(6)`);

  expect((await ask('status')).stdout).toMatch(/^acme +ramp +waiting .* 900 \(at most 1000\) /m);
});
