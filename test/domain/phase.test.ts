/** Checks the two tables against what they must keep, never against a copy of themselves. */
import { expect, it } from 'vitest';

import { PHASE_GATES } from '../../src/domain/gate.ts';
import { move, PHASES, type Phase, type PhaseEvent } from '../../src/domain/phase.ts';
import { STAGES } from '../../src/domain/stage.ts';

const phases = Object.keys(PHASES) as Phase[];
const EVENTS: readonly PhaseEvent[] = ['advance', 'drift', 'rollback', 'recapture'];

it('every stage that a phase enters keeps the authority on the source, so a flip only moves reads', () => {
  for (const { stage } of Object.values(PHASES)) expect(STAGES[stage].authority).toBe('source');
});

it.each(phases.filter((phase) => STAGES[PHASES[phase].stage].reads === 'target'))(
  '%s can be rolled back, and drift leads out of it',
  (phase) => {
    for (const event of ['rollback', 'drift'] as const) {
      const to = move(phase, event);
      expect(to === null ? null : STAGES[PHASES[to].stage].reads).toBe('source');
    }
  },
);

it('never reads from the target what was copied after the last clean pass', () => {
  const visited = explore();
  expect(visited).toContainEqual({ phase: 'ramp', unverified: false });
  expect(visited).not.toContainEqual({ phase: 'ramp', unverified: true });
});

it('every phase before ramp that moves towards reads asks for capture', () => {
  for (const phase of ['dual-write', 'backfill', 'reconcile', 'shadow', 'ready'] as const)
    expect(PHASE_GATES[phase]).toContain('capture');
});

it('the target is written in every stage but source-only, so a rollback finds it current', () => {
  expect(
    Object.entries(STAGES)
      .filter(([, row]) => !row.mirrored)
      .map(([name]) => name),
  ).toEqual(['source-only']);
});

/** Walks every legal move. `unverified`: rows were copied since the last clean pass. */
function explore(): { phase: Phase; unverified: boolean }[] {
  const visited = new Map<string, { phase: Phase; unverified: boolean }>();
  const visit = (phase: Phase, before: boolean): void => {
    const unverified = phase === 'backfill' || phase === 'dual-write' || (before && phase !== 'reconcile');
    const key = `${phase} ${unverified}`;
    if (visited.has(key)) return;
    visited.set(key, { phase, unverified });
    for (const event of EVENTS) {
      const to = move(phase, event);
      if (to !== null) visit(to, unverified);
    }
  };
  visit('preflight', true);
  return [...visited.values()];
}
