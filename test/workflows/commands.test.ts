/** Every command in every phase, on the real server: accepted or refused as the policy says, with its reason. */
import { randomUUID } from 'node:crypto';

import { WorkflowUpdateFailedError } from '@temporalio/client';
import { beforeAll, expect, it } from 'vitest';

import { COMMAND_NAMES, judge, type Command, type CommandName } from '../../src/domain/command.ts';
import { waivableGates } from '../../src/domain/gate.ts';
import { LADDER, PHASES, type Phase } from '../../src/domain/phase.ts';
import { tenantLiteral } from '../../src/db/sql.ts';
import { admitStage } from '../../src/db/stages.ts';
import { commandSignal } from '../../workflows/messages.ts';
import { useWorld } from '../support/world.ts';

const world = useWorld(
  LADDER.map((phase) => `in-${phase}`),
  { approval: true, rows: 5 },
);

const payload = (name: CommandName, phase: Phase) => ({
  requestId: randomUUID(),
  actor: 'ann',
  reason: 'a test',
  ...(name === 'abort' ? { expectPhase: phase } : {}),
  gate: waivableGates(phase)[0] ?? 'none',
  until: '2036-01-01T00:00:00Z',
  rowsPerSecond: 7,
});

function policy(name: CommandName, phase: Phase): string | null {
  const { gate, rowsPerSecond } = payload(name, phase);
  const command: Command = {
    name,
    requestId: '1',
    actor: 'ann',
    reason: 'x',
    expectPhase: name === 'abort' ? phase : null,
    gate,
    until: 1,
    rowsPerSecond,
  };
  return judge(command, {
    tenant: `in-${phase}`,
    phase,
    mode: 'paused',
    reason: `adopted in ${phase}; resume goes on`,
    approval: true,
    approved: false,
    approvers: [],
    approvals: 1,
    gates: waivableGates(phase),
  });
}

/** A record in the phase, as an earlier run would have left it, taken up by a new run: it is held there. */
async function hold(phase: Phase): Promise<void> {
  const { pair, start, until, handle } = world();
  const tenant = `in-${phase}`;
  await handle(tenant)
    .terminate('next')
    .catch(() => {});
  await admitStage(pair.source, pair.control, tenant);
  await pair.source.run(
    `REPLACE INTO ${pair.control}.migration (tenant, phase, mode, since, run_id, wave, started_at, backfill_round) VALUES (${tenantLiteral(tenant)}, ?, 'running', NOW(6), 'lost', 'first', NOW(6), 1)`,
    [phase],
  );
  await pair.source.run(
    `UPDATE ${pair.control}.stage SET stage = ? WHERE tenant = ${tenantLiteral(tenant)}`,
    [PHASES[phase].stage],
  );
  await start(tenant, true);
  await until(tenant, phase, 'paused');
}

async function ordersBy(tenant: string, actor: string): Promise<number> {
  const { pair } = world();
  const rows = await pair.source.rows(
    `SELECT id FROM ${pair.control}.audit WHERE tenant = ${tenantLiteral(tenant)} AND actor = ?`,
    [actor],
  );
  return rows.length;
}

beforeAll(() => {
  world().followAsNode();
  world().work();
});

it.each(LADDER)(
  'in %s, held: updates and signals are judged by the policy alone',
  { timeout: 90_000 },
  async (phase) => {
    const { command, handle, status, record } = world();
    const tenant = `in-${phase}`;
    await hold(phase);
    const refused = COMMAND_NAMES.filter((name) => policy(name, phase) !== null);
    for (const name of refused) {
      const error = await command(tenant, name, payload(name, phase)).then(
        () => null,
        (failure: unknown) => failure,
      );
      expect(error, `${name} in ${phase}`).toBeInstanceOf(WorkflowUpdateFailedError);
      expect((error as WorkflowUpdateFailedError).cause?.message).toBe(policy(name, phase));
      await handle(tenant).signal(commandSignal(name), payload(name, phase));
      await expect.poll(async () => (await status(tenant)).refusals[0] ?? '').toContain(`${name} by ann`);
    }
    expect(await record(tenant)).toMatchObject({ phase, mode: 'paused' });
    // Those that leave it held first, the others each in a run of its own.
    const accepted = COMMAND_NAMES.filter((name) => policy(name, phase) === null);
    for (const name of accepted.filter((one) => one === 'setPace' || one === 'waive'))
      await command(tenant, name, payload(name, phase));
    for (const [index, name] of accepted.filter((one) => one !== 'setPace' && one !== 'waive').entries()) {
      if (index > 0) await hold(phase);
      const receipt = await command(tenant, name, payload(name, phase));
      expect(receipt).toMatchObject({ accepted: true, phase });
      await expect.poll(() => ordersBy(tenant, 'ann'), { timeout: 10_000 }).toBeGreaterThan(0);
    }
  },
);
