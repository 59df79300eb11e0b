/** Every gate, met and not met, and with its evidence missing or stale, which keeps it closed. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

import { DAY, HOUR, MINUTE } from '../../src/domain/duration.ts';
import type { Evidence } from '../../src/domain/evidence.ts';
import { GATES, judgeGates, PHASE_GATES, waivableGates, type GateName } from '../../src/domain/gate.ts';
import { WHO } from '../../src/domain/gates/gate.ts';
import type { Phase } from '../../src/domain/phase.ts';
import type { TenantPlan } from '../../src/domain/plan.ts';
import { limits } from '../support/limits.ts';

const AT = Date.UTC(2026, 10, 25, 12);
const SINCE = AT - 10 * DAY;

const PLAN: TenantPlan = {
  name: 'plan',
  wave: 'first',
  approval: true,
  hasShared: true,
  durations: {
    shadow: 3 * DAY,
    soak: 7 * DAY,
    reconcileEvery: 15 * MINUTE,
    reconcileRun: DAY,
    gateEvery: DAY,
    dirtyAfter: 1_000,
    mirrorBudget: 50,
    drill: 10_000,
    certificate: 14 * DAY,
    missingAgain: DAY,
    lease: 5_000,
    settle: 5_000,
  },
  limits: limits(),
  gates: {
    shadowSamples: 100,
    cleanPasses: 2,
    nodes: 2,
    mirrorErrorPercent: 1,
    replicaLag: 5_000,
    retention: 90 * DAY,
  },
};

/** Every gate is open over it, but for those that this version never opens. */
const EVIDENCE: Evidence = {
  at: AT,
  journalAge: 200,
  journalRows: 1,
  mirroredAt: AT - 1_000,
  mirror: { attempts: 1_000, failures: 10 },
  workerAt: AT - 4_000,
  tables: { all: 4, copied: 4 },
  rows: { copied: 10, estimated: 10 },
  cleanPasses: 2,
  cleanSince: SINCE,
  lastPassAt: AT - 15 * MINUTE,
  reconciledAt: AT - MINUTE,
  openDrift: 0,
  approvers: ['ann'],
  shadow: { samples: 100, differing: 0, reads: 1_000 },
  nodes: { live: 2, following: 2 },
  replicas: { named: 1, lag: 900 },
  retention: { ms: 90 * DAY, readAt: AT - 10 * MINUTE },
  certificateAt: AT - 13 * DAY,
  captureLost: null,
  capture: 'triggers',
  sharedPhase: 'shadow',
};

interface Case {
  readonly evidence?: Partial<Evidence>;
  readonly plan?: Partial<TenantPlan>;
  readonly approved?: boolean;
  readonly tenant?: string;
}

function judged(gate: GateName, { evidence, plan, approved = true, tenant = 'acme' }: Case = {}) {
  const phase = (Object.keys(PHASE_GATES) as Phase[]).find((one) => PHASE_GATES[one].includes(gate))!;
  const input = {
    tenant,
    evidence: { ...EVIDENCE, ...evidence },
    plan: { ...PLAN, ...plan },
    since: SINCE,
    approved,
  };
  return judgeGates(phase, input, []).find((verdict) => verdict.gate === gate)!;
}

const shadow = (changed: Partial<Evidence['shadow']>): Case => ({
  evidence: { shadow: { ...EVIDENCE.shadow, ...changed } },
});
const gates = (changed: Partial<TenantPlan['gates']>): Case => ({
  plan: { gates: { ...PLAN.gates, ...changed } },
});
const quiet = { samples: 7, reads: 7 };

type Row = Readonly<Record<'met' | 'notMet' | 'missingOrStale', Readonly<Record<string, Case>>>>;

// prettier-ignore
const TABLE: Readonly<Record<GateName, Row>> = {
  'journal-age': {
    met: { 'a short journal': {}, 'an empty one': { evidence: { journalAge: 0, journalRows: 0 } } },
    notMet: { 'an old row': { evidence: { journalAge: 2_001 } } },
    missingOrStale: { 'a journal that could not be read': { evidence: { journalAge: null } } },
  },
  nodes: {
    met: { 'all follow': {}, 'none is asked for': { ...gates({ nodes: 0 }), evidence: { nodes: { live: 0, following: 0 } } } },
    notMet: { 'one does not follow': { evidence: { nodes: { live: 3, following: 2 } } }, 'too few live': { evidence: { nodes: { live: 1, following: 1 } } } },
    missingOrStale: { 'every lease ran out': { evidence: { nodes: { live: 0, following: 0 } } } },
  },
  copied: {
    met: { 'all of them': {} },
    notMet: { 'one is under way': { evidence: { tables: { all: 4, copied: 3 } } } },
    missingOrStale: { 'no table is known': { evidence: { tables: { all: 0, copied: 0 } } }, 'the target is down': { evidence: { tables: { all: 4, copied: 0 } } } },
  },
  'clean-passes': {
    met: { enough: {} },
    notMet: { 'one less': { evidence: { cleanPasses: 1 } } },
    missingOrStale: { 'none since the phase was entered': { evidence: { cleanPasses: 0 } } },
  },
  'open-drift': {
    met: { none: {} },
    notMet: { one: { evidence: { openDrift: 1 } } },
    missingOrStale: { 'not read': { evidence: { openDrift: null } } },
  },
  'clean-time': {
    met: { 'clean for days': {}, 'in the middle of a long pass': { evidence: { lastPassAt: AT - 6 * HOUR, reconciledAt: AT - MINUTE } } },
    notMet: { 'clean for a day': { evidence: { cleanSince: AT - DAY } } },
    missingOrStale: { 'no clean pass': { evidence: { cleanSince: null } }, 'no pass ended': { evidence: { lastPassAt: null } }, 'reconcile stands still': { evidence: { lastPassAt: AT - 2 * HOUR, reconciledAt: AT - 2 * HOUR } } },
  },
  soak: {
    met: { 'clean for a week': {} },
    notMet: { 'clean for six days': { evidence: { cleanSince: AT - 6 * DAY } } },
    missingOrStale: { 'no clean pass': { evidence: { cleanSince: null, lastPassAt: null } }, 'reconcile stands still': { evidence: { lastPassAt: AT - DAY, reconciledAt: AT - DAY } } },
  },
  'shadow-samples': {
    met: { enough: {}, 'every read of a quiet tenant': shadow(quiet), 'counted by more nodes than asked': shadow({ samples: 8, reads: 7 }), 'none is asked for': { ...gates({ shadowSamples: 0 }), ...shadow({ samples: 0 }) } },
    notMet: { 'one less': shadow({ samples: 99 }), 'a quiet tenant with one read that was not compared': shadow({ samples: 6, reads: 7 }), 'every read, for too short a time': { ...shadow(quiet), plan: { durations: { ...PLAN.durations, shadow: 11 * DAY } } } },
    missingOrStale: { 'nobody read': shadow({ samples: 0, reads: 0 }), 'no node counts reads': shadow({ samples: 7, reads: null }) },
  },
  'shadow-equal': {
    met: { 'all equal': {}, 'no sample is asked for': { ...gates({ shadowSamples: 0 }), ...shadow({ samples: 0 }) } },
    notMet: { 'one differs': shadow({ differing: 1 }) },
    missingOrStale: { 'no sample': shadow({ samples: 0 }) },
  },
  'mirror-errors': {
    met: { 'one of a hundred': {}, 'nothing to mirror': { evidence: { mirror: { attempts: 0, failures: 0 } } }, 'not asked': { ...gates({ mirrorErrorPercent: 100 }), evidence: { mirror: { attempts: 5, failures: 5 } } } },
    notMet: { 'more than one of a hundred': { evidence: { mirror: { attempts: 1_000, failures: 11 } } } },
    missingOrStale: { 'not read': { evidence: { mirror: null } }, 'nobody counts': { evidence: { workerAt: AT - 2 * MINUTE } }, 'no worker ever': { evidence: { workerAt: null } } },
  },
  'replica-lag': {
    met: { close: {}, 'none is named': { evidence: { replicas: { named: 0, lag: null } } } },
    notMet: { 'one is behind': { evidence: { replicas: { named: 2, lag: 5_001 } } } },
    missingOrStale: { 'one could not be read': { evidence: { replicas: { named: 2, lag: null } } } },
  },
  retention: {
    met: { 'long enough': {}, 'not asked': { ...gates({ retention: 0 }), evidence: { retention: null } } },
    notMet: { 'three days': { evidence: { retention: { ms: 3 * DAY, readAt: AT } } } },
    missingOrStale: { 'never read': { evidence: { retention: null } }, 'read two hours ago': { evidence: { retention: { ms: 90 * DAY, readAt: AT - 2 * HOUR } } } },
  },
  certificate: {
    met: { young: {} },
    notMet: { 'too old': { evidence: { certificateAt: AT - 14 * DAY - 1 } } },
    missingOrStale: { none: { evidence: { certificateAt: null } } },
  },
  approval: {
    met: { approved: {}, 'by two': { plan: { approvals: 2 }, evidence: { approvers: ['ann', 'bob'] } }, 'none is asked for': { plan: { approval: false }, approved: false } },
    notMet: { 'by one of two': { plan: { approvals: 2 } } },
    missingOrStale: { 'not approved': { approved: false, evidence: { approvers: [] } }, 'in another stay in the phase': { plan: { approvals: 2 }, evidence: { approvers: [] } } },
  },
  'change-window': {
    met: { 'at any time': {}, 'within hours': { plan: { flips: { days: ['wed'], from: '09:00', to: '17:00', timeZone: 'UTC' } } } },
    notMet: { 'another day': { plan: { flips: { days: ['thu'], from: '09:00', to: '17:00', timeZone: 'UTC' } } }, frozen: { plan: { freeze: [{ from: AT, to: AT + DAY, why: 'the holidays' }] } } },
    missingOrStale: {},
  },
  capture: {
    met: { stands: {}, "the application's mode, without a worker": { evidence: { capture: 'application', workerAt: null } } },
    notMet: { lost: { evidence: { captureLost: 'a trigger was dropped' } } },
    missingOrStale: { 'nobody looks': { evidence: { workerAt: AT - 2 * MINUTE } }, 'no worker ever': { evidence: { workerAt: null } } },
  },
  shared: {
    met: { 'in shadow': {}, 'none are': { plan: { hasShared: false }, evidence: { sharedPhase: null } } },
    notMet: { 'still copied': { evidence: { sharedPhase: 'backfill' } }, 'the shared tables themselves': { tenant: '_shared' } },
    missingOrStale: { 'not started': { evidence: { sharedPhase: null } } },
  },
  promote: { met: {}, notMet: { always: {} }, missingOrStale: {} },
};

const cases = (column: keyof Row): [GateName, string, Case][] =>
  (Object.keys(TABLE) as GateName[]).flatMap((gate) =>
    Object.entries(TABLE[gate][column]).map(([name, one]): [GateName, string, Case] => [gate, name, one]),
  );

it.each(cases('met'))('%s is open: %s', (gate, _, one) => {
  expect(judged(gate, one)).toMatchObject({ open: true });
});

it.each([...cases('notMet'), ...cases('missingOrStale')])('%s is closed: %s', (gate, _, one) => {
  const verdict = judged(gate, one);
  expect(verdict).toMatchObject({ open: false, waived: false });
  for (const text of [verdict.saw, verdict.needs, verdict.clear, verdict.who!]) expect(text).not.toBe('');
});

it('a gate whose evidence can be missing is tried without it', () => {
  // Only the clock, and a decision of this version, are never missing.
  const without = (Object.keys(TABLE) as GateName[]).filter(
    (gate) => Object.keys(TABLE[gate].missingOrStale).length === 0,
  );
  expect(without).toEqual(['change-window', 'promote']);
});

it('numbers of the plan that a run from before them lacks are the usual ones', () => {
  const { shadowSamples, cleanPasses, nodes } = PLAN.gates;
  const old: Case = { plan: { gates: { shadowSamples, cleanPasses, nodes } } };
  expect(judged('mirror-errors', old)).toMatchObject({ open: true, needs: 'at most 1 % in an hour' });
  expect(judged('replica-lag', old)).toMatchObject({ open: true, needs: 'at most 5s' });
  expect(judged('retention', old)).toMatchObject({ open: true, needs: 'at least 7d' });
});

it('a waiver opens its gate until it ends, and none opens what nobody may waive', () => {
  const waiver = (gate: string, until: number) => ({ gate, until, actor: 'ann', reason: 'a test' });
  const nothing = { ...EVIDENCE, openDrift: 1, captureLost: 'lost', approvers: [] };
  const all = (approvals: number, until: number) =>
    judgeGates(
      'ready',
      {
        tenant: 'acme',
        evidence: nothing,
        plan: { ...PLAN, approvals },
        since: SINCE,
        approved: false,
      },
      PHASE_GATES.ready.map((gate) => waiver(gate, until)),
    );
  const waived = (approvals: number, until: number) =>
    all(approvals, until).flatMap((verdict) => (verdict.waived ? [verdict.gate] : []));
  expect(waived(1, AT + 1)).toEqual(['approval', 'open-drift']);
  expect(waived(1, AT)).toEqual([]);
  // One alone must not waive that two have to approve.
  expect(waived(2, AT + 1)).toEqual(['open-drift']);
  expect(waivableGates('ready', { approvals: 2 })).not.toContain('approval');
});

const root = fileURLToPath(new URL('../../', import.meta.url));

it('each gate stands between two phases, and in a file of its own', () => {
  const used = new Set(Object.values(PHASE_GATES).flat());
  expect([...used].sort()).toEqual(Object.keys(GATES).sort());
  const files = readdirSync(`${root}src/domain/gates`).map((name) => name.replace('.ts', ''));
  // `clean-time` and `soak` ask the same of two durations.
  expect([...files, 'soak'].filter((name) => name !== 'gate').sort()).toEqual(Object.keys(GATES).sort());
});

it('docs/gates.md has one row for each gate, with its question, keys of the plan, and who clears it', () => {
  const lines = readFileSync(`${root}docs/gates.md`, 'utf8').split('\n');
  for (const [name, { asks, plan, who }] of Object.entries(GATES)) {
    const row = lines.find((line) => line.startsWith(`| \`${name}\``)) ?? '';
    for (const text of [asks, ...plan.map((key) => `\`${key}\``), `| ${WHO[who]} |`])
      expect(row, `${name} lacks ${text}`).toContain(text);
  }
});
