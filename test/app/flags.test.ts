/** How a flip reaches a node, and what the node does while it cannot hear of one. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ControlUnavailableError, createRouter, publishStage, stageChannel } from '../../src/app/index.ts';
import { qualified } from '../../src/db/sql.ts';
import { readNodes } from '../../src/db/stages.ts';
import { ownStack, stackInfo } from '../support/stack.ts';
import { bodies, plans, until, useApp } from './support.ts';

const { fixture, open, flip } = useApp();
const noRedis = ownStack({ only: ['redis'] });
let redis: Redis;

beforeAll(async () => {
  await fixture().install(plans);
  redis = new Redis(stackInfo().redisUrl);
});
afterAll(() => redis.disconnect());

const channelHasListener = async (): Promise<boolean> => {
  const [, count] = (await redis.pubsub('NUMSUB', stageChannel(fixture().pair.control))) as [string, number];
  return Number(count) > 0;
};

it('follows a flip that was published in Redis within 250 ms', async () => {
  await fixture().start('hinted', 'shadow-read');
  const router = await open({ redis: stackInfo().redisUrl, pollMs: 60_000 });
  await until(channelHasListener, 'the node listens');

  const row = await flip('hinted', 'read-target');
  const published = publishStage(redis, fixture().pair.control, row);
  const took = await until(() => router.stage('hinted') === 'read-target', 'the node follows');

  await published;
  expect(took).toBeLessThan(250);
  // The hint made it read the table at once: only that raises what it acknowledges.
  await until(
    async () =>
      (await readNodes(fixture().pair.source, fixture().pair.control)).some(
        ({ version }) => version >= row.version,
      ),
    'the lease acknowledges',
    2_000,
  );
});

it('ignores an older epoch, and what is no hint', async () => {
  await fixture().start('stale', 'shadow-read');
  const row = await flip('stale', 'read-target');
  const router = await open({ redis: stackInfo().redisUrl, pollMs: 60_000 });
  await until(channelHasListener, 'the node listens');
  const { control } = fixture().pair;

  await publishStage(redis, control, { ...row, stage: 'dual-write', epoch: row.epoch - 1 });
  await publishStage(redis, control, { ...row, stage: 'dual-write' });
  for (const text of ['', '{', 'null', '{"tenant":"stale","stage":"nowhere","epoch":99,"version":99}']) {
    await redis.publish(stageChannel(control), text);
  }
  // Messages of one channel arrive in order: when this one is there, the others were.
  await publishStage(redis, control, {
    tenant: 'marker',
    stage: 'dual-write',
    epoch: 1,
    version: row.version + 1,
  });
  await until(() => router.stats().flags.hints === 1, 'the marker arrived');

  expect(router.stage('stale')).toBe('read-target');
});

it('believes a hint only until the table was read again, and never acknowledges by it', async () => {
  const { pair, start } = fixture();
  await start('madeup', 'dual-write');
  const router = await open({ node: 'fooled', redis: stackInfo().redisUrl, pollMs: 60_000 });
  await until(channelHasListener, 'the node listens');
  const lease = async () =>
    (await readNodes(pair.source, pair.control)).find(({ node }) => node === 'fooled')!;
  const before = await lease();

  const version = before.version + 1_000;
  await publishStage(redis, pair.control, { tenant: 'madeup', stage: 'read-target', epoch: 1_000, version });
  await until(() => router.stats().flags.hints === 1, 'the hint arrived');
  await until(() => router.stage('madeup') === 'dual-write', 'the table decides');
  await until(async () => (await lease()).seenAt > before.seenAt, 'the lease was renewed');

  expect((await lease()).version).toBe(before.version);
});

it('follows a flip within 1.5 s by its poll while Redis is down, and starts without it', async () => {
  await fixture().start('polled', 'shadow-read');
  await noRedis().redis.kill();
  const router = await open({ redis: noRedis().redis.url });
  const silent = new Redis(noRedis().redis.url, { retryStrategy: () => 100 });
  silent.on('error', () => {});

  const row = await flip('polled', 'read-target');
  const [, took] = await Promise.all([
    publishStage(silent, fixture().pair.control, row),
    until(() => router.stage('polled') === 'read-target', 'the node follows'),
  ]);
  silent.disconnect();
  await noRedis().redis.start();

  expect(took).toBeLessThan(1_500);
});

it('hears again when Redis comes back', async () => {
  await fixture().start('again', 'shadow-read');
  const { redis: own } = noRedis();
  const router = await open({ redis: own.url, pollMs: 60_000 });
  const publisher = new Redis(own.url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  publisher.on('error', () => {});
  await own.kill();
  await own.start();
  const subscribed = async () =>
    Number(
      ((await publisher.pubsub('NUMSUB', stageChannel(fixture().pair.control))) as [string, number])[1],
    ) > 0;
  await until(subscribed, 'the node listens again');

  await publishStage(publisher, fixture().pair.control, await flip('again', 'read-target'));
  const took = await until(() => router.stage('again') === 'read-target', 'the node follows');
  publisher.disconnect();

  expect(took).toBeLessThan(250);
});

it('acknowledges in its lease the version that it obeys, and gives the lease back', async () => {
  const { pair, start } = fixture();
  const router = await open({ node: 'acknowledging', pollMs: 50 });
  const lease = async () =>
    (await readNodes(pair.source, pair.control)).find(({ node }) => node === 'acknowledging');

  await start('leased', 'shadow-read');
  const row = await flip('leased', 'read-target');
  await until(async () => (await lease())?.version === row.version, 'the lease acknowledges');

  expect(router.stage('leased')).toBe('read-target');
  expect(await lease()).toMatchObject({ service: 'test', live: true });
  await router.close();
  expect(await lease()).toBeUndefined();
});

describe('without the control schema', () => {
  const hide = (name: string, other: string) => {
    const { pair } = fixture();
    return pair.source.run(
      `RENAME TABLE ${qualified(pair.control, name)} TO ${qualified(pair.control, other)}`,
    );
  };

  it('keeps its last stages until its lease has run out, then reads the source', async () => {
    const { start, sql, mirror } = fixture();
    await start('cut', 'shadow-read');
    await sql('source', "INSERT INTO messages (tenant_id, body) VALUES ('cut', 'source')");
    await mirror.drain('cut');
    await sql('target', "UPDATE messages SET body = 'target' WHERE tenant_id = 'cut'");
    await flip('cut', 'read-target');
    const router = await open({ pollMs: 50, leaseMs: 1_500 });

    await hide('stage', 'hidden');
    const failures = router.stats().flags.pollFailures;
    await until(() => router.stats().flags.pollFailures > failures, 'a poll failed');
    const before = await bodies(router, 'cut');
    const after = await until(
      async () => (await bodies(router, 'cut'))[0] === 'source',
      'reads go to the source',
      5_000,
    );
    await hide('hidden', 'stage');
    await until(async () => (await bodies(router, 'cut'))[0] === 'target', 'reads go to the target again');

    expect(before).toEqual(['target']);
    expect(after).toBeGreaterThan(500);
    expect(router.stats().fallbacks.lease).toBeGreaterThan(0);
  });

  it('does not start for the first time', async () => {
    const { pair } = fixture();
    const schema = { source: pair.sourceSchema, target: pair.targetSchema };

    const started = createRouter({
      source: stackInfo().sourceUrl,
      target: stackInfo().targetUrl,
      schema,
      control: 'no_such_schema',
      service: 'test',
    });

    await expect(started).rejects.toThrow(ControlUnavailableError);
  });
});
