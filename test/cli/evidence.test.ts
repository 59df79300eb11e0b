/** `drift list`, `drift show` and `verify`: what was found and what it stood on; a comparison that can write nothing. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { main } from '../../src/cli/program.ts';
import { progressText } from '../../src/cli/progress.ts';
import { copyTable } from '../../src/db/backfill.ts';
import { admitTenants } from '../../src/db/control.ts';
import { Database } from '../../src/db/database.ts';
import { Mirror } from '../../src/db/mirror.ts';
import { reconcileSlice } from '../../src/db/reconcile.ts';
import { admitStage, flipStage } from '../../src/db/stages.ts';
import { loadTracked } from '../../src/db/tracked.ts';
import { stackInfo } from '../support/stack.ts';
import { useWorld } from '../support/world.ts';
import {
  expectGolden,
  steady,
  switchback,
  switchbackHere,
  switchbackRunning,
  useFolder,
  writePlan,
} from './switchback.ts';

const world = useWorld(['acme', 'globex'], { rows: 300 });
const folder = useFolder();

const SECRET = 'value-nobody-may-see';
const NO_TEMPORAL = { TEMPORAL_ADDRESS: '127.0.0.1:9' };
const reader = `reader_${randomBytes(4).toString('hex')}`;
const roots: Database[] = [];

const ask = async (...words: string[]) =>
  switchbackHere([...words, '--plan', await writePlan(await folder(), world().plan)], NO_TEMPORAL);

async function golden(name: string, text: string): Promise<void> {
  const { plan } = world();
  const known = steady(text, { [plan.name]: '<plan>', [await folder()]: '<folder>' });
  await expectGolden(
    name,
    known
      .replaceAll(/[0-9a-f]{64}/g, '<hash>')
      .replaceAll(/\b[0-9a-f]{32}\b/g, '<digest>')
      .replaceAll(/ids \d+ to \d+/g, 'ids <n> to <n>')
      .replaceAll(/(source|target) \d[\w.-]+ \S+:\d+ /g, '$1 <server> ')
      .replaceAll(/\bid=\d+/g, 'id=<id>')
      .replaceAll(/\b\d+(?:\.\d+)?(?:ms|s)\b/g, '<took>')
      .replaceAll(/ {2,}/g, '  '),
  );
}

async function reconcile() {
  const { pair, plan } = world();
  return reconcileSlice(pair, await loadTracked(pair), {
    tenant: 'acme',
    limits: plan.limits,
    missingAgain: 60_000,
    progress: () => {},
    until: () => false,
  });
}

let drifted = '';

beforeAll(async () => {
  const { pair, plan, sql, rows } = world();
  await admitStage(pair.source, pair.control, 'acme');
  await admitTenants(pair.target, pair.control, ['acme', '_unresolved']);
  await flipStage(pair.source, pair.control, {
    tenant: 'acme', to: 'dual-write', from: ['source-only'], expectEpoch: null, actor: 'test', reason: 'test', requestId: null,
  }); // prettier-ignore
  const tracked = await loadTracked(pair);
  for (const { id } of tracked.all())
    await copyTable(pair, tracked, {
      tenant: 'acme',
      round: 1,
      tableId: id,
      limits: plan.limits,
      pace: () => Promise.resolve(0),
      progress: () => {},
      until: () => false,
    });
  await new Mirror(pair, tracked).drain('acme');
  const [row] = await rows('source', "SELECT MIN(id) AS id FROM customers WHERE tenant_id = 'acme'");
  drifted = row!['id']!;
  await sql('target', `UPDATE customers SET name = '${SECRET}' WHERE id = ${drifted}`);
  await sql('target', `DELETE FROM notes WHERE customer_id = ${Number(drifted) + 1}`);
  await reconcile();
  const { sourceRootUrl, targetRootUrl } = stackInfo();
  for (const [side, url] of [
    ['source', sourceRootUrl],
    ['target', targetRootUrl],
  ] as const) {
    const root = new Database({ side, url });
    roots.push(root);
    await root.run(`CREATE USER '${reader}'@'%' IDENTIFIED BY 'reader'`);
    for (const schema of [plan[side].schema, plan.control.schema])
      await root.run(`GRANT SELECT ON \`${schema}\`.* TO '${reader}'@'%'`);
  }
}, 60_000);

afterAll(async () => {
  for (const root of roots) {
    await root.run(`DROP USER IF EXISTS '${reader}'@'%'`);
    await root.close();
  }
});

const asReader = (url: string): string => {
  const changed = new URL(url);
  [changed.username, changed.password] = [reader, 'reader'];
  return changed.href;
};

describe('drift', () => {
  it('list shows what is open, and with --all what was repaired too', async () => {
    const open = await ask('drift', 'list');
    const all = await ask('drift', 'list', 'acme', '--all');

    expect([open.code, all.code], open.all).toEqual([0, 0]);
    await golden('drift-list.txt', `${open.all}\n${all.all}`);
    const json = await ask('drift', 'list', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({
      total: 1,
      drift: [
        { tenant: 'acme', table: 'customers', key: `id=${drifted}`, class: 'different', columns: ['name'] },
      ],
    });
    expect(open.all + all.all + json.all).not.toContain(SECRET);
  });

  it('of a tenant that has none says so', async () => {
    expect(await ask('drift', 'list', 'globex')).toMatchObject({ code: 0, stdout: 'No open drift.\n' });
  });

  it('show says what the verdict stood on, and the next command, but no value', async () => {
    const { pair } = world();
    const [row] = await pair.source.rows(
      `SELECT id FROM \`${pair.control}\`.drift WHERE class = 'different'`,
    );
    const said = await ask('drift', 'show', `acme#${row!['id']}`);

    expect(said.code, said.all).toBe(0);
    expect(said.all).not.toContain(SECRET);
    expect(said.stderr).toContain(`repair acme --drift ${row!['id']} --reason "..."`);
    await golden('drift-show.txt', said.all);
    const json = await ask('drift', 'show', row!['id']!, '--json');
    expect(json.all).not.toContain(SECRET);
    expect(JSON.parse(json.stdout)).toMatchObject({
      inputs: { how: 'read', journaled: false, locked: ['acme'] },
    });
  });

  it('show --show-values reads both rows now; long values as length and hash, in no log and no ledger', async () => {
    const { pair, sql } = world();
    const [row] = await pair.source.rows(
      `SELECT id FROM \`${pair.control}\`.drift WHERE class = 'different'`,
    );
    const said = await ask('drift', 'show', row!['id']!, '--show-values');

    expect(said.stdout).toMatch(new RegExp(`≠ +name +"name 0" +"${SECRET}"`));
    expect(said.stderr).not.toContain(SECRET);
    await sql('target', `UPDATE customers SET name = REPEAT('é', 100) WHERE id = ${drifted}`);
    expect((await ask('drift', 'show', row!['id']!, '--show-values')).stdout).toContain('é');
    const [note] = await world().rows(
      'source',
      `SELECT id FROM notes WHERE customer_id = ${Number(drifted) + 1}`,
    );
    await sql('source', `UPDATE notes SET body = REPEAT('x', 257) WHERE id = ${note!['id']}`);
    const [missing] = await pair.source.rows(
      `SELECT id FROM \`${pair.control}\`.drift WHERE class = 'missing'`,
    );
    const long = await ask('drift', 'show', missing!['id']!, '--show-values');
    expect(long.stdout).toMatch(/257 bytes, SHA-256 [0-9a-f]{64}/);
    expect(long.stdout).toContain('by the policy');
  });

  it('refuses a number that is none, exit 2, and one that is nobody’s, exit 3', async () => {
    expect(await ask('drift', 'show', 'acme')).toMatchObject({ code: 2 });
    expect(await ask('drift', 'show', '0')).toMatchObject({ code: 2 });
    expect(await ask('drift', 'show', '4711')).toMatchObject({ code: 3 });
    const { pair } = world();
    const [row] = await pair.source.rows(`SELECT MIN(id) AS id FROM \`${pair.control}\`.drift`);
    expect(await ask('drift', 'show', `globex#${row!['id']}`)).toMatchObject({ code: 3 });
    expect(await ask('drift', 'list', 'acmee')).toMatchObject({ code: 3 });
  });
});

describe('verify', () => {
  it('shows the passes with their windows, digests and executors', async () => {
    await reconcile();
    const said = await ask('verify', 'acme');

    expect(said.code, said.all).toBe(0);
    expect(said.stdout).toContain('not clean');
    const { stdout } = await ask('verify', 'acme', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      tenant: 'acme',
      passes: [{ clean: false }, { clean: false, repaired: 1, drifted: 2 }],
      tables: [{ table: 'customers', differingWindows: 1 }, { table: 'notes' }],
      windows: expect.arrayContaining([
        expect.objectContaining({
          table: 'notes',
          executor: expect.stringMatching(/^(sql|stream)$/) as string,
        }),
      ]) as unknown,
      drift: [{ table: 'customers', class: 'different', found: 1, kept: 0 }],
    });
  });

  it('--full reads with nothing but SELECT, finds what differs, exit 5, and writes nothing anywhere', async () => {
    const { plan, sql, rows } = world();
    const env = {
      ...NO_TEMPORAL,
      WORLD_SOURCE: asReader(stackInfo().sourceUrl),
      WORLD_TARGET: asReader(stackInfo().targetUrl),
    };
    const words = ['verify', 'acme', '--full', '--plan', await writePlan(await folder(), plan)];
    const [note] = await rows('source', `SELECT id FROM notes WHERE customer_id = ${Number(drifted) + 2}`);
    await sql('source', `UPDATE notes SET body = 'on its way' WHERE id = ${note!['id']}`);

    const said = await switchback(words, { env });
    const json = await switchback([...words, '--json'], { env });

    expect(said.code, said.all).toBe(5);
    expect(said.all).not.toContain(SECRET);
    await golden('verify-full.txt', said.stdout);
    expect(JSON.parse(json.stdout)).toMatchObject({
      tenant: 'acme',
      result: 'differs',
      tables: [
        {
          table: 'customers',
          sourceRows: 300,
          equal: 299,
          different: 1,
          rows: [{ key: `id=${drifted}`, columns: ['name'] }],
        },
        { table: 'notes', sourceRows: 300, targetRows: 300, equal: 299, inFlight: 1 },
      ],
    });
    expect(json.stderr).toBe('');
  });

  it('--full says equal, exit 0, once it is', async () => {
    const { pair, sql } = world();
    await sql('target', `UPDATE customers SET name = 'name 0' WHERE id = ${drifted}`);
    await new Mirror(pair, await loadTracked(pair)).drain('acme');

    expect(await ask('verify', 'acme', '--full')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Equal: every row') as unknown,
    });
  });

  it('--full draws a bar on a terminal, and takes it away', async () => {
    let drawn = '';
    const stdout = { isTTY: true, columns: 100, rows: 40, write: (text: string) => (drawn += text) };
    const stderr = { isTTY: true, write: () => {} };
    const plan = await writePlan(await folder(), world().plan);
    const env = { ...process.env, ...NO_TEMPORAL, SWITCHBACK_PLAN: plan };

    expect(await main(['verify', 'acme', '--full'], { stdout, stderr, stdin: {}, env })).toBe(0);

    expect(drawn).toMatch(/\[[#-]{24}\] (?:customers|notes): \d+ %, \d+ of about \d+ rows, [\d,]+ rows\/s/);
    expect(drawn.split('\r\u001B[2K').at(-1)).toMatch(/^acme: 2 of 2 tables read/);
  });

  it('--full ends with Ctrl-C between two windows, exit 130', async () => {
    const { plan } = world();
    const [, target] = roots;
    const words = ['verify', 'acme', '--full', '--plan', await writePlan(await folder(), plan), '--json'];
    const running = await target!.session(async (session) => {
      await session.run(`LOCK TABLES \`${plan.target.schema}\`.customers WRITE`);
      const started = switchbackRunning(words, { env: NO_TEMPORAL });
      const waits = `SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE = 'Waiting for table metadata lock' AND INFO LIKE '%${plan.target.schema}%'`;
      while ((await target!.rows(waits)).length === 0) await sleep(50);
      started.child.kill('SIGINT');
      await sleep(200);
      await session.run('UNLOCK TABLES');
      return started;
    });

    const said = await running.ended;

    expect(said.code, said.all).toBe(130);
    expect(JSON.parse(said.stdout)).toMatchObject({
      result: 'ended',
      tables: [{ table: 'customers', finished: true }],
    });
  }, 60_000);

  it('of a tenant without a pass says so', async () => {
    expect(await ask('verify', 'globex')).toMatchObject({
      code: 0,
      stdout: 'globex: no reconcile pass yet.\n',
    });
  });
});

it('progress says share, rate and what is left', () => {
  expect(progressText({ what: 'notes', rows: 25_000, of: 100_000 }, 10_000)).toBe(
    'notes: 25 %, 25,000 of about 100,000 rows, 2,500 rows/s, 30s left',
  );
  expect(progressText({ what: 'notes', rows: 5, of: null }, 0)).toBe('notes: 5 rows, 0 rows/s');
});
