/** `why`, `status` and `repair` over a record that stands in the control schema: neither Temporal nor a worker runs. */
import { beforeAll, describe, expect, it } from 'vitest';

import { admitTenants } from '../../src/db/control.ts';
import { keyLiteral } from '../../src/db/journal-rows.ts';
import { admitStage, appendAudit, flipStage } from '../../src/db/stages.ts';
import { loadTracked } from '../../src/db/tracked.ts';
import { repairKeys } from '../../src/db/verdict.ts';
import { encodeKey } from '../../src/domain/key.ts';
import { useWorld } from '../support/world.ts';
import { expectGolden, steady, switchback, useFolder, writePlan } from './switchback.ts';

const world = useWorld(['acme', 'globex', 'initech'], { rows: 3, approval: true });
const folder = useFolder();

const NO_TEMPORAL = { TEMPORAL_ADDRESS: '127.0.0.1:9' };
const SECRET = 'value-nobody-may-see';

const ask = async (...words: string[]) => switchback([...words], { env: NO_TEMPORAL, cwd: await written() });

async function written(): Promise<string> {
  await writePlan(await folder(), world().plan);
  return folder();
}

const golden = async (name: string, text: string): Promise<void> => {
  const { plan } = world();
  await expectGolden(name, steady(text, { [plan.name]: '<plan>' }));
};

interface Record {
  readonly tenant: string;
  readonly phase: string;
  readonly mode: string;
  readonly reason: string | null;
  readonly stage: 'shadow-read' | 'dual-write';
}

async function record({ tenant, phase, mode, reason, stage }: Record): Promise<void> {
  const { pair } = world();
  const table = `\`${pair.control}\`.migration`;
  await admitStage(pair.source, pair.control, tenant);
  await admitTenants(pair.target, pair.control, [tenant, '_unresolved']);
  await flipStage(pair.source, pair.control, {
    tenant,
    to: stage,
    from: ['source-only'],
    expectEpoch: null,
    actor: 'switchback',
    reason: 'the gates are open',
    requestId: null,
  });
  await pair.source.run(
    `INSERT INTO ${table} (tenant, phase, mode, reason, since, run_id, wave, started_at) VALUES (?, ?, ?, ?, NOW(6), 'run-of-${tenant}', 'first', NOW(6))`,
    [tenant, phase, mode, reason],
  );
}

let drifted = '';

beforeAll(async () => {
  const { pair } = world();
  await record({
    tenant: 'globex',
    phase: 'ready',
    mode: 'waiting',
    reason: 'approval: not approved',
    stage: 'shadow-read',
  });
  await record({
    tenant: 'acme',
    phase: 'shadow',
    mode: 'stopped',
    reason: 'drift: 1 rows differ or are extra',
    stage: 'shadow-read',
  });
  const tracked = await loadTracked(pair);
  const { id: tableId } = tracked.byName('customers');
  const [row] = await world().rows('source', "SELECT MIN(id) AS id FROM customers WHERE tenant_id = 'acme'");
  drifted = row!['id']!;
  await repairKeys(pair, tracked, 'acme', tableId, [encodeKey([drifted])]);
  await world().sql('target', `UPDATE customers SET name = '${SECRET}' WHERE id = ${drifted}`);
  await pair.source.run(
    `INSERT INTO \`${pair.control}\`.drift (tenant, table_id, row_key, class, columns_differing, source_hash, target_hash)
     VALUES ('acme', ${tableId}, ${keyLiteral(encodeKey([drifted]))}, 'different', 'name', '${'5b7481d7b3'.padEnd(64, '0')}', '${'2354104c3c'.padEnd(64, '0')}')`,
  );
  await pair.source.run(
    `INSERT INTO \`${pair.control}\`.shadow VALUES ('acme', 'inbox', 'node-1', 900, 2, NOW(6), NOW(6)), ('acme', 'totals', 'node-1', 50, 0, NOW(6), NOW(6))`,
  );
  await appendAudit(pair.source, pair.control, {
    tenant: 'acme',
    event: 'phase',
    before: 'reconcile',
    after: 'shadow',
    epoch: null,
    actor: 'ann',
    // A reason is somebody's text: it must not move a cursor.
    reason: 'looks\u001B[2J good',
    requestId: null,
  });
});

describe('why', () => {
  it('shows a stopped line with its drift, and the command that mends it', async () => {
    const said = await ask('why', 'acme');

    expect(said.code, said.all).toBe(0);
    expect(said.all).not.toContain(SECRET);
    expect(said.all).not.toContain('\u001B');
    await golden('why-stopped.txt', said.stdout.replaceAll(`id=${drifted} `, 'id=<id> '));
  });

  it('shows a gate that waits for an operator, and the command that opens it', async () => {
    const said = await ask('why', 'globex');

    await golden('why-waiting.txt', said.all);
    expect(said.stdout).toContain('switchback advance globex --reason "..."');
  });

  it('gives the same as one object', async () => {
    const { code, stdout } = await ask('why', 'acme', '--json');

    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      tenant: 'acme',
      phase: 'shadow',
      mode: 'stopped',
      openDrift: 1,
      drift: [{ table: 'customers', key: `id=${drifted}`, class: 'different', columns: ['name'] }],
      shadowReads: [{ read: 'inbox', samples: 900, differing: 2 }],
      next: ['switchback repair acme --reason "..."', 'switchback retry acme --reason "..."'],
    });
  });

  it('says how to start a tenant that was not', async () => {
    expect(await ask('why', 'initech')).toMatchObject({
      code: 3,
      stderr: 'error: initech was not started yet\nnext: switchback start initech --reason "..."\n',
    });
  });
});

describe('status', () => {
  it('shows the stopped tenants first', async () => {
    const said = await ask('status');

    expect(said.code, said.all).toBe(0);
    const rows = said.stdout.split('\n');
    expect(rows[1]).toMatch(/^acme +shadow +stopped/);
    expect(rows[2]).toMatch(/^globex +ready +waiting/);
    expect(rows[3]).toBe('Not started: initech.');
    expect(said.stderr).toBe('next: switchback why acme\n');
  });

  it('of one tenant has the shape of all', async () => {
    const { stdout } = await ask('status', 'acme', '--json');

    const one = JSON.parse(stdout) as { tenants: Record[] };
    expect(Object.keys(one)).toEqual([
      'at',
      'capture',
      'weaker',
      'tenants',
      'notStarted',
      'targetReachable',
      'noWorkerForMs',
      'altered',
      'byKey',
      'next',
    ]);
    expect(one.tenants).toHaveLength(1);
    expect(one.tenants[0]).toMatchObject({
      tenant: 'acme',
      stage: 'shadow-read',
      epoch: 1,
      openDrift: 1,
      cleanSince: null,
    });
  });

  it('goes on without the target', async () => {
    const said = await switchback(['status', '--json'], {
      env: { ...NO_TEMPORAL, WORLD_TARGET: 'mysql://a:b@127.0.0.1:9/' },
      cwd: await written(),
    });

    expect(said.code, said.all).toBe(0);
    expect(JSON.parse(said.stdout)).toMatchObject({
      targetReachable: false,
      tenants: [{ tenant: 'acme', backfill: null }, {}],
    });
  });
});

describe('repair', () => {
  it('refuses a drift that is not open, exit 3', async () => {
    expect(await ask('repair', 'acme', '--drift', '4711', '--reason', 'x')).toMatchObject({ code: 3 });
  });

  it('mirrors the row from the source, marks it, and keeps who did it', async () => {
    const { pair } = world();

    const said = await ask('repair', 'acme', '--reason', 'a manual update', '--json');

    expect(said.code, said.all).toBe(0);
    expect(JSON.parse(said.stdout)).toMatchObject({
      repaired: [{ table: 'customers', class: 'different', equal: true }],
      left: 0,
      next: ['switchback retry acme --reason "..."'],
    });
    const read = `SELECT name FROM customers WHERE id = ${drifted}`;
    expect(await world().rows('target', read)).toEqual(await world().rows('source', read));
    const [entry] = await pair.source.rows(
      `SELECT actor, reason FROM \`${pair.control}\`.audit WHERE event = 'repair'`,
    );
    expect(entry).toMatchObject({
      actor: 'ann',
      reason: expect.stringContaining('a manual update') as unknown,
    });
    expect((await ask('repair', 'acme', '--reason', 'x')).stdout).toContain('no open drift');
  });
});
