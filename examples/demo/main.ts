/**
 * `npm run demo`: the SMS portal moves, tenant by tenant, under steady traffic, while things break.
 *
 * Everything is real: Temporal, two MySQL servers, Redis, two portals and two workers as processes, and the
 * CLI as an operator types it. At the end a checker that shares no code with the product has the last word.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { startStack } from '../../src/stack/start.ts';
import type { Stack } from '../../src/stack/servers.ts';
import { seed, TENANTS } from '../sms-portal/seed.ts';
import { check } from './checker.ts';
import { startLoad, type Load, type LoadReport } from './load.ts';
import { Observer } from './observer.ts';
import { readParties } from './parties.ts';
import { cli, endProcesses, killProcesses, PLAN, startPortal, startWorkerProcess } from './processes.ts';
import { formatReport, whatFailed, writeReport, type DemoReport } from './report.ts';
import { eventsOf, signalRollback } from './temporal.ts';
import { corruptRow } from './corrupt.ts';

const SCHEMA = 'sms';
const TABLES = ['countries', 'customers', 'messages', 'deliveries', 'senders'];
const tenants = Object.keys(TENANTS);

const began = Date.now();
const say = (text: string): void => {
  const clock = `${((Date.now() - began) / 1_000).toFixed(0).padStart(4)} s`;
  console.log(
    text
      .split('\n')
      .map((line, index) => `${index === 0 ? clock : '      '}  ${line}`)
      .join('\n'),
  );
};

interface Scene {
  readonly stack: Stack;
  readonly env: NodeJS.ProcessEnv;
  readonly observer: Observer;
  readonly load: Load;
  readonly run: (...args: string[]) => Promise<string>;
}

async function main(keep: boolean): Promise<number> {
  say('starting the servers: Temporal, two MySQL, Redis');
  const stack = await startStack({ log: say });
  const observer = new Observer(stack.source.url());
  process.once('exit', killProcesses);
  try {
    const started = Date.now();
    const scene = await prepare(stack, observer);
    const { load, rollbacks } = await story(scene);
    const report = await lastWord(scene, load, rollbacks, (Date.now() - started) / 1_000);
    const failed = whatFailed(report);
    for (const line of failed) say(`FAILED: ${line}`);
    for (const failure of load.failures) say(`request failed: ${failure}`);
    if (keep) await stay(scene);
    return failed.length === 0 ? 0 : 1;
  } finally {
    await endProcesses();
    await observer.stop().catch(() => {});
    await stack.stop();
  }
}

async function prepare(stack: Stack, observer: Observer): Promise<Scene> {
  const env: NodeJS.ProcessEnv = {
    SWITCHBACK_SOURCE: stack.source.url(),
    SWITCHBACK_TARGET: stack.target.url(),
    REDIS_URL: stack.redis.url,
    TEMPORAL_ADDRESS: stack.temporal.address,
    SWITCHBACK_PLAN: PLAN,
  };
  say(`Temporal UI: ${stack.temporal.uiUrl}`);
  say('filling the portal: three tenants');
  const rows = await seed({ url: stack.source.url(), schema: SCHEMA });
  say(`${rows.toLocaleString('en-US')} rows in ${TABLES.length} tables`);
  const run = async (...args: string[]): Promise<string> => {
    const { code, text } = await cli(env, say, ...args);
    if (code !== 0) throw new Error(`switchback ${args[0] ?? ''} ended with ${code}`);
    return text;
  };
  await run('install', '--target-schema', '--reason', 'demo');
  observer.start();
  const portals = await Promise.all([startPortal(env, overhear), startPortal(env, overhear)]);
  say(`two portals listen: ${portals.map(({ url }) => url).join(', ')}`);
  const load = startLoad({
    portals: portals.map(({ url }) => url),
    tenants,
    parties: await readParties(stack.source.url(), SCHEMA, tenants),
    requestsPerSecond: 120,
  });
  say('traffic begins, and does not stop before the end');
  await sleep(2_000);
  return { stack, env, observer, load, run };
}

interface Told {
  readonly load: LoadReport;
  readonly rollbacks: DemoReport['rollbacks'];
}

async function story(scene: Scene): Promise<Told> {
  const { stack, env, observer, load, run } = scene;
  const workers = [startWorkerProcess(env), startWorkerProcess(env)];
  const progress = setInterval(() => {
    const { requests, failedRequests, acknowledgedWrites } = load.now();
    say(`traffic: ${requests} requests, ${failedRequests} failed, ${acknowledgedWrites} writes acknowledged`);
  }, 15_000);

  chapter('the internal tenant first');
  await run('start', 'acme', '--reason', 'first wave');
  await observer.until('acme', ['backfill', 'reconcile', 'shadow']);
  await outage(stack, 'dual-write');
  await observer.until('acme', ['shadow', 'drill', 'ready', 'ramp']);

  chapter('a worker dies in the middle of a copy');
  await run('start', 'globex', '--reason', 'second wave');
  await run('start', 'initech', '--reason', 'second wave');
  await observer.until('globex', ['backfill']);
  await sleep(1_000);
  await workers[0]!.kill('SIGKILL');
  say('one worker was killed (SIGKILL); another takes its place and goes on from the cursor');
  startWorkerProcess(env);

  chapter('acme reads from the target; the target dies once more');
  await observer.until('acme', ['ramp'], ['waiting']);
  say(await observer.drill('acme'));
  await run('status', 'acme');
  await outage(stack, 'ramp');

  chapter('a row is corrupted on the target behind everybody’s back');
  await observer.until('globex', ['shadow', 'drill', 'ready']);
  await corruptRow(stack.target.rootUrl(SCHEMA), 'globex');
  await observer.until('globex', ['shadow'], ['stopped']);
  say('the line is stopped');
  await run('why', 'globex');
  await run('repair', 'globex', '--all', '--reason', 'one row, cause known');
  await run('retry', 'globex', '--reason', 'repaired');

  chapter('an operator lets the second wave go');
  for (const tenant of ['initech', 'globex']) {
    await observer.until(tenant, ['ready'], ['waiting']);
    say(await observer.drill(tenant));
    await run('advance', tenant, '--reason', 'approved');
    await observer.until(tenant, ['ramp'], ['waiting']);
  }

  chapter('initech is rolled back by a plain Temporal signal, and moved again');
  const before = observer.flips.length;
  say(await signalRollback(stack, 'initech'));
  await observer.until('initech', ['shadow'], ['paused']);
  const rollbacks = observer.flips
    .slice(before)
    .filter(({ tenant, to }) => tenant === 'initech' && to === 'shadow-read');
  say(`reads of initech are on the source; the last node followed after ${rollbacks[0]?.ms ?? '?'} ms`);
  await run('resume', 'initech', '--reason', 'false alarm');
  await observer.until('initech', ['ready'], ['waiting']);
  await run('advance', 'initech', '--reason', 'approved again');
  await observer.until('initech', ['ramp'], ['waiting']);
  await sleep(3_000);
  await run('status');
  await run('flags');
  clearInterval(progress);
  return { load: await load.stop(), rollbacks: rollbacks.map(({ tenant, ms }) => ({ tenant, ms })) };
}

const chapter = (title: string): void => {
  overheard.clear();
  say(`\n── ${title} ──`);
};

const overheard = new Set<string>();

/** Of what the application logs, one line of each kind in a chapter: while a server is gone it says the same many times. */
function overhear(line: string): void {
  const kind = line.replace(/ \{.*"reason":("[^"]*").*/, ' $1');
  if (overheard.has(kind)) return;
  overheard.add(kind);
  say(`the portal's log: ${line}`);
}

async function outage(stack: Stack, when: string): Promise<void> {
  await stack.target.kill('SIGKILL');
  say(`the target was killed (SIGKILL) in ${when}; requests go on`);
  await sleep(4_000);
  await stack.target.start();
  say('the target is back; the mirror catches up');
}

async function lastWord(
  scene: Scene,
  load: LoadReport,
  rollbacks: DemoReport['rollbacks'],
  seconds: number,
): Promise<DemoReport> {
  const { stack, observer } = scene;
  const ends = Date.now() + 30_000;
  while ((await observer.journalRows()) > 0 && Date.now() < ends) await sleep(100);
  say('traffic has ended and the journal is empty; the checker compares both databases row by row');
  const checked = await check({
    sourceUrl: stack.source.url(),
    targetUrl: stack.target.url(),
    schema: SCHEMA,
    tables: TABLES,
    acknowledged: load.acknowledged,
  });
  for (const difference of checked.firstDifferences) say(`differs: ${JSON.stringify(difference)}`);
  for (const lost of checked.firstLost) say(`lost: ${JSON.stringify(lost)}`);
  const flips = observer.flips
    .filter(({ to }) => to === 'read-target')
    .map(({ tenant, ms }) => ({ tenant, ms }));
  const report: DemoReport = {
    acknowledgedWrites: checked.acknowledgedWrites,
    lostWrites: checked.lostWrites,
    failedRequests: load.failedRequests,
    requests: load.requests,
    rowsCompared: checked.rowsCompared,
    rowsDiffering: checked.rowsDiffering,
    flips,
    rollbacks,
    drift: { found: await observer.driftFound(), injected: 1 },
    temporalEvents: await eventsOf(stack, ['_shared', ...tenants]),
    seconds,
  };
  await scene.run('report', '--out', 'demo-report.html');
  await writeReport('demo-report.json', report);
  console.log(
    `\n${formatReport(report, load.latencies)}\n\ndemo-report.json and demo-report.html were written`,
  );
  return report;
}

async function stay({ stack, env }: Scene): Promise<void> {
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${value ?? ''}`);
  console.log(
    `\nEverything stays up until Ctrl-C; the traffic has ended, so gates that count reads stay closed until somebody waives them.\n  Temporal UI: ${stack.temporal.uiUrl}\n  ${exports.join('\n  ')}\n\nTry:\n  bin/switchback.mjs status --watch\n  bin/switchback.mjs why acme\n  bin/switchback.mjs rollback acme --reason "to see it"\n  bin/switchback.mjs --help`,
  );
  await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
}

const words = process.argv.slice(2);
const unknown = words.find((word) => word !== '--keep');
if (unknown !== undefined) {
  console.error(`${unknown}: the demo knows only --keep (leave everything running at the end)`);
  process.exitCode = 2;
} else {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      if (!words.includes('--keep')) process.exit(130);
    });
  }
  process.exitCode = await main(words.includes('--keep'));
}
