/** What blocks a tenant, since when, and what to type: read live, without Temporal. */
import { forShared, tenantPlan } from '../domain/plan.ts';
import { judgeGates, type GateVerdict } from '../domain/gate.ts';
import type { ShadowRead } from '../domain/shadow.ts';
import { readEvidence } from '../db/evidence.ts';
import { readGates, type GateRow } from '../db/gate-record.ts';
import { readDrift, type DriftRow } from '../db/ledger.ts';
import { readMigration } from '../db/migrations.ts';
import { silentFor } from '../db/presence.ts';
import { readShadowReads } from '../db/shadow-evidence.ts';
import { qualified, tenantLiteral } from '../db/sql.ts';
import { alteredTables } from '../db/shapes.ts';
import { readStage } from '../db/stages.ts';
import { loadTracked, type Pair, type Tracked } from '../db/tracked.ts';
import { readWaivers } from '../db/waivers.ts';
import { captureFacts } from './capture-text.ts';
import type { Handler } from './commands.ts';
import type { Context } from './context.ts';
import { CliFailure } from './exit.ts';
import { iso } from './fleet.ts';
import { waiverLine } from './waivers-text.ts';
import { keyText } from './keys-text.ts';
import { oneLine } from './terminal.ts';
import { nextCommands } from './why-next.ts';
import { whyLines, type AuditLine, type DriftLine, type GateLine, type Why } from './why-text.ts';

const AUDIT_SHOWN = 8;
const DRIFT_SHOWN = 20;
const SHADOW_SHOWN = 20;
/** A few slow answers are anybody's. */
const SLOW_SHARE = 0.05;

export const run: Handler = async (context, input) => {
  const { tenant } = input;
  const plan = await context.plan();
  const pair = await context.pair();
  const record = await readMigration(pair.source, pair.control, tenant);
  if (record === null) {
    await context.tenant(tenant);
    throw new CliFailure('not-found', `${oneLine(tenant)} was not started yet`, {
      next: [context.change('start', tenant)],
    });
  }
  const tracked = await loadTracked(pair);
  const { phase, mode, reason, since, round, approved, waivers } = record;
  const { measureReplicas } = await import('../connect.ts');
  const replicas = await measureReplicas(plan, pair, context.env);
  const [evidence, stage, drift, shadowReads, audit, altered, noWorkerForMs, recorded, given] =
    await Promise.all([
      readEvidence(pair, tracked, { tenant, since, round, replicas }),
      readStage(pair.source, pair.control, tenant),
      readDrift(pair, tenant, true),
      readShadowReads(pair.source, pair.control, tenant),
      readAudit(pair, tenant),
      alteredTables(pair, tenant),
      silentFor(pair.source, pair.control),
      readGates(pair.source, pair.control, tenant),
      readWaivers(pair, tenant),
    ]);
  const gatePlan = forShared(tenant, tenantPlan(plan, tenant));
  const verdicts = judgeGates(phase, { tenant, evidence, plan: gatePlan, since, approved }, waivers);
  const why: Why = {
    ...captureFacts(plan.capture),
    tenant,
    at: iso(evidence.at),
    phase,
    mode,
    reason,
    since: iso(since),
    stage: stage?.stage ?? 'source-only',
    epoch: stage?.epoch ?? 0,
    dirty: stage?.dirty ?? false,
    gates: verdicts.map((verdict) => gateLine(context, tenant, verdict, recorded)),
    waivers: given.map(waiverLine),
    openDrift: evidence.openDrift ?? drift.length,
    drift: drift.slice(0, DRIFT_SHOWN).map((row) => driftLine(tracked, row)),
    altered,
    noWorkerForMs,
    shadowReads: shadowReads.filter(isWorthShowing).slice(0, SHADOW_SHOWN),
    audit,
    evidence,
  };
  const next = nextCommands(why, context);
  return {
    data: { ...why },
    lines: whyLines(context.terminal, why, next),
    next: context.terminal.json ? next : [],
  };
};

function gateLine(
  context: Context,
  tenant: string,
  verdict: GateVerdict,
  recorded: readonly GateRow[],
): GateLine {
  const { next, who = '', ...seen } = verdict;
  const row = recorded.find(({ gate }) => gate === seen.gate);
  const words = next?.words.map((word) => (word === 'TENANT' ? tenant : word)) ?? [];
  const command = next?.changes === true ? context.change(...words) : context.line(...words);
  const time = (at: number | null | undefined): string | null => (at == null ? null : iso(at));
  return {
    ...seen,
    who,
    // Of a gate that a worker has not found closed yet nobody knows since when it is.
    closedSince: seen.open ? null : time(row?.closedAt),
    firstClosedAt: time(row?.firstClosedAt),
    next: seen.open || next == null ? null : command,
  };
}

function driftLine(tracked: Tracked, row: DriftRow): DriftLine {
  const { table } = tracked.source(row.tableId);
  const columns = row.columns === '' ? [] : row.columns.split(', ');
  const { id, class: kind, sourceHash, targetHash, recurred } = row;
  return {
    id,
    table: table.name,
    key: keyText(table, row.key),
    class: kind,
    columns,
    sourceHash,
    targetHash,
    foundAt: isoOfText(row.foundAt),
    recurred,
  };
}

/** Sessions are in UTC. */
const isoOfText = (text: string): string => iso(Date.parse(`${text.replace(' ', 'T')}Z`));

const isWorthShowing = ({ samples, differing, classes: { slower = 0 } }: ShadowRead): boolean =>
  differing > 0 || slower > samples * SLOW_SHARE;

async function readAudit(pair: Pair, tenant: string): Promise<AuditLine[]> {
  const rows = await pair.source.rows(
    `SELECT at, event, before_value, after_value, epoch, actor, reason FROM ${qualified(pair.control, 'audit')}
     WHERE tenant = ${tenantLiteral(tenant)} ORDER BY id DESC LIMIT ${AUDIT_SHOWN}`,
  );
  return rows.map((row) => ({
    at: isoOfText(row['at']!),
    event: row['event']!,
    before: row['before_value'] ?? null,
    after: row['after_value'] ?? null,
    actor: row['actor']!,
    reason: row['reason']!,
  }));
}
