/** The contract of docs/contract.md, driven by what has no client library at all: a shell, and Python. */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

import { Redis } from 'ioredis';
import { beforeAll, describe, expect, it } from 'vitest';

import { publishStage } from '../../src/app/index.ts';
import type { Context } from '../../src/cli/context.ts';
import { showFlags } from '../../src/cli/flags.ts';
import { readEvidence } from '../../src/db/evidence.ts';
import { readNodes } from '../../src/db/stages.ts';
import { stackInfo, urlWithSchema } from '../support/stack.ts';
import { plans, until, useApp } from './support.ts';

const run = promisify(execFile);
const { fixture, flip, open } = useApp();

const isOnPath = (command: string): boolean => {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};
const hasShell = isOnPath('mysql') && isOnPath('redis-cli');

beforeAll(() => fixture().install(plans));

async function mysql(statement: string): Promise<string[][]> {
  const { hostname, port, username, password } = new URL(stackInfo().sourceUrl);
  const args = [
    '--batch',
    '--skip-column-names',
    `--host=${hostname}`,
    `--port=${port}`,
    `--user=${username}`,
  ];
  const env = { ...process.env, MYSQL_PWD: password };
  const { stdout } = await run('mysql', [...args, `--execute=${statement}`], { env });
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t'));
}

const redisCli = (...args: string[]) => run('redis-cli', ['-u', stackInfo().redisUrl, ...args]);

const evidenceOf = (tenant: string) =>
  readEvidence(fixture().pair, fixture().tracked, {
    tenant,
    since: 0,
    round: 0,
    replicas: { named: 0, lag: null },
  });

/** The lines of the tenant and of its node, as `flags TENANT` shows them. */
async function flagLines(tenant: string): Promise<string[]> {
  const { pair } = fixture();
  const { lines } = await showFlags({ pair: () => Promise.resolve(pair) } as unknown as Context, tenant);
  return lines.filter((line) => line.includes('shell')).map((line) => line.trimEnd());
}

describe.skipIf(!hasShell)('a shell with mysql and redis-cli', () => {
  it('follows the stages, acknowledges them, and opens and closes the gate by it', async () => {
    const { control } = fixture().pair;
    await fixture().start('shell', 'shadow-read');
    const before = await mysql(`SELECT MAX(version) FROM ${control}.stage`);
    const row = await flip('shell', 'read-target');
    const stages = await mysql(
      `SELECT tenant, stage, epoch, version, dirty FROM ${control}.stage WHERE version > ${before[0]![0]} ORDER BY version`,
    );
    const lease = (version: number) =>
      mysql(
        `INSERT INTO ${control}.node (node, service, version, seen_at, lease_until) VALUES ('sh-1', 'shell', ${version}, NOW(6), NOW(6) + INTERVAL 60 SECOND) ON DUPLICATE KEY UPDATE version = VALUES(version), seen_at = VALUES(seen_at), lease_until = VALUES(lease_until)`,
      );

    expect(stages).toEqual([['shell', 'read-target', `${row.epoch}`, `${row.version}`, '0']]);
    expect((await evidenceOf('shell')).nodes).toEqual({ live: 0, following: 0 });
    await lease(row.version - 1);
    expect((await evidenceOf('shell')).nodes).toEqual({ live: 1, following: 0 });
    expect(await flagLines('shell')).toEqual([
      expect.stringMatching(/^shell +read-target .* 0 of 1$/),
      expect.stringMatching(new RegExp(`^sh-1 +shell .* yes +shell epoch ${row.epoch}$`)),
    ]);
    await lease(row.version);
    expect(await flagLines('shell')).toEqual([
      expect.stringMatching(/ 1 of 1$/),
      expect.stringMatching(/ no$/),
    ]);
    expect((await evidenceOf('shell')).nodes).toEqual({ live: 1, following: 1 });
    await mysql(`DELETE FROM ${control}.node WHERE node = 'sh-1'`);
    expect((await evidenceOf('shell')).nodes).toEqual({ live: 0, following: 0 });
  });

  it('tells routers of a flip, and nothing by what is old, made up or no hint', async () => {
    await fixture().start('hinted', 'shadow-read');
    const router = await open({ redis: stackInfo().redisUrl, pollMs: 60_000 });
    const channel = `switchback:${fixture().pair.control}:stages`;
    const publish = (text: string) => redisCli('PUBLISH', channel, text);
    await until(
      async () => Number((await redisCli('PUBSUB', 'NUMSUB', channel)).stdout.split('\n')[1]) > 0,
      'the router listens',
    );
    const { epoch: old } = router.flag('hinted');
    const hint = { tenant: 'hinted', stage: 'read-target', epoch: old, version: 99 };

    await publish(JSON.stringify(hint));
    await publish(JSON.stringify({ ...hint, epoch: old + 1, stage: 'nowhere' }));
    await publish('no JSON');
    await publish(JSON.stringify({ ...hint, tenant: 'other', epoch: 7 }));
    await until(() => router.stats().flags.hints === 1, 'all of them were heard');
    expect(router.flag('hinted')).toMatchObject({ stage: 'shadow-read', epoch: old });
    await until(() => router.stage('other') === 'source-only', 'the table knows no other');
    const { tenant, stage, epoch, version } = await flip('hinted', 'read-target');
    await publish(JSON.stringify({ tenant, stage, epoch, version }));

    await until(() => router.flag('hinted').epoch === epoch, 'the router follows');
    expect(router.stage('hinted')).toBe('read-target');
  });
});

describe.skipIf(!hasShell || !isOnPath('python3'))('examples/python-reader', () => {
  it('follows flips, acknowledges them, compares, falls back, and gives its lease back', async () => {
    const { pair, sql, mirror } = fixture();
    const tenant = "pythön's";
    await fixture().start(tenant, 'dual-write');
    await sql('source', `INSERT INTO messages (tenant_id, body) VALUES ('pythön''s', 'größe\t✓')`);
    await mirror.drain(tenant);
    const { sourceUrl, targetUrl, redisUrl } = stackInfo();
    const reader = spawn('python3', ['examples/python-reader/reader.py'], {
      env: {
        ...process.env,
        SOURCE: urlWithSchema(sourceUrl, pair.sourceSchema),
        TARGET: urlWithSchema(targetUrl, pair.targetSchema),
        REDIS_URL: redisUrl,
        CONTROL: pair.control,
        TENANT: tenant,
        QUERY: "SELECT id, body, price FROM messages WHERE tenant_id = 'pythön''s' ORDER BY id",
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise((resolve) => reader.once('exit', resolve));
    const said: unknown[] = [];
    createInterface({ input: reader.stdout }).on('line', (line) => said.push(JSON.parse(line)));
    const redis = new Redis(redisUrl);
    const says = (what: object) =>
      until(
        () => JSON.stringify(said.at(-1)) === JSON.stringify(what),
        `it says ${JSON.stringify(what)}`,
        60_000,
      );
    const move = async (to: 'shadow-read' | 'read-target') => {
      const row = await flip(tenant, to);
      await publishStage(redis, pair.control, row);
      return row;
    };
    try {
      const shadow = await move('shadow-read');
      await says({ stage: 'shadow-read', epoch: shadow.epoch, side: 'source', rows: 1 });
      await until(async () => (await evidenceOf(tenant)).shadow.samples > 0, 'it has compared', 60_000);
      expect((await evidenceOf(tenant)).shadow.differing).toBe(0);
      await fixture().corrupt(tenant, "UPDATE messages SET body = 'changed' WHERE tenant_id = 'pythön''s'");
      await until(
        async () => (await evidenceOf(tenant)).shadow.differing > 0,
        'it found a difference',
        60_000,
      );

      const { epoch, version } = await move('read-target');
      await says({ stage: 'read-target', epoch, side: 'target', rows: 1 });
      await until(
        async () =>
          (await readNodes(pair.source, pair.control)).some((node) => node.live && node.version >= version),
        'its lease acknowledges the flip',
        60_000,
      );
      expect((await evidenceOf(tenant)).nodes).toEqual({ live: 1, following: 1 });
      await sql('source', "INSERT INTO messages (tenant_id, body) VALUES ('pythön''s', 'two')");
      await says({ stage: 'read-target', epoch, side: 'source', rows: 2 });
      await mirror.drain(tenant);
      await says({ stage: 'read-target', epoch, side: 'target', rows: 2 });
      reader.kill('SIGTERM');
      expect(await ended).toBe(0);
    } finally {
      reader.kill('SIGKILL');
      redis.disconnect();
    }

    expect(await readNodes(pair.source, pair.control)).toEqual([]);
  });
});
