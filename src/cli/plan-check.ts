/** Everything that is in the way of a plan, at once: the file, both databases, and the Temporal cluster. */
import type { Problem } from '../domain/errors.ts';
import { openThrottle } from '../connect.ts';
import { isInstalled } from '../db/capture-install.ts';
import { readTables } from '../db/catalog.ts';
import type { Database } from '../db/database.ts';
import { chooseExecutors, type Choice } from '../db/executors.ts';
import { readMigrations } from '../db/migrations.ts';
import { columnsRead, plannedTriggers, type ColumnsRead } from '../db/planned-triggers.ts';
import { preflight } from '../db/preflight.ts';
import { refusedTimes } from '../db/time-windows.ts';
import { homeOf, type Pair } from '../db/tracked.ts';
import type { Plan } from '../domain/plan.ts';
import { planOf } from '../domain/tenant-schema.ts';
import { captureFacts, captureLines } from './capture-text.ts';
import { checkCluster } from './cluster.ts';
import type { Handler } from './commands.ts';
import type { Context } from './context.ts';
import { firstTenant, tenantsOf } from './context.ts';
import { CliFailure } from './exit.ts';
import { explain, isDenied } from './faults.ts';
import { lookAtRedis } from './redis.ts';
import { oneLine } from './terminal.ts';

export const run: Handler = async (context) => {
  const plan = await context.plan();
  const pair = await context.pair();
  // Whoever is not let in can check nothing: said once, not by every check.
  await Promise.all([pair.source.server(), pair.target.server()]).catch((error: unknown) => {
    if (isDenied(error)) throw error;
  });
  const [found, load, cluster, redis, byKey] = await Promise.all([
    preflight(plan, { source: pair.source, target: pair.target }),
    lookAtLoad(plan, pair),
    lookAtCluster(context),
    lookAtRedis(plan, context),
    refusedTimes(pair).catch(() => []), // a source that can't be read is among the problems
  ]);
  const problems = [...found, ...load.problems, ...cluster.problems];
  const next = cluster.commands;
  if (problems.length > 0) {
    const message = `${problems.length} ${problems.length === 1 ? 'problem' : 'problems'} in the way of ${plan.name}; mend them and check again`;
    throw new CliFailure('usage', message, { problems, next });
  }
  const tenants = plan.waves.flatMap((wave) => wave.tenants);
  const warnings = [...byKey, ...load.warnings, ...cluster.warnings, ...redis];
  const executors = await lookAtExecutors(plan, pair);
  const triggerColumns = await lookAtTriggers(plan, pair);
  const capture = captureFacts(plan.capture);
  const data = {
    plan: plan.name,
    tables: plan.tables.length,
    waves: plan.waves.length,
    tenants: tenants.length,
    ...capture,
  };
  return {
    data: { ...data, problems: [], warnings, executors, triggerColumns },
    lines: [
      `${plan.name}: nothing is in the way.`,
      `  source  ${pair.source.address} ${plan.source.schema}, ${await product(pair.source)}`,
      `  target  ${pair.target.address} ${plan.target.schema}, ${await product(pair.target)}`,
      `  moves   ${data.tables} tables, ${data.tenants} tenants in ${data.waves} waves`,
      ...digestLines(executors),
      ...triggerLines(triggerColumns),
      ...warnings.map((warning) => `  note    ${warning}`),
      ...captureLines(capture),
    ],
    next: [...next, ...(await goesOn(context, plan, pair))],
  };
};

async function product(db: Database): Promise<string> {
  const { flavour, version } = await db.server();
  return `${flavour === 'mariadb' ? 'MariaDB' : 'MySQL'} ${version}`;
}

/** What a plan that nothing is in the way of lacks next. */
async function goesOn(context: Context, plan: Plan, pair: Pair): Promise<string[]> {
  if (!(await isInstalled(pair, plan))) return [context.change('install')];
  const migrations = await readMigrations(pair.source, pair.control);
  const stopped = migrations.find(({ mode }) => mode === 'stopped');
  if (stopped !== undefined) return [context.change('retry', stopped.tenant)];
  return migrations.length === 0 ? [context.change('start', firstTenant(plan))] : [context.line('status')];
}

/** Signals that can't be read would hold the copy for ever; those that a server does not have are said. */
async function lookAtLoad(plan: Plan, pair: Pair): Promise<Pick<Cluster, 'problems' | 'warnings'>> {
  const { throttle, close } = openThrottle(plan, pair);
  try {
    const { problems, absent } = await throttle.check(plan.limits);
    const says = `not watched, since the server has none of it: ${absent.join(', ')}`;
    return { problems, warnings: absent.length === 0 ? [] : [says] };
  } finally {
    await close();
  }
}

/** How reconcile will digest each table. */
async function lookAtExecutors(all: Plan, pair: Pair): Promise<Choice[]> {
  // Schemas of tenants are alike, or preflight says so: the first speaks for all.
  const plan = planOf(all, tenantsOf(all)[0] ?? '');
  const names = plan.tables.map(({ name }) => name);
  const [source, target] = await Promise.all([
    readTables(pair.source, plan.source.schema, names),
    readTables(pair.target, plan.target.schema, names),
  ]);
  return chooseExecutors(pair, source, target);
}

function digestLines(executors: readonly Choice[]): string[] {
  const streamed = executors.filter(({ executor }) => executor === 'stream');
  const inSql = executors.length - streamed.length;
  return [
    `  digest  in SQL for ${inSql} of ${executors.length} tables${streamed.length === 0 ? '' : '; rows are streamed and hashed by the worker for'}`,
    ...streamed.map(({ table, why }) => `          ${table} (${why})`),
  ];
}

/** What the server lets anybody rename, and what then fails is every write of the application. */
async function lookAtTriggers(all: Plan, pair: Pair): Promise<ColumnsRead[]> {
  if (all.capture !== 'triggers') return [];
  const tenant = tenantsOf(all)[0] ?? '';
  return columnsRead(await plannedTriggers(planOf(all, tenant), homeOf(pair, tenant), () => 0));
}

const triggerLines = (read: readonly ColumnsRead[]): string[] =>
  read.length === 0
    ? []
    : [
        '  capture by triggers, which read the columns below: rename or drop none of them while the triggers stand, or writes',
        '          fail (error 1054) until install is run again',
        ...read.map(
          ({ table, columns }) => `          ${oneLine(table)} (${columns.map(oneLine).join(', ')})`,
        ),
      ];

interface Cluster {
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
  readonly commands: readonly string[];
}

/** A cluster that is not up yet is no problem of the plan; `start` asks again. */
async function lookAtCluster(context: Context): Promise<Cluster> {
  try {
    const plan = await context.plan();
    const { missing, names, retention } = await checkCluster(await context.temporal(), plan);
    const field = 'temporal.namespace';
    const problem = 'are not search attributes of the namespace yet';
    const remedy = 'create them with the commands below';
    return {
      problems: [
        ...(missing.length === 0 ? [] : [{ field, value: names.join(', '), problem, remedy }]),
        ...(retention === null
          ? []
          : [{ field, value: plan.temporal.namespace, problem: retention.says, remedy: retention.remedy }]),
      ],
      warnings: [],
      commands: [...missing, ...(retention === null ? [] : [retention.command])],
    };
  } catch (error) {
    const { kind, message, next } = explain(error, context);
    if (kind !== 'not-found')
      return { problems: [], warnings: [`the cluster was not checked: ${message}`], commands: [] };
    const { namespace } = (await context.plan()).temporal;
    const problem = {
      field: 'temporal.namespace',
      value: namespace,
      problem: 'does not exist',
      remedy: 'create it with the command below',
    };
    return { problems: [problem], warnings: [], commands: next };
  }
}
