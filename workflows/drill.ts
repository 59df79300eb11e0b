/** The rehearsal: reads go to the target and come back, while the application is asked and connections are cut. */
import { CancellationScope, patched, sleep, uuid4 } from '@temporalio/workflow';

import { formatDuration, SECOND, type Milliseconds } from '../src/domain/duration.ts';
import type { TenantPlan } from '../src/domain/plan.ts';
import type { Probed } from '../activities/drill.ts';
import { control } from './proxies.ts';
import type { TenantRun } from './run.ts';
import type { Outcome } from './steps.ts';

/** How long a flip waits for its nodes; correctness does not need them, the certificate does. */
const NODES_BOUND: Milliseconds = 10 * SECOND;

/** Times in milliseconds. */
type Certificate = Record<string, string | number>;

/** Whatever interrupts it, reads end on the source. */
export async function rehearse({ state }: TenantRun): Promise<Outcome> {
  const { tenant, plan } = state;
  const started = Date.now();
  const probing = patched('drill-probe');
  const drill = probing ? uuid4() : '';
  try {
    const there = await flipAndWait(
      tenant,
      plan.name,
      'shadow-read',
      'read-target',
      'drill: reads to the target',
    );
    const certificate: Certificate = {};
    if (probing) {
      const stopped = await ask(tenant, plan, drill, 'probe', certificate);
      if (stopped !== null) return stopped;
    }
    await sleep(plan.durations.drill, {
      summary: `drill: read through the target for ${formatDuration(plan.durations.drill)}`,
    });
    if (probing) {
      certificate['cut'] = await control(
        plan.name,
        "drill: cut this worker's connections to the target",
      ).cutTarget();
      const stopped = await ask(tenant, plan, drill, 'probeAfterCut', certificate);
      if (stopped !== null) return stopped;
    }
    const back = await flipAndWait(
      tenant,
      plan.name,
      'read-target',
      'shadow-read',
      'drill: reads back to the source',
    );
    if (back.following < back.live || there.following < there.live) {
      return stop('a live node did not follow the flip in time', [
        '`switchback flags` shows which node is behind',
      ]);
    }
    const content: Certificate = {
      flipMs: there.ms,
      flipBackMs: back.ms,
      nodes: back.live,
      seconds: (Date.now() - started) / SECOND,
    };
    if (!probing) {
      await control(plan.name, 'write the drill certificate').certify({ tenant, content });
      return { kind: 'advance' };
    }
    return await conclude(tenant, plan, drill, { ...content, ...certificate });
  } finally {
    await CancellationScope.nonCancellable(() =>
      control(plan.name, 'drill: make sure that reads are on the source').flip({
        tenant,
        from: 'read-target',
        to: 'shadow-read',
        reason: 'drill ended',
      }),
    );
  }
}

/** @returns a stop when the probe failed; what it took is written into the certificate */
async function ask(
  tenant: string,
  plan: TenantPlan,
  drill: string,
  when: 'probe' | 'probeAfterCut',
  certificate: Certificate,
): Promise<Outcome | null> {
  const summary = when === 'probe' ? 'drill: ask the application' : 'drill: ask the application again';
  const probed: Probed = await control(plan.name, summary).probe({ tenant, drill });
  if (probed.kind === 'failed')
    return stop(probed.why, [`mend the probe, then \`switchback retry ${tenant} --reason "..."\``]);
  certificate[`${when}Ms`] = probed.kind === 'none' ? 0 : probed.ms;
  certificate['reads'] = Number(certificate['reads'] ?? 0) + (probed.kind === 'none' ? 0 : probed.reads);
  return null;
}

/** With reads on the source again: are the canaries on both sides, and does the journal keep up? */
async function conclude(
  tenant: string,
  plan: TenantPlan,
  drill: string,
  content: Certificate,
): Promise<Outcome> {
  const checked = await control(plan.name, 'drill: look at the canaries and the journal').checkDrill({
    tenant,
    drill,
  });
  if (checked.wrong !== null)
    return stop(checked.wrong, [`\`switchback verify ${tenant} --full\` compares every row`]);
  const bound = Math.max(plan.durations.dirtyAfter, 2 * SECOND);
  if (checked.journalAge === null || checked.journalAge > bound)
    return stop('the journal does not keep up after the flip back', [
      'is the target up, is a worker running?',
    ]);
  await control(plan.name, 'write the drill certificate').certifyDrill({
    tenant,
    content: {
      migration: plan.name,
      drill,
      ...content,
      canaries: checked.all,
      journalAgeMs: checked.journalAge,
    },
  });
  return { kind: 'advance' };
}

const stop = (reason: string, hints: readonly string[]): Outcome => ({
  kind: 'stop',
  reason: `drill: ${reason}`,
  hints,
});

async function flipAndWait(
  tenant: string,
  migration: string,
  from: 'shadow-read' | 'read-target',
  to: 'shadow-read' | 'read-target',
  reason: string,
) {
  const { version } = await control(migration, reason).flip({ tenant, from, to, reason });
  return control(migration, 'wait for the last node to follow').awaitNodes({ version, timeout: NODES_BOUND });
}
