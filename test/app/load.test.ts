/** Reads are counted by tenant, stage and side where the report finds them; a control schema that is away costs nothing. */
import { beforeAll, expect, it } from 'vitest';

import { readReadSums } from '../../src/db/read-load.ts';
import { bucketOf, quantile } from '../../src/domain/read-load.ts';
import { qualified } from '../../src/db/sql.ts';
import { bodies, plans, until, useApp } from './support.ts';

const app = useApp();

beforeAll(async () => {
  await app.fixture().install(plans);
});

it('counts what each side answered, by the stage that stood', async () => {
  const { pair } = app.fixture();
  const router = await app.open();
  for (let n = 0; n < 3; n += 1) await bodies(router, 'acme');
  await app.fixture().start('acme');
  await app.flip('acme', 'read-target');
  await until(() => router.stage('acme') === 'read-target', 'the flip');
  await until(async () => {
    await bodies(router, 'acme');
    return router.stats().reads.target > 0;
  }, 'a read of the target');
  await bodies(router, 'x'.repeat(300));
  const { source, target } = router.stats().reads;
  await router.close();

  const sums = await readReadSums(pair, 'acme');
  const of = (stage: string, side: string) =>
    sums.filter((one) => one.stage === stage && one.side === side).reduce((all, { reads }) => all + reads, 0);
  expect(of('source-only', 'source')).toBeGreaterThanOrEqual(3);
  expect(of('read-target', 'target')).toBe(target);
  // The tenant whose id no table holds is read, and not counted.
  expect(sums.filter(({ side }) => side === 'source').reduce((all, { reads }) => all + reads, 0)).toBe(
    source - 1,
  );
  expect(sums.every(({ micros, firstAt, lastAt }) => micros > 0 && firstAt <= lastAt)).toBe(true);
});

it('reads go on while they can’t be counted, and are counted afterwards', async () => {
  const { pair } = app.fixture();
  const table = qualified(pair.control, 'read_load');
  const router = await app.open();
  await pair.source.run(`RENAME TABLE ${table} TO ${qualified(pair.control, 'read_load_away')}`);
  for (let n = 0; n < 5; n += 1) await bodies(router, 'globex');
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  await pair.source.run(`RENAME TABLE ${qualified(pair.control, 'read_load_away')} TO ${table}`);
  await bodies(router, 'globex');
  await router.close();

  expect(await readReadSums(pair, 'globex')).toMatchObject([
    { stage: 'source-only', side: 'source', reads: 6 },
  ]);
});

it('a quantile is the end of its bucket', () => {
  const counts = Array.from({ length: 12 }, () => 0);
  for (const ms of [0.4, 0.5, 3, 4, 60]) counts[bucketOf(ms)]! += 1;
  expect([0.4, 0.5, 0.95].map((share) => quantile(counts, share))).toEqual([1, 5, 100]);
  counts[bucketOf(9_000)]! += 1;
  expect(quantile(counts, 1)).toBeNull();
});
