/** What blocks a tenant, since when, and what to type: read live, without Temporal. */
import { forShared, tenantPlan } from '../domain/plan.ts';
import { judgeGates } from '../domain/gate.ts';
import { readEvidence } from '../db/evidence.ts';
import { readDrift, type DriftRow } from '../db/ledger.ts';
import { readMigration } from '../db/migrations.ts';
import { silentFor } from '../db/presence.ts';
import { qualified, tenantLiteral } from '../db/sql.ts';
import { alteredTables } from '../db/shapes.ts';
import { readStage } from '../db/stages.ts';
import { loadTracked, type Pair, type Tracked } from '../db/tracked.ts';
import { captureFacts } from './capture-text.ts';
import type { Handler } from './commands.ts';
import { CliFailure } from './exit.ts';
import { iso } from './fleet.ts';
import { keyText } from './keys-text.ts';
import { oneLine } from './terminal.ts';
import { nextCommands } from './why-next.ts';
import { whyLines, type AuditLine, type DriftLine, type ShadowLine, type Why } from './why-text.ts';

const AUDIT_SHOWN = 8;
const DRIFT_SHOWN = 20;

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
  const [evidence, stage, drift, shadowReads, audit, altered, noWorkerForMs] = await Promise.all([
    readEvidence(pair, tracked, { tenant, since, round }),
    readStage(pair.source, pair.control, tenant),
    readDrift(pair, tenant, true),
    readShadow(pair, tenant),
    readAudit(pair, tenant),
    alteredTables(pair, tenant),
    silentFor(pair.source, pair.control),
  ]);
  const gatePlan = forShared(tenant, tenantPlan(plan, tenant));
  const gates = judgeGates(phase, { tenant, evidence, plan: gatePlan, since, approved }, waivers);
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
    gates,
    waivers: waivers.map((waiver) => ({ ...waiver, until: iso(waiver.until) })),
    openDrift: evidence.openDrift ?? drift.length,
    drift: drift.slice(0, DRIFT_SHOWN).map((row) => driftLine(tracked, row)),
    altered,
    noWorkerForMs,
    shadowReads,
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

async function readShadow(pair: Pair, tenant: string): Promise<ShadowLine[]> {
  const rows = await pair.source.rows(
    `SELECT read_name, SUM(samples) AS samples, SUM(differing) AS differing FROM ${qualified(pair.control, 'shadow')}
     WHERE tenant = ${tenantLiteral(tenant)} GROUP BY read_name HAVING SUM(differing) > 0 ORDER BY SUM(differing) DESC LIMIT 20`,
  );
  return rows.map((row) => ({
    read: row['read_name']!,
    samples: Number(row['samples']),
    differing: Number(row['differing']),
  }));
}

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
