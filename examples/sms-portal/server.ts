/**
 * The portal's HTTP server. From the environment: SWITCHBACK_SOURCE, SWITCHBACK_TARGET, REDIS_URL (may be
 * missing), SWITCHBACK_SCHEMA (`sms`), SWITCHBACK_CONTROL (`switchback`), MIRROR_BUDGET_MS (the router's own), HOST
 * (127.0.0.1), PORT (0: any free one), METRICS (set: `/metrics` for Prometheus).
 *
 * Says `portal listening on http://…` when it is ready. SIGTERM: no new requests, open ones end, then it exits.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { createRouter, type RouterOptions } from '../../src/app/index.ts';
import { Portal } from './portal.ts';
import { NotFound, Refused, statusOf } from './problems.ts';

const BODY_MAX = 64 * 1024;
const DRAIN_MS = 5_000;

// Before the router, which takes the meters that it finds.
const metrics = process.env['METRICS'] === undefined ? null : (await import('./metrics.ts')).prometheus();
const router = await createRouter(settings(process.env));
const portal = new Portal(router);

/** What a route gets of its request. */
interface Call {
  readonly tenant: string;
  readonly id: string;
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
}

interface Route {
  readonly method: string;
  readonly path: RegExp;
  readonly status: number;
  readonly run: (call: Call) => Promise<unknown>;
}

// prettier-ignore
const ROUTES: readonly Route[] = [
  { method: 'POST',   path: /^\/tenants\/([^/]+)\/messages$/,                status: 201, run: ({ tenant, body }) => portal.send(tenant, { customerId: text(body, 'customerId'), body: text(body, 'body'), price: text(body, 'price', '0.070000') }) },
  { method: 'POST',   path: /^\/tenants\/([^/]+)\/messages\/(\d+)\/status$/, status: 200, run: ({ tenant, id, body }) => portal.report(tenant, id, { status: text(body, 'status'), raw: bytes(body, 'raw') }) },
  { method: 'DELETE', path: /^\/tenants\/([^/]+)\/messages\/(\d+)$/,         status: 200, run: ({ tenant, id }) => portal.remove(tenant, id) },
  { method: 'GET',    path: /^\/tenants\/([^/]+)\/messages\/(\d+)$/,         status: 200, run: ({ tenant, id }) => portal.message(tenant, id) },
  { method: 'GET',    path: /^\/tenants\/([^/]+)\/messages$/,                status: 200, run: ({ tenant, query }) => portal.latest(tenant, Number(query.get('latest') ?? '20')) },
  { method: 'GET',    path: /^\/tenants\/([^/]+)\/senders$/,                 status: 200, run: ({ tenant }) => portal.senders(tenant) },
  { method: 'POST',   path: /^\/tenants\/([^/]+)\/senders\/swap$/,           status: 200, run: ({ tenant, body }) => portal.swap(tenant, [text(body, 'a'), text(body, 'b')]) },
  { method: 'POST',   path: /^\/drill$/,                                     status: 200, run: ({ body }) => portal.drill(text(body, 'tenant'), text(body, 'drill')) },
  { method: 'GET',    path: /^\/stats$/,                                     status: 200, run: () => Promise.resolve(router.stats()) },
];

let isDraining = false;
const server = createServer((request, response) => {
  void answer(request, response);
});
server.listen(Number(process.env['PORT'] ?? '0'), process.env['HOST'] ?? '127.0.0.1', () => {
  const { address, port } = server.address() as AddressInfo;
  console.log(`portal listening on http://${address}:${port}`);
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void drain());

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://portal');
  if (pathname === '/metrics' && metrics !== null) return metrics(request, response);
  if (pathname === '/healthz') {
    const health = router.health();
    return send(response, health.isReady ? 200 : 503, health);
  }
  try {
    const route = ROUTES.find(({ method, path }) => method === request.method && path.test(pathname));
    if (route === undefined) throw new NotFound('page');
    const [, tenant = '', id = ''] = route.path.exec(pathname)!;
    const body = request.method === 'POST' ? await readBody(request) : {};
    const call = { tenant: decodeURIComponent(tenant), id, query: searchParams, body };
    // Of the moment at which the request came, for whoever measures by stage.
    response.setHeader('switchback-stage', router.stage(call.tenant));
    send(response, route.status, await route.run(call));
  } catch (error) {
    const status = statusOf(error);
    if (status === 500) console.error(`${request.method} ${pathname}: ${nameOf(error)}`);
    send(response, status, { error: status === 500 ? 'the portal failed' : (error as Error).message });
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  // Or a busy client would go on asking by the connection that it has.
  if (isDraining) response.setHeader('connection', 'close');
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_MAX) throw new Refused('the body is too large');
    chunks.push(chunk);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Not JSON: refused below like any other body that is no object.
  }
  throw new Refused('the body is no JSON object');
}

function text(body: Readonly<Record<string, unknown>>, name: string, otherwise?: string): string {
  const value = body[name] ?? otherwise;
  if (typeof value !== 'string') throw new Refused(`${name} is missing, or no text`);
  return value;
}

const bytes = (body: Readonly<Record<string, unknown>>, name: string): Buffer | null =>
  body[name] === undefined ? null : Buffer.from(text(body, name), 'hex');

/** The driver's errors carry the statement with its values: only their code is logged. */
const nameOf = (error: unknown): string => {
  const { code, name } = error as { code?: string; name?: string };
  return code ?? name ?? 'unknown';
};

async function drain(): Promise<void> {
  isDraining = true;
  const late = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
  await new Promise((resolve) => {
    server.close(resolve);
    server.closeIdleConnections();
  });
  clearTimeout(late);
  await router.close();
  process.exit(0);
}

function settings(env: NodeJS.ProcessEnv): RouterOptions {
  const schema = env['SWITCHBACK_SCHEMA'] ?? 'sms';
  return {
    source: required(env, 'SWITCHBACK_SOURCE'),
    target: required(env, 'SWITCHBACK_TARGET'),
    schema: { source: schema, target: schema },
    service: 'sms-portal',
    log: { warn: (message, fields) => console.warn(`${message} ${JSON.stringify(fields)}`) },
    ...(env['SWITCHBACK_CONTROL'] === undefined ? {} : { control: env['SWITCHBACK_CONTROL'] }),
    ...(env['REDIS_URL'] === undefined ? {} : { redis: env['REDIS_URL'] }),
    ...(env['MIRROR_BUDGET_MS'] === undefined ? {} : { mirrorBudgetMs: Number(env['MIRROR_BUDGET_MS']) }),
  };
}

function required(env: NodeJS.ProcessEnv, name: string): string {
  const value = env[name];
  if (value !== undefined && value !== '') return value;
  console.error(`${name} is not set; it holds mysql://user:password@host:port`);
  process.exit(2);
}
