/** A tenant in any phase at once: its record as an earlier run would have left it, taken up by a new run and held there. */
import { admitTenants } from '../../src/db/control.ts';
import { tenantLiteral } from '../../src/db/sql.ts';
import { admitStage, flipStage, readStage } from '../../src/db/stages.ts';
import { PHASES, type Phase } from '../../src/domain/phase.ts';
import { UNRESOLVED } from '../../src/domain/stage.ts';
import type { World } from './world.ts';

export async function standIn(world: World, tenant: string, phase: Phase): Promise<void> {
  const { source, control } = world.pair;
  await admitStage(source, control, tenant);
  await source.run(
    `REPLACE INTO ${control}.migration (tenant, phase, mode, since, run_id, wave, started_at, backfill_round) VALUES (${tenantLiteral(tenant)}, ?, 'running', NOW(6), 'lost', 'first', NOW(6), 1)`,
    [phase],
  );
  await admitTenants(world.pair.target, control, [tenant, UNRESOLVED]);
  const { stage } = PHASES[phase];
  if ((await readStage(source, control, tenant))?.stage !== stage)
    await flipStage(source, control, {
      tenant,
      to: stage,
      from: ['source-only', 'dual-write', 'shadow-read', 'read-target'],
      expectEpoch: null,
      actor: 'test',
      reason: 'stands in its phase',
      requestId: null,
    });
  await world.start(tenant, true);
  await world.until(tenant, phase, 'paused');
}
