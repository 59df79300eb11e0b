/** A namespace that would delete the first week before the last one ends: nothing starts, and the way out is one command. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { beforeAll, expect, it } from 'vitest';

import { tooShort } from '../../src/cli/cluster.ts';
import { DAY, HOUR } from '../../src/domain/duration.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { retentionNeed } from '../../src/domain/retention.ts';
import { SEARCH_ATTRIBUTES } from '../../src/domain/search-attributes.ts';
import { stackInfo } from '../support/stack.ts';
import { useWorld, WAVE } from '../support/world.ts';
import { switchbackHere, useFolder, writePlan } from './switchback.ts';

const world = useWorld(['acme', 'globex'], { rows: 2 });
const folder = useFolder();

const wave = (name: string, soak: number, ...tenants: string[]) => ({ ...WAVE, name, soak, tenants });

/** Two waves of a week each, three days of shadow, a week to notice that an export fails. */
const weeks = (namespace: string, history: string | null = null): Plan => {
  const { plan } = world();
  return {
    ...plan,
    temporal: { namespace },
    durations: { ...plan.durations, shadow: 3 * DAY, soak: 7 * DAY, drill: 0 },
    waves: [wave('internal', 2 * DAY, 'acme'), wave('first', 9 * DAY, 'globex')],
    history: { folder: history, keep: 7 * DAY },
  };
};

const say = async (plan: Plan, ...words: string[]) =>
  switchbackHere([...words, '--plan', await writePlan(await folder(), plan, `${words.join('-')}.yaml`)]);

it('asks for the time of all waves, one after the other, and the time to notice; with a folder for that alone', () => {
  expect(retentionNeed(weeks('default')).needs).toBe((3 + 7 + 3 + 9 + 7) * DAY);
  expect(retentionNeed(weeks('default', '/histories')).needs).toBe(7 * DAY);
  const paced = { ...weeks('default'), waves: [{ ...wave('one', 0, 'a', 'b', 'c'), every: DAY }] };
  expect(retentionNeed(paced).needs).toBe((3 + 7 + 2 + 7) * DAY);

  expect(tooShort(29 * DAY, weeks('default'))).toBeNull();
  expect(tooShort(29 * DAY - HOUR, weeks('default'))).toMatchObject({
    says: 'deletes a run 28d 23h after its end, the plan needs 29d (22d for its waves and 7d of history.keep)',
    command: 'temporal operator namespace update --namespace default --retention 2160h',
  });
  const long = {
    ...weeks('default'),
    waves: Array.from({ length: 12 }, (_, at) => wave(`w${at}`, 8 * DAY, `t${at}`)),
  };
  expect(tooShort(90 * DAY, long)!.command).toMatch(/--retention 3336h$/);
});

const { temporalBinary, temporalAddress } = stackInfo();

it.skipIf(temporalBinary === null)(
  'refuses to start in a namespace that keeps a run for a day, exit 2, and starts after the command that it names',
  async () => {
    const namespace = world().plan.name;
    const temporal = (words: string) =>
      promisify(execFile)(temporalBinary!, [...words.split(' '), '--address', temporalAddress]);
    await temporal(`operator namespace create --namespace ${namespace} --retention 24h`);
    for (const [name, type] of Object.entries(SEARCH_ATTRIBUTES))
      await temporal(
        `operator search-attribute create --namespace ${namespace} --name ${name} --type ${type}`,
      );
    const remedy = `temporal operator namespace update --namespace ${namespace} --retention 2160h`;
    const refused = async (...words: string[]) => {
      const said = await say(weeks(namespace), ...words);
      expect(said.code, said.all).toBe(2);
      expect(said.stderr).toContain('deletes a run 1d after its end, the plan needs 29d');
      expect(said.stderr).toContain(`next: ${remedy}`);
    };
    await expect
      .poll(async () => (await say(weeks(namespace), 'plan', 'check')).stderr, { timeout: 30_000 })
      .not.toContain('search-attribute create');

    await refused('plan', 'check');
    await refused('start', 'acme', '--reason', 'x');
    await refused('fleet', 'start', '--reason', 'x');
    expect(await world().record('acme')).toBeNull();
    expect(
      await world().pair.source.rows(`SELECT * FROM \`${world().pair.control}\`.audit WHERE event = 'start'`),
    ).toEqual([]);
    const exporting = await say(weeks(namespace, './histories'), 'plan', 'check');
    expect(exporting.stderr).toContain('the plan needs 7d (history.keep)');

    await temporal(remedy.replace('temporal ', ''));
    await expect
      .poll(async () => (await say(weeks(namespace), 'start', 'acme', '--reason', 'x')).code, {
        timeout: 60_000,
        interval: 1_000,
      })
      .toBe(0);
  },
);

beforeAll(() => {
  process.env['TEMPORAL_ADDRESS'] = temporalAddress;
});
