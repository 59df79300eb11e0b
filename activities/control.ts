/** Flips, rollbacks and gates: short, never behind copying. Every one may be repeated. */
import { activityInfo, heartbeat } from '@temporalio/activity';

import type { Milliseconds } from '../src/domain/duration.ts';
import type { Evidence, GateVerdict, Waiver } from '../src/domain/gate.ts';
import { allOpen, judgeGates } from '../src/domain/gate.ts';
import type { Mode, Phase } from '../src/domain/phase.ts';
import { PHASES } from '../src/domain/phase.ts';
import { forShared, type TenantPlan } from '../src/domain/plan.ts';
import { UNRESOLVED, type Stage } from '../src/domain/stage.ts';
import { acceptShapes } from '../src/db/accept-shapes.ts';
import { admitTenants } from '../src/db/control.ts';
import { captureLost, readEvidence } from '../src/db/evidence.ts';
import { recordGates } from '../src/db/gate-record.ts';
import {
  claimTenant,
  enterPhase,
  flipInDrill,
  saveMode,
  saveWaiting,
  type Migration,
  type ModeChange,
  type PhaseChange,
} from '../src/db/migrations.ts';
import { assertNotAltered } from '../src/db/shapes.ts';
import { qualified, tenantLiteral } from '../src/db/sql.ts';
import { admitStage, markDirty, readNodes, readStage } from '../src/db/stages.ts';
import type { Deps } from './deps.ts';
import { guarded } from './failures.ts';
import { pause } from './pause.ts';

export interface Entered {
  readonly phase: Phase;
  readonly mode: Mode;
  readonly reason: string | null;
  readonly since: number;
  readonly round: number;
  readonly approved: boolean;
  readonly waivers: readonly Waiver[];
  readonly stage: Stage;
  /** The fleet's change version that nodes acknowledge. */
  readonly version: number;
}

export interface GateQuestion {
  readonly tenant: string;
  readonly runId: string;
  readonly phase: Phase;
  readonly since: number;
  readonly round: number;
  readonly approved: boolean;
  readonly waivers: readonly Waiver[];
  readonly plan: TenantPlan;
}

export interface GateAnswer {
  readonly open: boolean;
  readonly verdicts: readonly GateVerdict[];
  readonly evidence: Evidence;
  /** What the stage row says; another stage than the phase's was set by somebody else. */
  readonly stage: Stage;
  readonly stageBy: string;
}

export interface NodesAnswer {
  readonly live: number;
  readonly following: number;
  readonly ms: Milliseconds;
}

type Omitted<T> = Omit<T, 'runId'>;

export interface ControlActivities {
  readonly claim: (input: { tenant: string; wave: string; adopt: boolean }) => Promise<Entered>;
  readonly enterPhase: (input: Omitted<PhaseChange>) => Promise<Entered>;
  /** @returns why capture does not hold, or null: a retry then has to copy everything again */
  readonly saveMode: (input: Omitted<ModeChange>) => Promise<{ captureLost: string | null }>;
  /** One stage change inside a phase: the drill's flips. */
  readonly flip: (input: {
    tenant: string;
    from: Stage;
    to: Stage;
    reason: string;
  }) => Promise<{ version: number }>;
  /** Waits until every live node acknowledged; never fails, since correctness does not wait for a node. */
  readonly awaitNodes: (input: { version: number; timeout: Milliseconds }) => Promise<NodesAnswer>;
  readonly judge: (input: Omitted<GateQuestion>) => Promise<GateAnswer>;
  readonly certify: (input: { tenant: string; content: Record<string, string | number> }) => Promise<void>;
}

const runId = (): string => activityInfo().workflowExecution?.runId ?? '';

export function controlActivities(deps: Deps): ControlActivities {
  const { pair, publish } = deps;
  return guarded<ControlActivities>({
    async claim(input) {
      await admitStage(pair.source, pair.control, input.tenant);
      const migration = await claimTenant(pair, { ...input, runId: runId() });
      return entered(deps, migration);
    },
    async enterPhase(input) {
      if (PHASES[input.to].stage !== 'source-only')
        await admitTenants(pair.target, pair.control, [input.tenant, UNRESOLVED]);
      const { migration, stage } = await enterPhase(pair, { ...input, runId: runId() });
      await publish(stage);
      if (input.to === 'dual-write') {
        await markDirty(pair.source, pair.control, [input.tenant], false, {
          actor: input.actor,
          reason: 'capture stands; backfill follows',
        });
      }
      return entered(deps, migration);
    },
    async saveMode(input) {
      if (input.event === 'retry') await acceptShapes(pair);
      await saveMode(pair, { ...input, runId: runId() });
      return { captureLost: await captureLost(pair.source, pair.control, input.tenant) };
    },
    async flip({ tenant, from, to, reason }) {
      const row = await flipInDrill(pair, { tenant, runId: runId(), from, to, reason });
      await publish(row);
      return { version: row.version };
    },
    async awaitNodes({ version, timeout }) {
      const started = Date.now();
      for (;;) {
        const nodes = (await readNodes(pair.source, pair.control)).filter((node) => node.live);
        const following = nodes.filter((node) => node.version >= version).length;
        const ms = Date.now() - started;
        if (following === nodes.length || ms > timeout) return { live: nodes.length, following, ms };
        heartbeat();
        await pause(20);
      }
    },
    async judge(input) {
      const question = { ...input, runId: runId() };
      const answer = await judgeNow(deps, question);
      await noteWaiting(deps, question, answer);
      return answer;
    },
    async certify({ tenant, content }) {
      await pair.source.run(
        `INSERT INTO ${qualified(pair.control, 'certificate')} (tenant, content) VALUES (${tenantLiteral(tenant)}, ?)`,
        [JSON.stringify(content)],
      );
    },
  });
}

async function entered({ pair }: Deps, migration: Migration): Promise<Entered> {
  const stage = await readStage(pair.source, pair.control, migration.tenant);
  const { phase, mode, reason, since, round, approved, waivers } = migration;
  return {
    phase,
    mode,
    reason,
    since,
    round,
    approved,
    waivers,
    stage: stage?.stage ?? 'source-only',
    version: stage?.version ?? 0,
  };
}

/** Evidence and verdict of one moment. @throws SchemaMismatchError while a table of the tenant is altered on one side */
export async function judgeNow(
  { pair, tracked, throttle }: Deps,
  question: GateQuestion,
): Promise<GateAnswer> {
  const { tenant, phase, since, round, approved, plan, waivers } = question;
  await assertNotAltered(pair, tenant);
  const replicas = await throttle.replicas();
  const evidence = await readEvidence(pair, await tracked(), { tenant, since, round, replicas });
  const verdicts = judgeGates(
    phase,
    { tenant, evidence, plan: forShared(tenant, plan), since, approved },
    waivers,
  );
  const stage = await readStage(pair.source, pair.control, tenant);
  const [by] = await pair.source.rows(
    `SELECT CONCAT(actor, ': ', reason) AS who FROM ${qualified(pair.control, 'audit')} WHERE tenant = ${tenantLiteral(tenant)} AND event = 'stage' ORDER BY id DESC LIMIT 1`,
  );
  return {
    open: allOpen(verdicts),
    verdicts,
    evidence,
    stage: stage?.stage ?? 'source-only',
    stageBy: by?.['who'] ?? '',
  };
}

/** The first gate that is closed, as the reason of a wait. */
export const closedGate = (verdicts: readonly GateVerdict[]): string | null => {
  const closed = verdicts.find((verdict) => !verdict.open && !verdict.waived);
  return closed === undefined ? null : `${closed.gate}: ${closed.saw}; needs ${closed.needs}`;
};

export async function noteWaiting({ pair }: Deps, question: GateQuestion, answer: GateAnswer): Promise<void> {
  await recordGates(pair, question, answer.verdicts);
  const reason = closedGate(answer.verdicts);
  await saveWaiting(pair, question.tenant, question, reason === null ? 'running' : 'waiting', reason);
}
