/** The contract of docs/contract.md, by its own words: what it quotes is sent with plain clients. */
import { readFileSync } from 'node:fs';

import { Redis } from 'ioredis';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { publishStage } from '../../src/app/index.ts';
import { readEvidence } from '../../src/db/evidence.ts';
import { readShadowReads } from '../../src/db/shadow-evidence.ts';
import { readNodes } from '../../src/db/stages.ts';
import { stackInfo } from '../support/stack.ts';
import { plans, until, useApp } from './support.ts';

const { fixture, flip, open } = useApp();
const document = readFileSync(new URL('../../docs/contract.md', import.meta.url), 'utf8');
let plain: Connection;

/** The statement of the document that begins so, with the control schema of this test. */
function quoted(beginning: string): string {
  const found = [...document.matchAll(/`([^`]+)`/g)].map(([, text]) => text!);
  return found
    .find((text) => text.startsWith(beginning))!
    .replaceAll(/\bC\.(\w+)/g, `\`${fixture().pair.control}\`.$1`);
}

beforeAll(async () => {
  await fixture().install(plans);
  plain = await createConnection({ uri: stackInfo().sourceUrl });
});
afterAll(() => plain.end());

it('a plain client follows stages, counts as a node, and its evidence counts in the gates', async () => {
  const { pair, start } = fixture();
  await start('plain', 'shadow-read');
  const row = await flip('plain', 'read-target');

  const [stages] = await plain.query<RowDataPacket[]>(quoted('SELECT tenant, stage'), [0]);
  expect(stages.map((each) => [String(each['tenant']), each['stage'], each['version']])).toContainEqual([
    'plain',
    'read-target',
    row.version,
  ]);

  await plain.query(quoted('INSERT INTO C.node'), ['py-1', 'reader', row.version]);
  expect(await readNodes(pair.source, pair.control)).toContainEqual(
    expect.objectContaining({ node: 'py-1', live: true, version: row.version }),
  );
  for (const differing of [0, 1])
    await plain.query(quoted('INSERT INTO C.shadow ('), ['plain', 'latest', 'py-1', 5, differing]);
  for (const [word, byMs] of [
    ['value', 0],
    ['slower', 40],
    ['slower', 20],
  ])
    await plain.query(quoted('INSERT INTO C.shadow_difference'), ['plain', 'latest', 'py-1', word, 1, byMs]);
  const evidence = await readEvidence(pair, fixture().tracked, {
    tenant: 'plain',
    since: 0,
    round: 0,
    replicas: { named: 0, lag: null },
  });
  const classes = { value: 1, slower: 2 };
  expect(evidence.shadow).toMatchObject({ samples: 10, differing: 1, classes, worst: 'latest', reads: null });
  expect(await readShadowReads(pair.source, pair.control, 'plain')).toEqual([
    { read: 'latest', samples: 10, differing: 1, classes, slowerByMs: 30 },
  ]);
  expect(evidence.nodes).toEqual({ live: 1, following: 1 });

  await fixture().sql('source', "INSERT INTO messages (tenant_id, body) VALUES ('plain', 'own')");
  const waits = async () =>
    (await plain.query<RowDataPacket[]>(quoted('SELECT 1 FROM C.journal'), ['plain']))[0].length;
  expect(await waits()).toBe(1);
  await fixture().mirror.drain('plain');
  expect(await waits()).toBe(0);
});

it('speaks the channel both ways', async () => {
  await fixture().start('channel', 'shadow-read');
  const { control } = fixture().pair;
  const name = /`(switchback:C:stages)`/.exec(document)![1]!.replace('C', control);
  const [listener, speaker] = [new Redis(stackInfo().redisUrl), new Redis(stackInfo().redisUrl)];
  const heard: string[] = [];
  listener.on('message', (_, text) => heard.push(String(text)));
  await listener.subscribe(name);
  const router = await open({ redis: stackInfo().redisUrl, pollMs: 60_000 });
  await until(async () => Number((await speaker.pubsub('NUMSUB', name))[1]) > 1, 'the router listens');

  const row = await flip('channel', 'read-target');
  await publishStage(speaker, control, row);
  await until(() => heard.length > 0 && router.stage('channel') === 'read-target', 'both heard');

  const { tenant, stage, epoch, version } = row;
  expect(JSON.parse(heard[0]!)).toEqual({ tenant, stage, epoch, version });
  listener.disconnect();
  speaker.disconnect();
});
