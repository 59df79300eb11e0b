/** What a probe may answer, and what becomes of one that does not. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { parseProbeAnswer } from '../src/domain/probe.ts';
import { askProbe } from '../src/probe.ts';

const CALL = { tenant: 'acme', drill: 'd-1' };
const GOOD = { reads: 2, canaries: [{ table: 'messages', key: { id: 7 } }] };
let server: Server;
let url = '';
const asked: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    request.on('data', (chunk: Buffer) => asked.push(chunk.toString()));
    if (request.url === '/silent') return;
    response.writeHead(request.url === '/broken' ? 500 : 200);
    response.end(JSON.stringify(GOOD));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

test('reads and canaries are taken; a number in a key is text', () => {
  expect(parseProbeAnswer(JSON.stringify(GOOD))).toEqual({
    ok: true,
    reads: 2,
    canaries: [{ table: 'messages', key: { id: '7' } }],
  });
});

test.each([
  ['', 'is no JSON object'],
  ['[]', 'is no JSON object'],
  ['{"canaries": []}', 'has no "reads", 1 or more'],
  ['{"reads": 0, "canaries": []}', 'has no "reads", 1 or more'],
  ['{"reads": 1}', 'has no list "canaries"'],
  ['{"reads": 1, "canaries": [{"table": "a"}]}', 'names a canary without table or key'],
  ['{"reads": 1, "canaries": [{"table": "a", "key": {}}]}', 'names a canary without table or key'],
  ['{"reads": 1, "canaries": [{"table": "a", "key": {"id": null}}]}', 'names a canary without table or key'],
])('%j %s', (text, why) => {
  expect(parseProbeAnswer(text)).toEqual({
    ok: false,
    why: expect.stringContaining(`the probe's answer ${why};`) as unknown,
  });
});

test('a program gets the tenant and the drill in its environment', async () => {
  const script = `console.log(JSON.stringify({reads: 1, canaries: [{table: process.env.SWITCHBACK_TENANT, key: {id: process.env.SWITCHBACK_DRILL}}]}))`;
  const probe = { command: [process.execPath, '-e', script], urlEnv: null, timeout: 20_000 };
  expect(await askProbe(probe, CALL)).toMatchObject({
    ok: true,
    canaries: [{ table: 'acme', key: { id: 'd-1' } }],
  });
});

test.each([
  ['ends with a code', ['-e', 'process.exit(4)'], 20_000, /^the probe ".*" ended with exit code 4$/],
  ['hangs', ['-e', 'setInterval(() => {}, 1000)'], 300, /did not end within 300 ms$/],
])('a program that %s', async (_, words, timeout, why) => {
  const answer = await askProbe({ command: [process.execPath, ...words], urlEnv: null, timeout }, CALL);
  expect(answer).toEqual({ ok: false, why: expect.stringMatching(why) as unknown });
});

test('a program that is not there', async () => {
  const answer = await askProbe({ command: ['/nowhere/probe'], urlEnv: null, timeout: 1_000 }, CALL);
  expect(answer).toEqual({ ok: false, why: 'the probe "/nowhere/probe" could not be run (ENOENT)' });
});

test('an address is posted to, and its faults are said without it', async () => {
  const ask = (path: string, timeout = 5_000) =>
    askProbe({ command: null, urlEnv: 'PROBE_URL', timeout }, CALL, {
      PROBE_URL: path === '' ? '' : `${url}${path}`,
    });

  expect(await ask('/probe')).toMatchObject({ ok: true, reads: 2 });
  expect(JSON.parse(asked[0]!)).toEqual(CALL);
  const failed = await Promise.all([ask('/broken'), ask('/silent', 300), ask('')]);
  expect(failed).toEqual([
    { ok: false, why: 'the probe in PROBE_URL answered 500' },
    { ok: false, why: 'the probe in PROBE_URL did not answer within 300 ms' },
    { ok: false, why: "the probe's variable PROBE_URL holds no address; set it where the worker runs" },
  ]);
});
