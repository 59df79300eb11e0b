/**
 * Installs the control schemas, the target's missing tables and, in that mode, the capture triggers. Looks before it
 * touches: with a problem in the way nothing is changed. Safe to repeat.
 */
import type { Capture } from '../domain/capture.ts';
import { formatProblem, type Problem } from '../domain/errors.ts';
import type { Plan } from '../domain/plan.ts';
import { registerTables } from '../db/capture.ts';
import { installMode } from '../db/capture-install.ts';
import { tenantsWithSchemas } from '../domain/tenant-schema.ts';
import { installControl } from '../db/control.ts';
import { preflight } from '../db/preflight.ts';
import { inEachSchema, plansBySchema } from '../db/preflight/each-schema.ts';
import { appendAudit } from '../db/stages.ts';
import { createTargetSchema, planTargetSchema } from '../db/target-schema.ts';
import type { Pair } from '../db/tracked.ts';
import type { Handler } from './commands.ts';
import { firstTenant, some, type Context } from './context.ts';
import { dryRunOf } from './dry-run.ts';
import { CliFailure } from './exit.ts';
import { installSql } from './install-sql.ts';

export const run: Handler = async (context, input) => {
  const plan = await context.plan();
  const pair = await context.pair();
  const withTarget = input.has('targetSchema');
  const who = await context.who();
  const problems = await obstacles(plan, pair, withTarget);
  if (problems.length > 0) throw inTheWay(context, plan, problems);
  const report = (line: string): void => context.terminal.note(line);
  const created = withTarget ? await createTargets(plan, pair) : [];
  await installControl(pair.source, pair.target, pair.control);
  await registerTables(pair, plan.tables, tenantsWithSchemas(plan));
  await installMode(pair, plan.capture, report);
  // An entry without a tenant: it concerns them all.
  await appendAudit(pair.source, pair.control, {
    tenant: '',
    event: 'install',
    before: null,
    after: null,
    epoch: null,
    requestId: null,
    ...who,
  });
  return {
    data: {
      plan: plan.name,
      control: pair.control,
      capture: plan.capture,
      tables: plan.tables.map(({ name }) => name),
      created,
    },
    lines: [
      ...(withTarget
        ? [created.length === 0 ? 'Target: every table stands already.' : `Target: created ${some(created)}.`]
        : []),
      `Control schema ${pair.control} stands on both sides.`,
      STANDS[plan.capture](plan),
    ],
    next: [context.line('worker'), context.change('start', firstTenant(plan))],
  };
};

const STANDS: Readonly<Record<Capture, (plan: Plan) => string>> = {
  triggers: (plan) =>
    `Capture stands on ${plan.tables.length} tables of ${schemasOf(plan)}: every write is journaled in its own transaction.`,
  application: (plan) =>
    `${plan.tables.length} tables of ${schemasOf(plan)} are tracked, without a trigger: the application writes both sides itself.`,
};

const schemasOf = (plan: Plan): string => {
  const tenants = tenantsWithSchemas(plan);
  return tenants.length === 0
    ? plan.source.schema
    : `each of ${tenants.length} schemas ${plan.source.schema}`;
};

/** @returns tables that were created; with their schema where each tenant has its own */
async function createTargets(plan: Plan, pair: Pair): Promise<string[]> {
  const created: string[] = [];
  for (const one of plansBySchema(plan)) {
    const { create } = await createTargetSchema(one, pair);
    created.push(...create.map(({ table }) => (one === plan ? table : `${one.target.schema}.${table}`)));
  }
  return created;
}

const inTheWay = (context: Context, plan: Plan, problems: readonly Problem[]): CliFailure => {
  const message = `nothing was installed: ${problems.length} ${problems.length === 1 ? 'problem is' : 'problems are'} in the way of ${plan.name}`;
  return new CliFailure('usage', message, { problems, next: mendedBy(context, problems) });
};

/** Tables that the target lacks are what a first install most often meets. */
const mendedBy = (context: Context, problems: readonly Problem[]): string[] =>
  problems.some(({ remedy }) => remedy.includes('install --target-schema'))
    ? [context.change('install', '--target-schema')]
    : [];

/** What preflight says, without what this very installation mends. */
const obstacles = (plan: Plan, pair: Pair, withTarget: boolean): Promise<Problem[]> =>
  inEachSchema(plan, pair, (one) => obstaclesOf(one, pair, withTarget));

async function obstaclesOf(plan: Plan, pair: Pair, withTarget: boolean): Promise<Problem[]> {
  const found = await preflight(plan, pair);
  if (!withTarget) return found;
  const { schema, create, differences } = await planTargetSchema(plan, pair);
  const mended = new Set(create.map(({ table }) => table));
  const ours = ({ field, value, remedy }: Problem): boolean => {
    if (remedy.includes('install --target-schema')) return schema !== null || mended.has(value);
    return schema !== null && field === 'target.schema';
  };
  const others = found.filter((problem) => !ours(problem));
  const known = new Set(others.map((problem) => JSON.stringify(problem)));
  return [...others, ...differences.filter((problem) => !known.has(JSON.stringify(problem)))];
}

export const dryRun = dryRunOf(async (context, input) => {
  const [plan, pair] = await Promise.all([context.plan(), context.pair()]);
  const withTarget = input.has('targetSchema');
  const problems = await obstacles(plan, pair, withTarget);
  return {
    changes: [],
    sql: await installSql(plan, pair, withTarget),
    blocks: problems.map(formatProblem),
    kind: 'usage',
    ...(problems.length === 0 ? {} : { next: mendedBy(context, problems) }),
  };
});
