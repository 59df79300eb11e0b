/** What the API promises besides routing: bounds, what it refuses, what it says of a lost commit. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

import type { Connection } from 'mysql2/promise';
import { beforeAll, describe, expect, it } from 'vitest';

import { CommitUnknownError, ConnectionEndedError, WriteHeldError } from '../../src/app/index.ts';
import { compare } from '../../src/app/comparator.ts';
import { qualified, tenantLiteral } from '../../src/db/sql.ts';
import { stackInfo } from '../support/stack.ts';
import { add, bodies, plans, until, useApp } from './support.ts';

const { fixture, open, flip } = useApp();

beforeAll(async () => {
  await fixture().install(plans);
});

const insert = (tenant: string) => (conn: Connection) =>
  conn.query(`INSERT INTO messages (tenant_id, body) VALUES ('${tenant}', 'kept')`);

describe('a read', () => {
  it('is READ ONLY in every stage, and refuses what would change that', async () => {
    await fixture().start('closed', 'dual-write');
    const router = await open({ pollMs: 20 });
    for (const stage of ['dual-write', 'shadow-read', 'read-target'] as const) {
      await flip('closed', stage);
      await until(() => router.stage('closed') === stage, 'the node follows');
      await expect(router.tenant('closed').read('sneak', insert('closed'))).rejects.toMatchObject({
        errno: 1792,
      });
      for (const sql of [
        'START TRANSACTION READ WRITE',
        'SET SESSION TRANSACTION READ WRITE',
        '/* c */ COMMIT',
      ])
        await expect(router.tenant('closed').read('sneak', (conn) => conn.query(sql))).rejects.toThrow(
          'is not for this connection',
        );
    }
    await expect(
      router.tenant('closed').read('writes', () => router.tenant('closed').write(insert('closed'))),
    ).rejects.toMatchObject({ name: 'WriteInReadError' });
    expect(await bodies(router, 'closed')).toEqual([]);
  });

  it('that locks goes to the authority, from then on at once', async () => {
    await fixture().start('locking', 'read-target');
    const router = await open();
    let runs = 0;
    const read = () =>
      router.tenant('locking').read('shared', (conn) => {
        runs += 1;
        return conn.query("SELECT body FROM messages WHERE tenant_id = 'locking' LOCK IN SHARE MODE");
      });

    await read();
    await read();

    // Once in vain: the first is tried on the target, where nothing is sent.
    expect(runs).toBe(3);
    expect(router.stats()).toMatchObject({ reads: { source: 2, target: 0 }, fallbacks: { locking: 2 } });
    const exclusive = router
      .tenant('locking')
      .read('exclusive', (conn) => conn.query('SELECT body FROM messages FOR UPDATE'));
    await expect(exclusive, 'it belongs into a write').rejects.toMatchObject({ errno: 1792 });
  });

  it('ends with its deadline or its signal, on either side, and the pool goes on', async () => {
    await fixture().start('slow', 'read-target');
    const router = await open({ connections: 1, targetReadMs: 100 });
    const sleepy = (conn: Connection) => conn.query('SELECT SLEEP(20)');

    await expect(router.tenant('slow').read('sleepy', sleepy, { deadlineMs: 400 })).rejects.toMatchObject({
      name: 'DeadlineError',
    });
    expect(router.stats().fallbacks.deadline, 'the source was asked too').toBe(1);
    const stopping = new AbortController();
    const stopped = router.tenant('away').read('sleepy', sleepy, { signal: stopping.signal });
    setTimeout(() => stopping.abort(new RangeError('the client left')), 50);
    await expect(stopped).rejects.toThrow('the client left');
    expect(await bodies(router, 'away')).toEqual([]);
  });

  it('inside a read uses its connection', async () => {
    const router = await open({ connections: 1 });

    const seen = await router.tenant('inner').read('outer', () => bodies(router, 'inner'));

    expect(seen).toEqual([]);
  });

  it('named neverTarget stays on the source', async () => {
    await fixture().start('staying', 'read-target');
    const router = await open({ reads: { bodies: { neverTarget: true } } });

    await bodies(router, 'staying');

    expect(router.stats().reads).toEqual({ source: 1, target: 0 });
  });
});

describe('a write', () => {
  it('is rolled back by its deadline', async () => {
    const router = await open();
    const write = router.tenant('late').write(
      async (conn) => {
        await insert('late')(conn);
        await conn.query('SELECT SLEEP(20)');
      },
      { deadlineMs: 300 },
    );

    await expect(write).rejects.toMatchObject({ name: 'DeadlineError' });
    expect(await bodies(router, 'late')).toEqual([]);
  });

  it('whose answer to COMMIT is lost says that nobody knows', async () => {
    const { sourcePort, sourceUrl } = stackInfo();
    const proxy = await cutAtCommit(sourcePort);
    const through = new URL(sourceUrl);
    through.port = String(proxy.port);
    const router = await open({ source: through.href });

    const write = router.tenant('unknown').write(insert('unknown'));

    await expect(write).rejects.toBeInstanceOf(CommitUnknownError);
    await router.close();
    proxy.close();
    expect(await bodies(await open(), 'unknown'), 'it was committed').toEqual(['kept']);
  });

  it('waits while the authority moves, and is then told when to come back', async () => {
    await fixture().start('moving', 'read-target');
    const router = await open({ pollMs: 20, holdMs: 300 });
    const { source, control } = fixture().pair;
    const hold = (stage: string) =>
      source.run(
        `UPDATE ${qualified(control, 'version')} v, ${qualified(control, 'stage')} s SET v.change_version = v.change_version + 1, s.stage = ?, s.epoch = s.epoch + 1, s.version = v.change_version + 1 WHERE s.tenant = ${tenantLiteral('moving')}`,
        [stage],
      );
    await hold('write-hold');
    await until(() => router.stage('moving') === 'write-hold', 'the node follows');

    const refused: unknown = await router
      .tenant('moving')
      .write(insert('moving'))
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(WriteHeldError);
    expect(refused).toMatchObject({ retryable: true, retryAfterMs: 300 });
    expect((refused as WriteHeldError).retryAt.getTime()).toBeGreaterThan(Date.now());
    await router.close();
    const patient = await open({ pollMs: 20, holdMs: 20_000 });
    const parked = patient.tenant('moving').write(insert('moving'));
    await hold('read-target');
    await parked;
    expect(patient.stats().writes).toBe(1);
  });

  it('leaves a connection that throws, and cannot be released from under the router', async () => {
    const router = await open();
    let kept: Connection | null = null;
    const { value } = await router.tenant('kept').write((conn) => {
      kept = conn;
      expect(() => conn.destroy()).toThrow('belongs to the router');
      return Promise.resolve('done');
    });

    expect(value).toBe('done');
    await expect(kept!.query('SELECT 1')).rejects.toBeInstanceOf(ConnectionEndedError);
  });
});

describe('a token', () => {
  it('shows a write of another process to the next read, wherever that read runs', async () => {
    await fixture().start('shown', 'read-target');
    const [writer, reader] = [await open({ mirrorBudgetMs: 0 }), await open({ node: 'reader' })];

    for (let round = 1; round <= 10; round += 1) {
      const { token } = await writer.tenant('shown').write(async (conn) => {
        await conn.query('INSERT INTO messages (tenant_id, body) VALUES (?, ?)', ['shown', `w${round}`]);
      });
      expect((await bodies(reader, 'shown', { after: token })).at(-1)).toBe(`w${round}`);
    }
  });

  it('that is none, or another tenant’s, fails nothing', async () => {
    await fixture().start('odd', 'read-target');
    const router = await open();
    const { token } = await router.tenant('other').write(insert('other'));

    for (const after of [token, '', 'nonsense', 'sb1.m.%%%'])
      expect(await bodies(router, 'odd', { after })).toEqual([]);
  });
});

it('reads after a flip are no older than reads on the source before it', async () => {
  await fixture().start('monotonic', 'shadow-read');
  const router = await open({ pollMs: 20 });
  await fixture().sql('source', "INSERT INTO messages (tenant_id, body) VALUES ('monotonic', 'foreign')");
  expect(await bodies(router, 'monotonic')).toEqual(['foreign']);

  await flip('monotonic', 'read-target');
  await until(() => router.stage('monotonic') === 'read-target', 'the node follows');

  expect(await bodies(router, 'monotonic')).toEqual(['foreign']);
});

it('starts from its file while the control schema is away, and reads the source then', async () => {
  await fixture().start('filed', 'read-target');
  const snapshotFile = join(mkdtempSync(join(tmpdir(), 'switchback-')), 'stages.json');
  const { pair } = fixture();
  const rename = (from: string, to: string) =>
    pair.source.run(`RENAME TABLE ${qualified(pair.control, from)} TO ${qualified(pair.control, to)}`);
  const before = await open({ snapshotFile });
  await add(before, 'filed', 'one');
  await before.close();

  await rename('stage', 'away');
  const router = await open({ snapshotFile, pollMs: 50 });
  const stage = router.stage('filed');
  const seen = await bodies(router, 'filed');
  const { fallbacks, flags } = router.stats();
  await rename('away', 'stage');

  expect(stage).toBe('read-target');
  expect(seen).toEqual(['one']);
  expect(fallbacks.lease).toBe(1);
  expect(flags.ageMs).toBeGreaterThan(0);
  await until(() => router.stats().flags.ageMs < 50, 'it follows the table again');
});

it.each([
  ['[{"a":"1"},{"a":"2"}]', '[{"a":"2"},{"a":"1"}]', {}, 'reordered'],
  ['[{"a":"1"},{"a":"2"}]', '[{"a":"2"},{"a":"1"}]', { ordered: true }, 'order'],
  ['[{"a":"1","seen":"x"}]', '[{"a":"1","seen":"y"}]', { ignoreColumns: ['seen'] }, 'equal'],
  ['[{"a":"1.004"}]', '[{"a":"1.005"}]', { tolerance: 0.01 }, 'equal'],
  ['[{"a":"1.004"}]', '[{"a":"1.104"}]', { tolerance: 0.01 }, 'value'],
  ['refused 1054', '[]', {}, 'error'],
] as const)('compares %s with %s by %o: %s', (one, other, rule, outcome) => {
  expect(compare(one, other, rule)).toBe(outcome);
});

/** A proxy that passes COMMIT on and cuts the connection before its answer. */
async function cutAtCommit(port: number): Promise<{ port: number; close: () => void }> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => [client, upstream].forEach((each) => each.destroy()));
    }
    let isCut = false;
    client.on('data', (bytes: Buffer) => {
      // A packet of its own, behind length, number, kind and attributes.
      if (bytes.length < 20 && bytes.toString('latin1').endsWith('COMMIT')) isCut = true;
      upstream.write(bytes);
    });
    upstream.on('data', (bytes: Buffer) => (isCut ? client.destroy() : client.write(bytes)));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
