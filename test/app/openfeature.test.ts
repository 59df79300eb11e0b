/** The OpenFeature provider over a real router: what it says, in which words it refuses, and its events. */
import { OpenFeature, ProviderEvents } from '@openfeature/server-sdk';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { publishStage } from '../../src/app/index.ts';
import { SwitchbackProvider } from '../../src/app/openfeature.ts';
import { Redis } from 'ioredis';
import { Proxy } from '../support/proxy.ts';
import { stackInfo } from '../support/stack.ts';
import { plans, until, useApp } from './support.ts';

const { fixture, open, flip } = useApp();
let redis: Redis;

beforeAll(async () => {
  redis = new Redis(stackInfo().redisUrl);
  await fixture().install(plans);
});
afterAll(async () => {
  redis.disconnect();
  await OpenFeature.close();
});

const client = () => OpenFeature.getClient();
const of = (tenant: string) => ({ targetingKey: tenant });

it('says what the router obeys, and tells of a flip when the node has followed', async () => {
  await fixture().start('open', 'shadow-read');
  const router = await open({ redis: stackInfo().redisUrl, pollMs: 60_000 });
  await OpenFeature.setProviderAndWait(new SwitchbackProvider(router));
  const told: string[] = [];
  client().addHandler(ProviderEvents.ConfigurationChanged, async (event) => {
    expect(event?.flagsChanged).toContain('reads.side');
    told.push(await client().getStringValue('reads.side', 'none', of('open')));
  });
  await until(
    async () => Number((await redis.pubsub('NUMSUB', `switchback:${fixture().pair.control}:stages`))[1]) > 0,
    'the router listens',
  );
  expect(await client().getStringDetails('stage', 'none', of('open'))).toMatchObject({
    value: 'shadow-read',
    reason: 'TARGETING_MATCH',
    flagMetadata: { epoch: router.flag('open').epoch },
  });
  expect(await client().getStringValue('reads.shadow', 'none', of('open'))).toBe('target');

  const row = await flip('open', 'read-target');
  await publishStage(redis, fixture().pair.control, row);
  await until(() => told.includes('target'), 'a handler has heard of the flip');

  expect(await client().getStringValue('stage', 'none', of('open'))).toBe('read-target');
  expect(await client().getBooleanValue('writes.mirrored', false, of('open'))).toBe(true);
  expect(await client().getNumberValue('epoch', 0, of('open'))).toBe(row.epoch);
  expect(await client().getStringValue('stage', 'none', of('a stranger'))).toBe('source-only');
});

it('says source for reads of a tenant that is dirty, and gives the default with a reason to a wrong question', async () => {
  await fixture().start('soiled', 'read-target');
  const { pair } = fixture();
  await pair.source.run(
    `UPDATE \`${pair.control}\`.stage SET dirty = 1, version = version + 1000 WHERE tenant = 'soiled'`,
  );
  const router = await open();
  await OpenFeature.setProviderAndWait(new SwitchbackProvider(router));

  expect(await client().getStringValue('reads.side', 'none', of('soiled'))).toBe('source');
  expect(await client().getStringDetails('stage', 'none', {})).toMatchObject({
    value: 'none',
    errorCode: 'TARGETING_KEY_MISSING',
  });
  expect(await client().getBooleanDetails('stage', true, of('soiled'))).toMatchObject({
    value: true,
    errorCode: 'TYPE_MISMATCH',
  });
  expect(await client().getStringDetails('colour', 'red', of('soiled'))).toMatchObject({
    value: 'red',
    errorCode: 'FLAG_NOT_FOUND',
  });
});

it('says that a cut-off node only remembers: the source, stale, until it reaches the control schema again', async () => {
  await fixture().start('remote', 'read-target');
  const { proxy, url } = await Proxy.before(stackInfo().sourceUrl);
  const router = await open({ source: url, leaseMs: 400, pollMs: 50 });
  await OpenFeature.setProviderAndWait(new SwitchbackProvider(router));
  const side = () => client().getStringDetails('reads.side', 'none', of('remote'));
  try {
    await until(async () => (await side()).value === 'target', 'it follows the stage', 20_000);

    proxy.set({ kind: 'dead' });
    await until(() => router.health().isCutOff, 'the lease has run out', 20_000);
    const cutOff = await side();
    const stage = await client().getStringDetails('stage', 'none', of('remote'));
    proxy.set({ kind: 'passes' });
    await until(async () => (await side()).reason === 'TARGETING_MATCH', 'it is back', 20_000);

    expect(cutOff).toMatchObject({ value: 'source', variant: 'source', reason: 'STALE' });
    expect(stage).toMatchObject({ value: 'read-target', reason: 'STALE' });
    expect(await side()).toMatchObject({ value: 'target' });
  } finally {
    await router.close();
    await proxy.close();
  }
});
