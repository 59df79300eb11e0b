/** `why`, `status` and `repair` over a record that stands in the control schema: neither Temporal nor a worker runs. */
import { beforeAll, describe, expect, it } from 'vitest';

import { saveRetention } from '../../src/db/cluster-facts.ts';
import { admitTenants } from '../../src/db/control.ts';
import { recordGates } from '../../src/db/gate-record.ts';
import { keyLiteral } from '../../src/db/journal-rows.ts';
import { beatWorker } from '../../src/db/presence.ts';
import { admitStage, appendAudit, flipStage } from '../../src/db/stages.ts';
import { loadTracked } from '../../src/db/tracked.ts';
import { repairKeys } from '../../src/db/verdict.ts';
import { recordWaiver } from '../../src/db/waivers.ts';
import { DAY } from '../../src/domain/duration.ts';
import { encodeKey } from '../../src/domain/key.ts';
import { useWorld } from '../support/world.ts';
import { expectGolden, steady, switchback, useFolder, writePlan } from './switchback.ts';

const world = useWorld(['acme', 'globex', 'initech'], { rows: 3, approval: true });
const folder = useFolder();

const NO_TEMPORAL = { TEMPORAL_ADDRESS: '127.0.0.1:9' };
const SECRET = 'value-nobody-may-see';

/** A worker was heard of a moment ago, and has read what the cluster keeps. */
async function ask(...words: string[]) {
  const { source, control } = world().pair;
  await beatWorker(source, control);
  await saveRetention(source, control, 90 * DAY);
  return askAlone(...words);
}

const askAlone = async (...words: string[]) =>
  switchback([...words], { env: NO_TEMPORAL, cwd: await written() });

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
    `INSERT INTO \`${pair.control}\`.shadow VALUES ('acme', 'inbox', 'node-1', 900, 2, NOW(6), NOW(6), NULL), ('acme', 'totals', 'node-1', 50, 0, NOW(6), NOW(6), NULL), ('acme', 'quick', 'node-1', 50, 0, NOW(6), NOW(6), NULL)`,
  );
  await pair.source.run(
    `INSERT INTO \`${pair.control}\`.shadow_difference VALUES ('acme', 'inbox', 'node-1', 'value', 1, 0, NOW(6)), ('acme', 'inbox', 'node-2', 'missing', 1, 0, NOW(6)),
       ('acme', 'totals', 'node-1', 'slower', 4, 100, NOW(6)), ('acme', 'totals', 'node-2', 'slower', 4, 140, NOW(6)), ('acme', 'quick', 'node-1', 'slower', 1, 11, NOW(6))`,
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
  const undecided = { approved: false, waivers: [] };
  await recordGates(pair, { tenant: 'globex', runId: 'run-of-globex', phase: 'ready', ...undecided }, [
    { gate: 'approval', open: false, saw: 'not approved', needs: '', clear: '', waived: false },
    { gate: 'nodes', open: false, saw: '0 of 0', needs: '', clear: '', waived: false },
  ]);
  await pair.source.run(
    `UPDATE \`${pair.control}\`.gate SET closed_at = NOW(6) - INTERVAL 7205 SECOND, first_closed_at = NOW(6) - INTERVAL IF(gate = 'nodes', 10806, 7205) SECOND`,
  );
  const waiver = { tenant: 'globex', phase: 'ready', actor: 'ann', reason: 'the probe is on leave' };
  await pair.source.session(async (session) => {
    const until = Date.UTC(2036, 0, 1);
    await recordWaiver(session, pair.control, { ...waiver, gate: 'certificate', until, requestId: 'w1' });
    await recordWaiver(session, pair.control, { ...waiver, gate: 'shadow-equal', until: 0, requestId: 'w2' });
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

    // Seconds go by while a loaded machine starts the command, and widen a column.
    const steadily = said.all.replaceAll(/(\dh)( \d+m)?( \d+s)?/g, '$1').replaceAll(/ {3,}/g, '  ');
    await golden('why-waiting.txt', steadily);
    expect(said.stdout).toContain('switchback advance globex --reason "..."');
    expect(said.stdout).toMatch(/closed +approval +2h.* +not approved/);
    expect(said.stdout).toMatch(/closed +nodes +2h.*, first 3h.* ago +0 of 0 live nodes follow/);
  });

  it('without a worker nothing is known of capture, and one is to be started', async () => {
    await world().pair.source.run(`DELETE FROM \`${world().pair.control}\`.heartbeat`);
    const { gates, next } = JSON.parse((await askAlone('why', 'globex', '--json')).stdout) as {
      gates: { gate: string; open: boolean; next: string | null; who: string; closedSince: string | null }[];
      next: string[];
    };
    expect(gates.find(({ gate }) => gate === 'capture')).toMatchObject({
      open: false,
      next: 'switchback worker',
      closedSince: null,
    });
    expect(next).toEqual(['switchback worker']);
  });

  it('every waiver is shown for ever', async () => {
    await golden('waivers.txt', (await ask('waivers')).all);
    const { stdout } = await ask('waivers', 'acme');
    expect(stdout).toBe('Nothing was ever waived.\n');
    expect((await ask('waivers', 'nobody')).code).toBe(3);
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
      shadowReads: [
        { read: 'inbox', samples: 900, differing: 2, classes: { value: 1, missing: 1 }, slowerByMs: null },
        { read: 'totals', samples: 50, differing: 0, classes: { slower: 8 }, slowerByMs: 30 },
      ],
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
      'awaitingWorker',
      'targetReachable',
      'noWorkerForMs',
      'exportLateMs',
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
