/** The mode in which the application writes both sides: what a command line says of it, and to whom. */
import { beforeAll, expect, it } from 'vitest';

import { admitTenants } from '../../src/db/control.ts';
import { admitStage, flipStage } from '../../src/db/stages.ts';
import { WEAKER } from '../../src/domain/capture.ts';
import { useWorld } from '../support/world.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { switchbackHere, useFolder, writePlan } from './switchback.ts';

const world = useWorld(['acme'], { rows: 3, capture: 'application' });
const folder = useFolder();

const ask = async (words: readonly string[], plan: Plan = world().plan) =>
  switchbackHere([...words, '--plan', await writePlan(await folder(), plan)], {
    NO_COLOR: '1',
    TEMPORAL_ADDRESS: '127.0.0.1:9',
  });

beforeAll(async () => {
  const { pair } = world();
  const { source, target, control } = pair;
  await admitStage(source, control, 'acme');
  await admitTenants(target, control, ['acme', '_unresolved']);
  await flipStage(source, control, {
    tenant: 'acme',
    to: 'dual-write',
    from: ['source-only'],
    expectEpoch: null,
    actor: 'switchback',
    reason: 'the gates are open',
    requestId: null,
  });
  await source.run(
    `INSERT INTO ${control}.migration (tenant, phase, mode, since, run_id, wave, started_at) VALUES ('acme', 'dual-write', 'waiting', NOW(6), 'run', 'first', NOW(6))`,
  );
});

it.each(['plan check', 'status', 'status acme', 'why acme'])(
  '%s says which promises are weaker, as text and as an object',
  async (line) => {
    const words = line.split(' ');
    const said = await ask(words);
    for (const { promise, says } of WEAKER.application) expect(said.stdout).toContain(`${promise}  ${says}`);

    const { stdout } = await ask([...words, '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ capture: 'application', weaker: WEAKER.application });
  },
);

it('why says that the gates of a journal do not apply', async () => {
  const { stdout } = await ask(['why', 'acme', '--json']);
  const { gates } = JSON.parse(stdout) as { gates: { gate: string; open: boolean; saw: string }[] };
  const of = (name: string) => gates.find(({ gate }) => gate === name);
  const journal = of('journal-age');

  expect(of('capture')).toMatchObject({ open: true, saw: 'the application writes both sides' });
  expect(journal).toMatchObject({ open: true });
  expect(journal?.saw).toMatch(/^does not apply/);
});

it('install makes no trigger, shows none, and does not change the mode on its way', async () => {
  const dry = await ask(['install', '--dry-run']);
  expect(dry.stdout).not.toContain('TRIGGER');
  const said = await ask(['install', '--reason', 'test']);
  expect(said.code).toBe(0);
  expect(said.stdout).toContain('without a trigger');

  const other = await ask(['install', '--reason', 'test'], { ...world().plan, capture: 'triggers' });
  expect(other.code).toBe(2);
  expect(other.all).toContain('is not the mode that is installed (application)');
});
