/** The promises of docs and DESIGN section 1, by name. P1 concerns the application: test/app holds it. */
import { describe, expect, it } from 'vitest';

import { copyTable } from '../../src/db/backfill.ts';
import { converge } from '../../src/db/converge.ts';
import { Database } from '../../src/db/database.ts';
import { Mirror } from '../../src/db/mirror.ts';
import { flipStage, readStage } from '../../src/db/stages.ts';
import { judgeHot, judgeKeys } from '../../src/db/verdict.ts';
import { judgeGates, PHASE_GATES, type Evidence, type GateInput } from '../../src/domain/gate.ts';
import { encodeKey } from '../../src/domain/key.ts';
import type { Phase } from '../../src/domain/phase.ts';
import { FaultyDatabase, STEP_NAMES, isStep } from '../db/protocol/faults.ts';
import { column, dump, useFixture } from '../support/pair.ts';
import { stackInfo } from '../support/stack.ts';

const TABLE =
  'CREATE TABLE items (id INT PRIMARY KEY, tenant_id VARCHAR(20) NOT NULL, n INT NOT NULL, KEY (tenant_id))';

async function prepare(fixture: ReturnType<ReturnType<typeof useFixture>>): Promise<void> {
  await fixture.install({ items: column() });
  await fixture.start('ant');
  await fixture.sql('source', "INSERT INTO items VALUES (1, 'ant', 1), (2, 'ant', 1), (3, 'ant', 1)");
  await fixture.mirror.drain('ant');
}

const equal = async (fixture: ReturnType<ReturnType<typeof useFixture>>) =>
  expect(await dump(fixture, 'target', 'items')).toEqual(await dump(fixture, 'source', 'items'));

describe('P2: every committed write reaches the target, whoever wrote it, whatever crashes', () => {
  const fixture = useFixture([TABLE]);
  let next = 3;

  it.each(STEP_NAMES)('also when the mirror dies at its step %s', async (step) => {
    const { pair, tracked, mirror, sql } = fixture();
    if (tracked === null) await prepare(fixture());
    let crashed = 0;
    const interference = {
      withoutLock: false,
      at(moment: 'before' | 'sent', side: 'source' | 'target', text: string): void {
        if (moment !== 'before' || !isStep(step, side, text)) return;
        crashed += 1;
        throw new Error('crashed');
      },
    };
    const { sourceUrl, targetUrl } = stackInfo();
    const source = new FaultyDatabase({ side: 'source', url: sourceUrl }, interference);
    const target = new FaultyDatabase({ side: 'target', url: targetUrl }, interference);
    // A foreign writer: plain SQL, no library of ours.
    await sql('source', 'UPDATE items SET n = n + 1 WHERE id = 1');
    await sql('source', 'DELETE FROM items WHERE id = 2');
    await sql('source', "INSERT INTO items VALUES (2, 'ant', 9)");
    // Rows come and go.
    await sql('source', 'DELETE FROM items WHERE id > 3');
    await sql('source', `INSERT INTO items VALUES (${(next += 1)}, 'ant', 1)`);
    const dying = new Mirror({ ...pair, source, target }, fixture().tracked);
    await expect(dying.mirrorTenant('ant', 0)).rejects.toThrow('crashed');
    expect(crashed).toBeGreaterThan(0);
    await Promise.all([source.close(), target.close()]);
    await (mirror ?? fixture().mirror).drain('ant');
    await equal(fixture());
  });
});

describe('P3: the target never goes back in time: no stale image, no resurrected row', () => {
  const fixture = useFixture([TABLE]);

  it('an applier that read before a later write cannot write after it', async () => {
    await prepare(fixture());
    const { pair, tracked, mirror, sql, rows } = fixture();
    const later: Promise<number>[] = [];
    const target = new Database({ side: 'target', url: stackInfo().targetUrl });
    await sql('source', 'UPDATE items SET n = 2 WHERE id = 1');
    await converge({ ...pair, target }, tracked, {
      tenants: ['ant'],
      journal: null,
      keys: new Map([[tracked.byName('items').id, new Set([encodeKey(['1'])])]]),
      atOneInstant: async () => {
        await sql('source', 'UPDATE items SET n = 3 WHERE id = 1');
        await sql('source', 'DELETE FROM items WHERE id = 3');
        later.push(mirror.drain('ant'));
      },
    });
    await Promise.all(later);
    expect(await rows('target', 'SELECT id, n FROM items ORDER BY id')).toEqual([
      { id: '1', n: '3' },
      { id: '2', n: '1' },
    ]);
    await equal(fixture());
    await target.close();
  });
});

describe('P4: a reported drift is a drift: no false alarm, no settle timer, nothing locked on the source', () => {
  const fixture = useFixture([TABLE]);

  it('what is in flight is no drift, what differs is one at once, and writers go on', async () => {
    await prepare(fixture());
    const { pair, tracked, mirror, sql } = fixture();
    const { id } = tracked.byName('items');
    const judge = async (judging = judgeKeys) =>
      (
        await judging(
          pair,
          tracked,
          'ant',
          id,
          ['1', '2', '3', '4'].map((key) => encodeKey([key])),
        )
      ).map(({ verdict }) => (verdict.kind === 'drift' ? verdict.class : verdict.kind));
    await sql('source', 'UPDATE items SET n = 5 WHERE id = 1');
    expect(await judge()).toEqual(['in-flight', 'equal', 'equal', 'equal']);
    await mirror.drain('ant');
    await sql('target', 'UPDATE items SET n = 6 WHERE id = 1');
    await sql('target', 'DELETE FROM items WHERE id = 2');
    await sql('target', "INSERT INTO items VALUES (4, 'ant', 0)");
    expect(await judge()).toEqual(['different', 'missing', 'equal', 'extra']);

    // A writer holds all rows: the verdict does not wait for it, so it locks none of them.
    const writer = pair.source.transaction(async (session) => {
      await session.run(`UPDATE \`${pair.sourceSchema}\`.items SET n = n + 1`);
      const started = Date.now();
      await judge();
      return Date.now() - started;
    });
    expect(await writer).toBeLessThan(2_000);
    await judge(judgeHot);
    await mirror.drain('ant');
    await equal(fixture());
  });
});

describe('P5: flipping back is instant and loses nothing, before the write authority moves', () => {
  const fixture = useFixture([TABLE]);

  it('after read-target, under live writes', async () => {
    await prepare(fixture());
    const { pair, tracked, mirror, sql } = fixture();
    await copyTable(pair, tracked, {
      tenant: 'ant',
      round: 1,
      tableId: tracked.byName('items').id,
      limits: {
        windowTarget: 100,
        windowRows: 100,
        windowBytes: 8_388_608,
        reconcileRows: 100,
        backfillParallel: 1,
        threadsRunning: 1_000,
        rowsPerSecond: 0,
      },
      pace: () => Promise.resolve(0),
      progress: () => {},
      until: () => false,
    });
    await fixture().start('ant', 'read-target');
    let writing = true;
    let written = 0;
    const writer = (async () => {
      while (writing)
        await sql('source', `UPDATE items SET n = ${(written += 1)} WHERE id = ${1 + (written % 3)}`);
    })();
    const mirroring = (async () => {
      while (writing) await mirror.mirrorTenant('ant', null);
    })();
    while (written < 20) await mirror.mirrorTenant('ant', null);
    const started = Date.now();
    const flipped = await flipStage(pair.source, pair.control, {
      tenant: 'ant',
      to: 'shadow-read',
      expectEpoch: (await readStage(pair.source, pair.control, 'ant'))!.epoch,
      from: ['read-target'],
      actor: 'test',
      reason: 'flip back',
      requestId: null,
    });
    expect(Date.now() - started).toBeLessThan(1_000);
    expect(flipped.stage).toBe('shadow-read');
    writing = false;
    await Promise.all([writer, mirroring]);
    // The source had every write all along; the target follows.
    const [highest] = await fixture().rows('source', 'SELECT MAX(n) AS n FROM items');
    expect(Number(highest!['n'])).toBe(written);
    await mirror.drain('ant');
    await equal(fixture());
  });
});

describe('P6: no read flip without evidence', () => {
  const NOTHING: Evidence = {
    at: 1_000_000_000,
    journalAge: null,
    journalRows: null,
    mirroredAt: null,
    mirror: null,
    workerAt: null,
    tables: { all: 0, copied: 0 },
    rows: { copied: 0, estimated: 0 },
    cleanPasses: 0,
    cleanSince: null,
    lastPassAt: null,
    reconciledAt: null,
    openDrift: null,
    approvers: [],
    shadow: { samples: 0, differing: 1, reads: null },
    nodes: { live: 0, following: 0 },
    replicas: { named: 1, lag: null },
    retention: null,
    certificateAt: null,
    captureLost: 'triggers were not looked at',
    capture: 'triggers',
    sharedPhase: null,
  };
  const input: GateInput = {
    tenant: 'ant',
    evidence: NOTHING,
    since: 0,
    approved: false,
    plan: {
      name: 'plan',
      freeze: [{ from: 0, to: 2_000_000_000_000, why: 'nobody flips' }],
      wave: 'first',
      approval: true,
      hasShared: true,
      durations: {
        shadow: 1,
        soak: 1,
        reconcileEvery: 1,
        reconcileRun: 1,
        gateEvery: 1,
        dirtyAfter: 1,
        mirrorBudget: 1,
        drill: 1,
        certificate: 1,
        missingAgain: 1,
        lease: 1,
        settle: 1,
      },
      limits: {
        windowTarget: 1,
        windowRows: 1,
        windowBytes: 8_388_608,
        reconcileRows: 1,
        backfillParallel: 1,
        threadsRunning: 1,
        rowsPerSecond: 0,
      },
      gates: { shadowSamples: 1, cleanPasses: 1, nodes: 1 },
    },
  };
  const gates = (Object.keys(PHASE_GATES) as Phase[]).flatMap((phase) =>
    PHASE_GATES[phase].map((gate) => ({ phase, gate })),
  );

  it.each(gates)('gate $gate of phase $phase is closed when its evidence is missing', ({ phase, gate }) => {
    const verdict = judgeGates(phase, input, []).find((judged) => judged.gate === gate);
    expect(verdict).toMatchObject({ open: false, waived: false });
    expect(verdict!.saw).not.toBe('');
    expect(verdict!.clear).not.toBe('');
  });
});
