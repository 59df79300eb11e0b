/** `plan check` of a plan that nothing is in the way of: what it counts, and what it says comes next. */
import { expect, it } from 'vitest';

import { registerTables } from '../../src/db/capture.ts';
import { installMode } from '../../src/db/capture-install.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { useWorld } from '../support/world.ts';
import { switchbackHere, useFolder, writePlan } from './switchback.ts';

const world = useWorld(['acme', 'globex'], { rows: 3 });
const folder = useFolder();

const RATES = 'CREATE TABLE rates (id INT PRIMARY KEY, rate DECIMAL(9,4) NOT NULL)';

const withRates = (): Plan => ({
  ...world().plan,
  tables: [...world().plan.tables, { name: 'rates', tenancy: { kind: 'shared' }, time: null }],
});

async function check(plan: Plan): Promise<{ stdout: string; next: string[] }> {
  const words = ['plan', 'check', '--plan', await writePlan(await folder(), plan)];
  const { code, stdout, stderr } = await switchbackHere(words, {
    NO_COLOR: '1',
    TEMPORAL_ADDRESS: '127.0.0.1:9',
  });
  expect(code, stderr).toBe(0);
  const next = stderr.split('\n').filter((line) => line.startsWith('next:') || line.startsWith('     '));
  return {
    stdout,
    next: next.map((line) => line.replace(/^.*?(switchback )/, '$1').replace(/ --plan \S+/, '')),
  };
}

it('says what comes next: install, start, status, or the retry of a tenant that is stopped', async () => {
  const { pair, sql } = world();
  await sql('source', RATES);
  await sql('target', RATES);
  // A table that came to the plan later is not captured yet.
  const found = await check(withRates());
  expect(found.next).toEqual(['switchback install --reason "..."']);
  // The shared tables move with the tenants; they are none.
  expect(found.stdout).toMatch(/^ {2}moves {3}3 tables, 2 tenants in 1 waves$/m);
  expect(found.stdout).toMatch(/^ {2}digest {2}in SQL for 3 of 3 tables$/m);

  expect(found.stdout).toMatch(
    /^ {2}capture by triggers, .*rename or drop none of them.*\n.*error 1054.*\n {10}customers \(id, tenant_id\)\n {10}notes \(customer_id, id\)\n {10}rates \(id\)$/m,
  );

  await registerTables(pair, withRates().tables);
  await installMode(pair, 'triggers');
  expect((await check(withRates())).next).toEqual(['switchback start acme --reason "..."']);

  const record = (tenant: string, mode: string) =>
    pair.source.run(
      `INSERT INTO \`${pair.control}\`.migration (tenant, phase, mode, since, run_id, wave, started_at) VALUES (?, 'backfill', ?, NOW(6), 'run', 'first', NOW(6))`,
      [tenant, mode],
    );
  await record('acme', 'running');
  expect((await check(withRates())).next).toEqual(['switchback status']);
  await record('globex', 'stopped');
  expect((await check(withRates())).next).toEqual(['switchback retry globex --reason "..."']);

  const [trigger] = await world().rows('source', 'SHOW TRIGGERS');
  await sql('source', `DROP TRIGGER \`${trigger!['Trigger']!}\``);
  expect((await check(withRates())).next).toEqual(['switchback install --reason "..."']);
});
