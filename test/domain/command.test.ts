/** Every command in every phase and mode: accepted, or refused with a reason that says what to do. */
import { expect, it } from 'vitest';

import {
  COMMAND_NAMES,
  judge,
  parseCommand,
  type Command,
  type CommandName,
} from '../../src/domain/command.ts';
import { waivableGates } from '../../src/domain/gate.ts';
import { PHASES, type Mode, type Phase } from '../../src/domain/phase.ts';

const phases = Object.keys(PHASES) as Phase[];
const modes: readonly Mode[] = ['running', 'waiting', 'paused', 'stopped'];

const command = (name: CommandName, phase: Phase): Command => ({
  name,
  requestId: '1',
  actor: 'ann',
  reason: 'test',
  expectPhase: phase,
  gate: waivableGates(phase)[0] ?? 'none',
  until: 1,
  rowsPerSecond: 1,
});

const accepted = (name: CommandName, phase: Phase, mode: Mode): boolean =>
  judge(command(name, phase), {
    tenant: 'acme',
    phase,
    mode,
    reason: 'why',
    approval: true,
    approved: false,
    approvers: [],
    approvals: 1,
    gates: waivableGates(phase),
  }) === null;

/** Phases in which a command is accepted, by mode. */
// prettier-ignore
const EXPECTED: Readonly<Record<CommandName, Readonly<Record<Mode, readonly Phase[]>>>> = {
  pause: both(phases.filter((phase) => phase !== 'rolling-back' && phase !== 'aborted'), []),
  resume: { running: [], waiting: [], stopped: [], paused: phases.filter((phase) => phase !== 'aborted') },
  retry: { running: [], waiting: [], paused: [], stopped: phases.filter((phase) => phase !== 'aborted') },
  advance: { running: ['ready'], waiting: ['ready'], paused: [], stopped: [] },
  drill: both(['ready'], []),
  rollback: both(['drill', 'ramp'], ['drill', 'ramp']),
  waive: both(phases.filter((phase) => waivableGates(phase).length > 0), phases.filter((phase) => waivableGates(phase).length > 0)),
  setPace: both(phases.filter((phase) => phase !== 'aborted'), phases.filter((phase) => phase !== 'aborted')),
  abort: both(['preflight', 'dual-write', 'backfill', 'reconcile', 'shadow', 'ready'], ['preflight', 'dual-write', 'backfill', 'reconcile', 'shadow', 'ready']),
};

function both(going: readonly Phase[], held: readonly Phase[]): Readonly<Record<Mode, readonly Phase[]>> {
  return { running: going, waiting: going, paused: held, stopped: held };
}

it.each(COMMAND_NAMES.flatMap((name) => modes.map((mode) => [name, mode] as const)))(
  '%s in mode %s is accepted in the listed phases alone',
  (name, mode) => {
    expect(phases.filter((phase) => accepted(name, phase, mode))).toEqual(EXPECTED[name][mode]);
  },
);

it('every refusal is one sentence that helps', () => {
  for (const name of COMMAND_NAMES) {
    for (const phase of phases) {
      const why = judge(command(name, phase), {
        tenant: 'acme',
        phase,
        mode: 'running',
        reason: null,
        approval: true,
        approved: false,
        approvers: [],
        approvals: 1,
        gates: [],
      });
      if (why !== null) expect(why.length).toBeGreaterThan(15);
    }
  }
});

it.each([
  undefined,
  null,
  7,
  'text',
  [],
  {},
  { requestId: 'x' },
  { requestId: 'x', actor: 'a', reason: 'r', expectPhase: 'nowhere' },
])('parses %j into a refusal, never a throw', (payload) => {
  for (const name of COMMAND_NAMES) expect(parseCommand(name, payload).ok).toBe(false);
});

it('asks as many different people as the wave says', () => {
  const asked = (approvals: number, ...approvers: string[]): string | null =>
    judge(
      { ...command('advance', 'ready'), actor: 'ann' },
      {
        tenant: 'acme',
        phase: 'ready',
        mode: 'waiting',
        reason: null,
        approval: true,
        approved: approvers.length > 0,
        approvers,
        approvals,
        gates: [],
      },
    );

  expect(asked(2)).toBeNull();
  expect(asked(2, 'bob')).toBeNull();
  expect(asked(2, 'ann')).toBe('ann approved already; another person has to as well');
  expect(asked(2, 'bob', 'cleo')).toBe('already approved; see why for the gates that are still closed');
  expect(asked(1, 'bob')).toBe('already approved; see why for the gates that are still closed');
});

it('two people: who approved under another spelling does not count twice, and nobody approves what they waived', () => {
  const view = (approvals: number, approvers: string[], waivedBy?: string[]) => ({
    tenant: 'acme',
    phase: 'ready' as const,
    mode: 'waiting' as const,
    reason: null,
    approval: true,
    approved: approvers.length > 0,
    approvers,
    approvals,
    ...(waivedBy === undefined ? {} : { waivedBy }),
    gates: ['nodes'],
  });
  const by = (actor: string) => ({ ...command('advance', 'ready'), actor });
  const waive = (actor: string) => ({ ...command('waive', 'ready'), actor, gate: 'nodes' });
  expect(judge(by('Ann '), view(2, ['ann']))).toBe('Ann  approved already; another person has to as well');
  expect(judge(by('Ann'), view(2, ['bob'], ['ann']))).toBe(
    'Ann waived a gate of acme; another person has to approve',
  );
  expect(judge(by('ann'), view(2, ['bob'], ['carol']))).toBeNull();
  expect(judge(waive('BOB'), view(2, ['bob'], []))).toBe('BOB approved ready; another person has to waive');
  expect(judge(waive('ann'), view(2, ['bob'], []))).toBeNull();
  // One person is enough there, or the run began before the rule.
  expect(judge(by('ann'), view(1, [], ['ann']))).toBeNull();
  expect(judge(by('ann'), view(2, ['bob']))).toBeNull();
  expect(judge(waive('bob'), view(2, ['bob']))).toBeNull();
});
