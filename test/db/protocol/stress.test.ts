/**
 * The protocol under stress: random writers, appliers in processes of their own that are frozen or killed
 * at every step between lock and journal delete, verdicts all the time. Nothing is corrupted, so every
 * drift that a verdict reports is a false one.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { copyTable, tablesOf } from '../../../src/db/backfill.ts';
import { admitStage } from '../../../src/db/stages.ts';
import { isTransient } from '../../../src/db/faults.ts';
import type { Pair } from '../../../src/db/tracked.ts';
import { judgeHot, judgeKeys } from '../../../src/db/verdict.ts';
import { encodeKey } from '../../../src/domain/key.ts';
import { child, column, useFixture, type Fixture } from '../../support/pair.ts';
import { stackInfo, urlWithSchema } from '../../support/stack.ts';
import type { ApplierConfig, Fault, Said } from './applier.ts';
import { FaultyDatabase, STEP_NAMES } from './faults.ts';
import { seeded } from './random.ts';
import { CUSTOMERS, differences, IDLE, STARTED, TABLES, write, type Writes } from './world.ts';

const APPLIER = fileURLToPath(new URL('applier.ts', import.meta.url));
const IDLE_TIMEOUT = 3_000;
const APPLIERS = 4;
const WRITERS = 3;
const FROZEN_PAST_ITS_LOCK = IDLE_TIMEOUT + 700;

const FROZEN_WITH_ITS_LOCK = 700;
const LOSES_ITS_LOCK = new Set(['lock', 'image-read', 'delete', 'insert', 'commit-target']);

/** Every step frozen and killed, some also until the lock is lost; a COMMIT is killed when it was just sent. */
const FAULTS: readonly Fault[] = STEP_NAMES.flatMap((step): Fault[] => {
  const moment = step.startsWith('commit') ? 'sent' : 'before';
  return [
    { step, moment: 'before', kind: 'freeze', ms: FROZEN_WITH_ITS_LOCK },
    ...(LOSES_ITS_LOCK.has(step)
      ? [{ step, moment, kind: 'freeze', ms: FROZEN_PAST_ITS_LOCK } as const]
      : []),
    { step, moment, kind: 'kill', ms: 0 },
  ];
});

/** Where only the lock protects: images are read, nothing is written yet. */
const BETWEEN_READ_AND_WRITE: readonly Fault[] = ['holders-read', 'delete'].map((step) => ({
  step: step as Fault['step'],
  moment: 'before',
  kind: 'freeze',
  ms: FROZEN_WITH_ITS_LOCK,
}));

interface Outcome {
  readonly falseDrift: string[];
  readonly errors: string[];
  readonly faults: Fault[];
  readonly writes: Writes;
  verdicts: number;
  differing: string[];
}

interface Run {
  readonly seed: number;
  readonly withoutLock: boolean;
  readonly seconds: number;
  /** Ends the run as soon as it is true. */
  readonly enough: (outcome: Outcome) => boolean;
}

async function prepare(fixture: Fixture): Promise<void> {
  const { pair, sql, install, start } = fixture;
  await sql(
    'source',
    `INSERT INTO customers SELECT n, ELT(1 + n % 4, 'ant', 'bee', 'cat', 'dog'), CONCAT('e', n, '@x'), 0
     FROM (WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 30) SELECT n FROM s) x`,
  );
  await sql('source', 'INSERT INTO notes SELECT id, id, 0 FROM customers');
  await install({
    customers: column(),
    notes: child('customers', 'customer_id'),
    codes: column(),
  });
  await admitStage(pair.source, pair.control, IDLE);
  for (const tenant of STARTED) await start(tenant);
  for (const tenant of STARTED) {
    for (const { id } of tablesOf(fixture.tracked, tenant)) {
      await copyTable(pair, fixture.tracked, {
        tenant,
        round: 1,
        tableId: id,
        limits: {
          windowTarget: 100,
          windowRows: 100,
          windowBytes: 8_388_608,
          reconcileRows: 100,
          backfillParallel: 1,
          threadsRunning: 1_000,
          rowsPerSecond: 0,
        },
        pace: () => Promise.resolve(0),
        progress: () => {},
        until: () => false,
      });
    }
  }
}

async function stress(fixture: Fixture, run: Run): Promise<Outcome> {
  console.log(`protocol stress: seed ${run.seed}${run.withoutLock ? ', without the lock' : ''}`);
  const { sourceUrl, targetUrl } = stackInfo();
  const { control, sourceSchema: schema } = fixture.pair;
  const outcome: Outcome = {
    falseDrift: [],
    errors: [],
    faults: [],
    writes: { committed: 0, rolledBack: 0 },
    verdicts: 0,
    differing: [],
  };
  await prepare(fixture);
  const random = seeded(run.seed);
  const end = Date.now() + run.seconds * 1_000;
  const over = (): boolean => Date.now() > end || run.enough(outcome);
  const queue = random.shuffled(
    run.withoutLock ? Array.from({ length: 20 }, () => BETWEEN_READ_AND_WRITE).flat() : FAULTS,
  );
  const appliers = Array.from({ length: APPLIERS }, (_, index) =>
    keepApplying(over, outcome, () => ({
      sourceUrl,
      targetUrl,
      control,
      schema,
      seed: run.seed * 1_000 + index * 100 + outcome.faults.length,
      tenants: STARTED,
      idleTenant: IDLE,
      withoutLock: run.withoutLock,
      idleTimeout: IDLE_TIMEOUT,
      customers: CUSTOMERS,
      faults: nextFaults(queue),
    })),
  );
  const writers = Array.from({ length: WRITERS }, (_, index) =>
    write(urlWithSchema(sourceUrl, schema), run.seed + index, over, outcome.writes),
  );
  const judges = [0, 1].map((index) => judgeAll(fixture, run, seeded(run.seed - 1 - index), over, outcome));
  await Promise.all([...writers, ...judges, ...appliers]);
  for (let round = 0; round < 2; round += 1)
    for (const tenant of ['_unresolved', ...STARTED]) await fixture.mirror.drain(tenant);
  outcome.differing = await differences(urlWithSchema(sourceUrl, schema), urlWithSchema(targetUrl, schema));
  console.log(
    `protocol stress: ${outcome.writes.committed} commits, ${outcome.writes.rolledBack} rollbacks, ${outcome.verdicts} verdicts, ` +
      `${outcome.faults.length} faults, ${outcome.falseDrift.length} false drifts, ${outcome.differing.length} rows differ`,
  );
  return outcome;
}

/** Faults up to the next kill, which ends a process; from the front of the queue. */
function nextFaults(queue: Fault[]): Fault[] {
  const kill = queue.findIndex((fault) => fault.kind === 'kill');
  return queue.splice(0, kill < 0 ? 10 : kill + 1);
}

/** One applier, started again whenever it was killed. */
async function keepApplying(
  over: () => boolean,
  outcome: Outcome,
  config: () => ApplierConfig,
): Promise<void> {
  while (!over()) {
    const applier = spawn(process.execPath, ['--import', 'tsx', APPLIER, JSON.stringify(config())], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(applier, 'exit');
    let running = true;
    void exited.then(() => (running = false));
    createInterface({ input: applier.stdout }).on('line', (line) => hear(line, applier, outcome));
    while (running && !over()) await Promise.race([exited, sleep(100)]);
    applier.kill('SIGKILL');
    await exited;
  }
}

function hear(line: string, applier: ChildProcess, outcome: Outcome): void {
  const said = JSON.parse(line) as Said;
  if ('error' in said) outcome.errors.push(said.error);
  if (!('fault' in said)) return;
  outcome.faults.push(said.fault);
  if (said.fault.kind === 'freeze') setTimeout(() => applier.kill('SIGCONT'), said.fault.ms);
}

/** Verdicts on random keys, present or not, of any tenant that migrates. */
async function judgeAll(
  fixture: Fixture,
  run: Run,
  random: ReturnType<typeof seeded>,
  over: () => boolean,
  outcome: Outcome,
): Promise<void> {
  const { sourceUrl, targetUrl } = stackInfo();
  const interference = { withoutLock: run.withoutLock, at: () => {} };
  const options = { idleTimeout: IDLE_TIMEOUT, connections: 3 };
  const pair: Pair = {
    ...fixture.pair,
    source: new FaultyDatabase({ side: 'source', url: sourceUrl, ...options }, interference),
    target: new FaultyDatabase({ side: 'target', url: targetUrl, ...options }, interference),
  };
  while (!over()) {
    const tenant = random.pick(STARTED);
    const table = fixture.tracked.byName(random.pick(['customers', 'notes', 'codes']));
    const keys = Array.from({ length: 6 }, () =>
      table.table.name === 'codes'
        ? encodeKey([hex(tenant), hex(random.pick(['abc', 'ABC', 'x']))])
        : encodeKey([String(1 + random.below(table.table.name === 'notes' ? 80 : CUSTOMERS))]),
    );
    const judge = random.chance(0.9) ? judgeKeys : judgeHot;
    try {
      const judged = await judge(pair, fixture.tracked, tenant, table.id, [...new Set(keys)]);
      outcome.verdicts += judged.length;
      for (const { key, verdict } of judged) {
        if (verdict.kind === 'drift')
          outcome.falseDrift.push(`${judge.name} ${tenant} ${table.table.name} ${key} ${verdict.class}`);
      }
    } catch (error) {
      if (!isTransient(error)) outcome.errors.push(String(error));
    }
    await sleep(random.below(30));
  }
  await Promise.all([pair.source.close(), pair.target.close()]);
}

const hex = (text: string): string => Buffer.from(text).toString('hex').toUpperCase();

const SEED = Number(process.env['STRESS_SEED'] ?? 20_260_101);

describe('with the tenant lock', () => {
  const fixture = useFixture(TABLES);

  it('no row differs and no false drift is reported, wherever appliers freeze or die', async () => {
    const outcome = await stress(fixture(), {
      seed: SEED,
      withoutLock: false,
      seconds: 180,
      enough: ({ errors, faults, writes, verdicts }) =>
        errors.length > 0 || (faults.length === FAULTS.length && writes.committed > 1_500 && verdicts > 600),
    });
    expect(outcome.errors).toEqual([]);
    expect(outcome.falseDrift).toEqual([]);
    expect(outcome.differing).toEqual([]);
    const reached = (kind: Fault['kind']) =>
      new Set(outcome.faults.filter((fault) => fault.kind === kind).map((fault) => fault.step));
    expect([...reached('freeze')].sort()).toEqual([...STEP_NAMES].sort());
    expect([...reached('kill')].sort()).toEqual([...STEP_NAMES].sort());
    expect(outcome.writes.committed).toBeGreaterThan(500);
    expect(outcome.verdicts).toBeGreaterThan(200);
  }, 300_000);
});

describe('without the tenant lock', () => {
  const fixture = useFixture(TABLES);

  it('fails without the lock: rows differ or a false drift is reported', async () => {
    const outcome = await stress(fixture(), {
      seed: SEED,
      withoutLock: true,
      seconds: 120,
      enough: ({ falseDrift }) => falseDrift.length > 0,
    });
    expect(outcome.falseDrift.length + outcome.differing.length).toBeGreaterThan(0);
  }, 300_000);
});
