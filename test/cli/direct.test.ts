/** `rollback --direct`: needs the source's control schema and nothing else. */
import { describe, expect, it } from 'vitest';

import { admitStage, flipStage, readStage, renewLease } from '../../src/db/stages.ts';
import type { Stage } from '../../src/domain/stage.ts';
import { useWorld } from '../support/world.ts';
import { switchback, useFolder, writePlan } from './switchback.ts';

const world = useWorld(['acme', 'globex', 'initech'], { rows: 2 });
const folder = useFolder();

/** Nothing listens on the discard port: Temporal and Redis are down. */
const DOWN = { TEMPORAL_ADDRESS: '127.0.0.1:9', WORLD_REDIS: 'redis://127.0.0.1:9' };

async function put(tenant: string, stage: Stage): Promise<void> {
  const { pair } = world();
  await admitStage(pair.source, pair.control, tenant);
  const from: Stage[] = ['source-only', 'dual-write', 'shadow-read', 'read-target'];
  await flipStage(pair.source, pair.control, {
    tenant,
    to: stage,
    from,
    expectEpoch: null,
    actor: 'test',
    reason: 'test',
    requestId: null,
  });
}

const stageOf = async (tenant: string) =>
  (await readStage(world().pair.source, world().pair.control, tenant))?.stage;

const direct = async (...words: string[]) => {
  const plan = await writePlan(await folder(), world().plan);
  return switchback(
    ['rollback', ...words, '--direct', '--plan', plan, '--reason', 'Aurora is slow', '--json'],
    { env: DOWN },
  );
};

describe('with Temporal and Redis down', () => {
  it('flips who reads from the target, and refuses the others with the reason', async () => {
    await put('acme', 'read-target');
    await put('globex', 'shadow-read');

    const said = await direct('acme', 'globex', 'nobody');

    expect(said.code, said.all).toBe(4);
    expect(JSON.parse(said.stdout)).toMatchObject({
      published: false,
      flipped: [{ tenant: 'acme', stage: 'shadow-read' }],
      refused: [
        { tenant: 'globex', why: 'it is in shadow-read, so its reads come from the source' },
        { tenant: 'nobody', why: 'it was never started' },
      ],
    });
    expect(await stageOf('acme')).toBe('shadow-read');
  });

  it('flips every tenant in read-target with --all, and nobody else', async () => {
    await put('acme', 'read-target');
    await put('globex', 'dual-write');
    await put('initech', 'read-target');

    const said = await direct('--all');

    expect(said.code, said.all).toBe(0);
    const { flipped } = JSON.parse(said.stdout) as { flipped: { tenant: string }[] };
    expect(flipped.map(({ tenant }) => tenant).sort()).toEqual(['acme', 'initech']);
    expect(await stageOf('globex')).toBe('dual-write');
  });

  it('keeps who did it and why in the audit', async () => {
    await put('acme', 'read-target');

    await direct('acme');

    const { pair } = world();
    const [entry] = await pair.source.rows(
      `SELECT actor, reason, after_value FROM \`${pair.control}\`.audit WHERE tenant = 'acme' ORDER BY id DESC LIMIT 1`,
    );
    expect(entry).toEqual({ actor: 'ann', reason: 'Aurora is slow', after_value: 'shadow-read' });
  });

  it('says in time that a live node did not follow, exit 6', async () => {
    const { pair } = world();
    await put('acme', 'read-target');
    await renewLease(pair.source, pair.control, {
      node: 'frozen',
      service: 'portal',
      version: 0,
      leaseMs: 60_000,
    });

    const said = await direct('acme');

    expect(said.code, said.all).toBe(6);
    expect(JSON.parse(said.stdout)).toMatchObject({ nodes: { live: 1, following: 0 } });
    expect(await stageOf('acme')).toBe('shadow-read');
  });
});
