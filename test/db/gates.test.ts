/** What stands in the control schema of gates: since when, waivers, counts of the mirror, the cluster's retention. */
import { setTimeout as sleep } from 'node:timers/promises';

import { beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { saveRetention } from '../../src/db/cluster-facts.ts';
import { readEvidence } from '../../src/db/evidence.ts';
import { readGateHistory, readGates, recordGates } from '../../src/db/gate-record.ts';
import { claimTenant, enterPhase, readMigration, saveMode } from '../../src/db/migrations.ts';
import { MirrorCounts } from '../../src/db/mirror-counts.ts';
import { beatWorker } from '../../src/db/presence.ts';
import { admitStage } from '../../src/db/stages.ts';
import { loadTracked } from '../../src/db/tracked.ts';
import { readWaivers } from '../../src/db/waivers.ts';
import { DAY, HOUR } from '../../src/domain/duration.ts';
import type { GateVerdict } from '../../src/domain/gate.ts';
import { useWorld } from '../support/world.ts';

const world = useWorld(['acme', 'globex'], { rows: 2 });
const run = { tenant: 'acme', runId: 'run-1' } as const;
const UNDECIDED = { approved: false, waivers: [] } as const;

const verdict = (gate: string, open: boolean, saw = 'this', waived = false): GateVerdict => ({
  gate,
  open,
  saw,
  needs: 'that',
  clear: 'wait',
  waived,
});

const enter = (
  from: 'preflight' | 'dual-write' | 'shadow' | 'ready',
  to: 'dual-write' | 'shadow' | 'ready',
) =>
  enterPhase(world().pair, {
    ...run,
    from,
    to,
    mode: 'running',
    reason: null,
    actor: 'test',
    why: 'a test',
    requestId: null,
  });

const evidence = async () =>
  readEvidence(world().pair, await loadTracked(world().pair), {
    tenant: 'acme',
    since: 0,
    round: 0,
    replicas: { named: 0, lag: null },
  });

beforeAll(async () => {
  const { pair } = world();
  for (const tenant of ['acme', 'globex']) {
    await admitStage(pair.source, pair.control, tenant);
    await claimTenant(pair, { ...run, tenant, wave: 'first', adopt: false });
  }
  await enter('preflight', 'dual-write');
});

describe('since when a gate is closed', () => {
  const record = (phase: 'dual-write' | 'shadow', ...verdicts: GateVerdict[]) =>
    recordGates(world().pair, { ...run, phase, ...UNDECIDED }, verdicts);
  const standing = async () => {
    const rows = await readGates(world().pair.source, world().pair.control, 'acme');
    return Object.fromEntries(rows.map((row) => [row.gate, row]));
  };

  it('is when a worker first found it so, however often it looks', async () => {
    await record('dual-write', verdict('nodes', false, '0 of 0'), verdict('capture', true));
    const first = await standing();
    expect(first['nodes']).toMatchObject({ open: false, phase: 'dual-write', saw: '0 of 0' });
    expect(first['nodes']!.closedAt).toBe(first['nodes']!.firstClosedAt);
    expect(first['capture']).toMatchObject({ open: true, closedAt: null, firstClosedAt: null });

    await sleep(5);
    await record('dual-write', verdict('nodes', false, '1 of 2'), verdict('capture', true));
    expect(await standing()).toEqual(first);
  });

  it('starts again when it opened in between, and the first time is kept', async () => {
    const first = (await standing())['nodes']!;
    await record('dual-write', verdict('nodes', true), verdict('capture', false));
    expect((await standing())['nodes']).toMatchObject({ closedAt: null, firstClosedAt: first.firstClosedAt });
    await sleep(5);
    await record('dual-write', verdict('nodes', false), verdict('capture', true));
    const again = (await standing())['nodes']!;
    expect(again.closedAt).toBeGreaterThan(first.closedAt!);
    expect(again.firstClosedAt).toBe(first.firstClosedAt);
  });

  it('keeps what let the tenant through, and begins anew in the next phase', async () => {
    await record('dual-write', verdict('nodes', false, '0 of 2', true), verdict('capture', true, 'stands'));
    await enter('dual-write', 'shadow');
    expect(await standing()).toEqual({});
    await record('shadow', verdict('capture', false));
    expect(Object.keys(await standing())).toEqual(['capture']);
    const { pair } = world();
    const history = await readGateHistory(pair.source, pair.control, 'acme');
    expect(history.map(({ phase, gate, open, waived, saw }) => [phase, gate, open, waived, saw])).toEqual([
      ['dual-write', 'capture', true, false, 'stands'],
      ['dual-write', 'nodes', false, true, '0 of 2'],
      ['shadow', 'capture', false, false, 'this'],
    ]);
  });

  it('a late look of a phase that was left, or of a run that lost the tenant, changes nothing', async () => {
    const before = await standing();
    await record('dual-write', verdict('copied', false));
    await recordGates(world().pair, { ...run, ...UNDECIDED, runId: 'run-0', phase: 'shadow' }, [
      verdict('soak', false),
    ]);
    // Nobody waits for a look that an approval or a waiver ended.
    const waivers = [{ gate: 'soak', until: 1, actor: 'ann', reason: 'a test' }];
    for (const decided of [{ approved: true }, { waivers }])
      await recordGates(world().pair, { ...run, ...UNDECIDED, ...decided, phase: 'shadow' }, [
        verdict('soak', false),
      ]);
    expect(await standing()).toEqual(before);
  });
});

describe('waivers', () => {
  const waive = (gate: string, requestId: string, until: number) =>
    saveMode(world().pair, {
      ...run,
      mode: 'waiting',
      reason: null,
      approved: false,
      waivers: [{ gate, until, actor: 'ann', reason: 'a quiet tenant' }],
      rowsPerSecond: null,
      actor: 'ann',
      event: `waive ${gate}`,
      why: 'a quiet tenant',
      requestId,
    });
  const shown = async () =>
    (await readWaivers(world().pair, 'acme')).map(({ gate, phase, actor, standing, endedAt }) => [
      gate,
      phase,
      actor,
      standing,
      endedAt !== null,
    ]);

  it('are kept with who, why and until when, once for each request, whatever its end', async () => {
    const until = Date.now() + DAY;
    await waive('shadow-samples', 'r1', until);
    await waive('shadow-samples', 'r1', until);
    await waive('clean-time', 'r2', Date.now() - DAY);
    await waive('open-drift', 'r3', 8.64e15);
    expect(await readWaivers(world().pair, null)).toHaveLength(3);
    expect((await readWaivers(world().pair, 'acme')).at(-1)).toMatchObject({
      gate: 'shadow-samples',
      reason: 'a quiet tenant',
      until,
    });
    expect(await shown()).toEqual([
      ['open-drift', 'shadow', 'ann', true, false],
      ['clean-time', 'shadow', 'ann', false, false],
      ['shadow-samples', 'shadow', 'ann', true, false],
    ]);
  });

  it('end with the migration they were given for, and are shown all the same', async () => {
    const { pair } = world();
    await pair.source.run(`UPDATE \`${pair.control}\`.migration SET phase = 'aborted' WHERE tenant = 'acme'`);
    await claimTenant(pair, { ...run, wave: 'first', adopt: false });
    expect((await readMigration(pair.source, pair.control, 'acme'))!.waivers).toEqual([]);
    expect(await shown()).toEqual([
      ['open-drift', 'shadow', 'ann', false, true],
      ['clean-time', 'shadow', 'ann', false, false],
      ['shadow-samples', 'shadow', 'ann', false, true],
    ]);
  });
});

describe('evidence', () => {
  beforeEach(async () => {
    await world().pair.source.run(`DELETE FROM \`${world().pair.control}\`.mirror_count`);
  });

  it('holds the mirrors of the last hour, of all processes, that of unresolved rows too', async () => {
    const { source, control } = world().pair;
    const [one, two] = [new MirrorCounts(source, control), new MirrorCounts(source, control)];
    one.add('acme', 10, 1);
    one.add('globex', 50, 50);
    one.add('_unresolved', 1, 1);
    two.add('acme', 5, 0);
    await Promise.all([one.flush(), two.flush()]);
    await one.flush();
    expect((await evidence()).mirror).toEqual({ attempts: 16, failures: 2 });

    await source.run(`UPDATE \`${control}\`.mirror_count SET minute = minute - 61`);
    expect((await evidence()).mirror).toEqual({ attempts: 0, failures: 0 });
    // Whoever comes later throws away what no gate asks for.
    await source.run(`UPDATE \`${control}\`.mirror_count SET minute = minute - 61`);
    await new MirrorCounts(source, control).flush();
    expect(await source.rows(`SELECT * FROM \`${control}\`.mirror_count`)).toEqual([]);
  });

  it('holds retention and heartbeat as of when a worker wrote them', async () => {
    const { source, control } = world().pair;
    expect(await evidence()).toMatchObject({ retention: null, workerAt: null });
    await saveRetention(source, control, 72 * HOUR);
    await beatWorker(source, control);
    const seen = await evidence();
    expect(seen.retention).toMatchObject({ ms: 72 * HOUR });
    for (const at of [seen.retention!.readAt, seen.workerAt!]) expect(seen.at - at).toBeLessThan(30_000);
  });

  it('holds reads that might have been compared, unless a node counts none', async () => {
    const { source, control } = world().pair;
    const insert = (node: string, reads: number | null) =>
      source.run(
        `INSERT INTO \`${control}\`.shadow (tenant, read_name, node, samples, differing, first_at, last_at, read_count) VALUES ('acme', 'inbox', ?, 3, 0, NOW(6), NOW(6), ?)`,
        [node, reads],
      );
    await insert('node-1', 3);
    await insert('node-2', 4);
    expect((await evidence()).shadow).toMatchObject({ samples: 6, reads: 7 });
    await insert('plain-sql', null);
    expect((await evidence()).shadow).toMatchObject({ samples: 9, reads: null });
  });
});
