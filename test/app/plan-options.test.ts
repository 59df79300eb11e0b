/** A router that takes addresses, schemas and bounds from the plan that operators have. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';

import { createRouter, type Router } from '../../src/app/index.ts';
import { withPlan } from '../../src/app/plan-options.ts';
import { stackInfo } from '../support/stack.ts';
import { add, bodies, plans, until, useApp } from './support.ts';

const { fixture } = useApp();
const routers: Router[] = [];
let folder = '';
let plan = '';

beforeAll(async () => {
  await fixture().install(plans);
  await fixture().start('planned', 'read-target');
  const { control, sourceSchema, targetSchema } = fixture().pair;
  folder = await mkdtemp(join(tmpdir(), 'switchback-app-plan-'));
  plan = join(folder, 'switchback.yaml');
  const written = {
    name: 'app-plan',
    source: { urlEnv: 'APP_SOURCE', schema: sourceSchema },
    target: { urlEnv: 'APP_TARGET', schema: targetSchema },
    redis: { urlEnv: 'APP_REDIS' },
    control: { schema: control },
    tables: { messages: { tenant: { column: 'tenant_id' } }, countries: { tenant: 'shared' } },
    waves: [{ name: 'only', tenants: ['planned'] }],
    durations: { mirrorBudget: '5s', dirtyAfter: '2s', lease: '7s', settle: '3s' },
  };
  await writeFile(plan, stringify(written));
});
beforeEach(() => {
  vi.stubEnv('APP_SOURCE', stackInfo().sourceUrl);
  vi.stubEnv('APP_TARGET', stackInfo().targetUrl);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await Promise.all(routers.map((router) => router.close()));
  await rm(folder, { recursive: true, force: true });
});

it('serves as one whose options were written out', async () => {
  const router = await createRouter({ plan, service: 'test' });
  routers.push(router);
  await add(router, 'planned', 'by the plan');

  await until(async () => {
    expect(await bodies(router, 'planned')).toEqual(['by the plan']);
    return router.stats().reads.target > 0;
  }, 'the target is read');
});

it('takes the bounds of the plan, and what is given beside it counts more', async () => {
  expect(await withPlan({ plan, service: 'test', leaseMs: 9_000, connections: 3 })).toMatchObject({
    mirrorBudgetMs: 5_000,
    dirtyAfterMs: 2_000,
    settleMs: 3_000,
    leaseMs: 9_000,
    connections: 3,
    service: 'test',
  });
});

it('does not ask for a variable whose address was given', async () => {
  vi.stubEnv('APP_TARGET', '');
  const target = stackInfo().targetUrl;
  expect(await withPlan({ plan, service: 'test', target })).toMatchObject({
    source: stackInfo().sourceUrl,
    target,
  });
});

it('has Redis where its variable is set, and none where it is not', async () => {
  expect(await withPlan({ plan, service: 'test' })).not.toHaveProperty('redis');
  vi.stubEnv('APP_REDIS', stackInfo().redisUrl);
  expect(await withPlan({ plan, service: 'test' })).toMatchObject({ redis: stackInfo().redisUrl });
  vi.stubEnv('APP_REDIS', undefined);
});

it('names the variable that is missing, and the file that is', async () => {
  vi.stubEnv('APP_TARGET', '');
  await expect(createRouter({ plan, service: 'test' })).rejects.toMatchObject({
    name: 'ConfigError',
    message: expect.stringContaining('APP_TARGET') as string,
  });
  await expect(createRouter({ plan: `${plan}.gone`, service: 'test' })).rejects.toThrow(
    /does not exist.*give createRouter the path/s,
  );
});
