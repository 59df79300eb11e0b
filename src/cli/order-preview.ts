/** What an order to a tenant would do: judged by the same rules as its workflow does, over the record that stands. */
import { readEvidence } from '../db/evidence.ts';
import { readMigration } from '../db/migrations.ts';
import { silentFor } from '../db/presence.ts';
import { readStage } from '../db/stages.ts';
import { loadTracked, type Pair } from '../db/tracked.ts';
import { judge, type Command, type CommandName, type View } from '../domain/command.ts';
import { formatDuration } from '../domain/duration.ts';
import { judgeGates, waivableGates, type GateVerdict, type Waiver } from '../domain/gate.ts';
import { move, PHASES, type Phase } from '../domain/phase.ts';
import { forShared, tenantPlan } from '../domain/plan.ts';
import type { Stage } from '../domain/stage.ts';
import type { Change, Preview } from './dry-run.ts';
import type { Context } from './context.ts';
import { commandOf, inFlags, noRun, type Order } from './order.ts';
import { openRun } from './start.ts';

/** Where a tenant stands, as far as an order needs it. */
interface Standing extends View {
  readonly stage: Stage;
  readonly pace: Readonly<Record<'backfill' | 'reconcile', number>>;
  readonly verdicts: (approved: boolean, waivers: readonly Waiver[]) => readonly GateVerdict[];
}

export async function previewOrder(context: Context, order: Order): Promise<Preview> {
  const { tenant, name, payload } = order;
  const command = commandOf(order);
  const [pair, { client }, workflowId] = await Promise.all([
    context.pair(),
    context.temporal(),
    context.workflowId(tenant),
  ]);
  if ((await openRun(client, workflowId)) === null) throw await noRun(context, tenant);
  const standing = await look(context, pair, tenant);
  const refused = judge(command, standing);
  if (refused !== null)
    return { changes: [], blocks: [inFlags(refused)], next: [context.line('why', tenant)] };
  const { changes, waits } = EFFECTS[name](command, standing);
  return {
    changes: changes.filter(({ from, to }) => from !== to).map((change) => ({ tenant, ...change })),
    sends: [{ to: workflowId, as: 'update', name, payload }],
    waits: [...(await withoutWorker(pair)), ...(waits ?? [])],
  };
}

/** A run that no worker took up yet has no record: it would begin with preflight. */
async function look(context: Context, pair: Pair, tenant: string): Promise<Standing> {
  const all = await context.plan();
  const plan = forShared(tenant, tenantPlan(all, tenant));
  const { measureReplicas } = await import('../connect.ts');
  const [record, stage, replicas] = await Promise.all([
    readMigration(pair.source, pair.control, tenant),
    readStage(pair.source, pair.control, tenant),
    measureReplicas(all, pair, context.env),
  ]);
  const isNew = record === null || record.phase === 'aborted';
  const phase = isNew ? 'preflight' : record.phase;
  const since = record?.since ?? 0;
  const evidence = await readEvidence(pair, await loadTracked(pair), {
    tenant,
    since,
    round: record?.round ?? 0,
    replicas,
  });
  const waivedBy = (record?.waivers ?? [])
    .filter(({ until }) => until > evidence.at)
    .map(({ actor }) => actor);
  return {
    tenant,
    phase,
    mode: isNew ? 'running' : record.mode,
    reason: isNew ? null : record.reason,
    approval: plan.approval,
    approved: !isNew && record.approved,
    approvers: evidence.approvers,
    approvals: plan.approvals ?? 1,
    waivedBy,
    gates: waivableGates(phase, plan),
    stage: stage?.stage ?? 'source-only',
    pace: {
      backfill: record?.rowsPerSecond ?? 0,
      reconcile: record?.reconcileRowsPerSecond ?? 0,
    },
    verdicts: (approved, waivers) =>
      judgeGates(phase, { tenant, evidence, plan, since, approved }, [
        ...(record?.waivers ?? []),
        ...waivers,
      ]),
  };
}

async function withoutWorker(pair: Pair): Promise<string[]> {
  const silent = await silentFor(pair.source, pair.control);
  if (silent === null) return [];
  return [`a worker: none was heard of for ${formatDuration(silent)}, so it is left as a signal`];
}

interface Effect {
  readonly changes: readonly Omit<Change, 'tenant'>[];
  readonly waits?: readonly string[];
}

const change = (what: string, from: string, to: string): Omit<Change, 'tenant'> => ({ what, from, to });

const enter = ({ phase, stage }: Standing, to: Phase): Omit<Change, 'tenant'>[] => [
  change('phase', phase, to),
  change('stage', stage, PHASES[to].stage),
];

/** The next phase where nothing holds it; else what does. */
function goesOn(standing: Standing, approved: boolean, waivers: readonly Waiver[] = []): Effect {
  const to = move(standing.phase, 'advance');
  const closed = standing.verdicts(approved, waivers).filter(({ open, waived }) => !open && !waived);
  if (closed.length === 0) return { changes: to !== 'ramp' ? [] : enter(standing, to) };
  return { changes: [], waits: closed.map(({ gate, saw, needs }) => `gate ${gate}: ${saw}; needs ${needs}`) };
}

const unlimited = (rows: number): string => (rows === 0 ? 'no limit' : `${rows} rows/s`);

const EFFECTS: Readonly<Record<CommandName, (command: Command, standing: Standing) => Effect>> = {
  pause: (_, { mode }) => ({ changes: [change('mode', mode, 'paused')] }),
  resume: (_, standing) => again(standing),
  retry: (_, standing) => again(standing),
  advance: ({ actor }, standing) => {
    const { approvers, approvals } = standing;
    const given = new Set([...approvers, actor]).size;
    const then = goesOn(standing, given >= approvals);
    const approval = change('approvals', `${approvers.length} of ${approvals}`, `${given} of ${approvals}`);
    return { ...then, changes: [approval, ...then.changes] };
  },
  drill: (_, standing) => ({ changes: enter(standing, 'drill') }),
  rollback: (_, standing) => ({
    // It ends in shadow, held, once the last node has followed.
    changes: [...enter(standing, 'shadow'), change('mode', standing.mode, 'paused')],
  }),
  waive: ({ gate, until, actor, reason }, standing) => {
    const waiver = { gate: gate!, until: until!, actor, reason };
    const then = goesOn(standing, standing.approved, [waiver]);
    const waived = change(`gate ${gate!}`, 'not waived', `waived until ${new Date(until!).toISOString()}`);
    return { ...then, changes: [waived, ...then.changes] };
  },
  setPace: ({ rowsPerSecond, paceOf = 'backfill' }, { pace }) => ({
    changes: [change(`pace of ${paceOf}`, unlimited(pace[paceOf]), unlimited(rowsPerSecond!))],
  }),
  abort: (_, standing) => ({ changes: enter(standing, 'aborted') }),
};

function again(standing: Standing): Effect {
  const then = goesOn(standing, standing.approved);
  return { ...then, changes: [change('mode', standing.mode, 'running'), ...then.changes] };
}
