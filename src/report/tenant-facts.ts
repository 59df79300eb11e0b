/** Everything that a report says of one tenant, from the control schemas. */
import {
  readAuditLog,
  readCertificates,
  readDriftMoments,
  readDriftSums,
  readMoves,
  readPassSum,
  readShadowSums,
} from '../db/chronicle.ts';
import { readProgress } from '../db/copy-cursor.ts';
import { readEvidence } from '../db/evidence.ts';
import type { Migration } from '../db/migrations.ts';
import { readReadSums, type ReadSum } from '../db/read-load.ts';
import { readShadowReads } from '../db/shadow-evidence.ts';
import type { Pair, Tracked } from '../db/tracked.ts';
import { readWaivers, type WaiverRow } from '../db/waivers.ts';
import { SECOND } from '../domain/duration.ts';
import { judgeGates } from '../domain/gate.ts';
import { forShared, tenantPlan } from '../domain/plan.ts';
import { quantile } from '../domain/read-load.ts';
import type { CopiedTable, ReadRate, ShadowFacts, Standing, TenantFacts, WaiverFacts } from './facts.ts';
import type { Query } from './read-facts.ts';
import { flipsOf, spansOf, within, type Span } from './timeline.ts';

const AUDIT_TOLD = 200;
const MOMENTS_TOLD = 500;

interface Asked extends Query {
  readonly migration: Migration;
  readonly stands: Standing;
  readonly at: string;
}

export async function readTenant(pair: Pair, tracked: Tracked, asked: Asked): Promise<TenantFacts> {
  const { migration, stands, at, plan, workflow } = asked;
  const { tenant, phase, since, round, approved, waivers } = migration;
  const [
    evidence,
    moves,
    copied,
    passes,
    drift,
    driftMoments,
    shadow,
    reads,
    waived,
    certificates,
    audit,
    run,
  ] = await Promise.all([
    readEvidence(pair, tracked, { tenant, since, round, replicas: asked.replicas }),
    readMoves(pair, tenant),
    readCopied(pair, tracked, tenant, round),
    readPassSum(pair, tenant),
    readDriftSums(pair, tenant),
    readDriftMoments(pair, tenant, MOMENTS_TOLD),
    readShadow(pair, tenant),
    readReadSums(pair, tenant),
    readWaivers(pair, tenant),
    readCertificates(pair, tenant),
    readAuditLog(pair, tenant, AUDIT_TOLD),
    workflow?.(tenant) ?? null,
  ]);
  const phases = spansOf(
    moves.filter(({ event }) => event === 'phase'),
    phase,
    stands.startedAt,
    at,
  );
  const gatePlan = forShared(tenant, tenantPlan(plan, tenant));
  return {
    ...stands,
    phases,
    flips: flipsOf(moves, phases),
    copied,
    passes,
    drift,
    driftMoments,
    shadow,
    reads: reads.map((sum) => rateOf(sum, reads, stands)),
    gates: judgeGates(phase, { tenant, evidence, plan: gatePlan, since, approved }, waivers),
    evidence,
    waivers: waived.toReversed().map(waiverOf),
    certificates,
    audit: audit.entries,
    auditTotal: audit.total,
    workflow: run,
  };
}

async function readShadow(pair: Pair, tenant: string): Promise<ShadowFacts[]> {
  const [sums, reads] = await Promise.all([
    readShadowSums(pair, tenant),
    readShadowReads(pair.source, pair.control, tenant),
  ]);
  return sums.map((sum) => {
    const found = reads.find(({ read }) => read === sum.read);
    return { ...sum, classes: found?.classes ?? {}, slowerByMs: found?.slowerByMs ?? null };
  });
}

async function readCopied(
  pair: Pair,
  tracked: Tracked,
  tenant: string,
  round: number,
): Promise<CopiedTable[] | null> {
  try {
    const progress = await readProgress(pair, tenant, round);
    return progress.map(({ tableId, copiedRows, estimatedRows, finished }) => ({
      table: tracked.source(tableId).table.name,
      copied: copiedRows,
      estimated: Math.max(estimatedRows, copiedRows),
      finished,
    }));
  } catch {
    return null; // the report says that it is missing
  }
}

/** Before the first change of stage there was only `source-only`, from whenever reads were counted. */
function rateOf(sum: ReadSum, all: readonly ReadSum[], { stages }: Standing): ReadRate {
  const first = all.map(({ firstAt }) => firstAt).toSorted()[0]!;
  const last = all
    .map(({ lastAt }) => lastAt)
    .toSorted()
    .at(-1)!;
  const began = stages[0]?.from ?? last;
  const before: Span[] = first < began ? [{ what: 'source-only', from: first, to: began }] : [];
  const spans = [...before, ...stages].filter(({ what }) => what === sum.stage);
  const seconds = within(spans, first, last) / SECOND;
  return {
    ...sum,
    perSecond: seconds < 1 ? null : Math.round((sum.reads / seconds) * 10) / 10,
    p50: quantile(sum.buckets, 0.5),
    p95: quantile(sum.buckets, 0.95),
    p99: quantile(sum.buckets, 0.99),
  };
}

/** It ended earlier where its migration was given up. */
const waiverOf = ({ gate, phase, at, actor, reason, until, endedAt }: WaiverRow): WaiverFacts => ({
  gate,
  phase,
  at: new Date(at).toISOString(),
  actor,
  reason,
  until: new Date(Math.min(endedAt ?? until, LATEST)).toISOString(),
});

/** JavaScript's last day. */
const LATEST = 8.64e15;
