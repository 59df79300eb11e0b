/**
 * Where a tenant's workflow stands: the second of the two tables that are the program.
 *
 * Read a row as "in this phase the application obeys this stage, and this event leads there"; an
 * absent event cannot happen in that phase. Modes stand beside the phase and never change which
 * side is the authority. `promote`, `retire` and `complete` get their rows when they are built.
 */
import type { Stage } from './stage.ts';

export type PhaseEvent = 'advance' | 'drift' | 'rollback' | 'recapture' | 'rehearse';

interface PhaseRow extends Partial<Record<PhaseEvent, string>> {
  readonly stage: Stage;
  readonly does: string;
}

// prettier-ignore
export const PHASES = {
  preflight:      { stage: 'source-only', advance: 'dual-write', does: 'checks schemas, keys, grants, capture and retention' },
  'dual-write':   { stage: 'dual-write',  advance: 'backfill',  recapture: 'dual-write', does: 'waits until the mirror keeps up and every application node follows' },
  backfill:       { stage: 'dual-write',  advance: 'reconcile', recapture: 'dual-write', does: 'copies every window of every table' },
  reconcile:      { stage: 'dual-write',  advance: 'shadow',    recapture: 'dual-write', drift: 'reconcile', does: 'compares every window until one pass is clean' },
  shadow:         { stage: 'shadow-read', advance: 'drill',     recapture: 'dual-write', drift: 'shadow', does: 'compares shadow reads and reconciles continuously' },
  drill:          { stage: 'shadow-read', advance: 'ready',     recapture: 'dual-write', drift: 'rolling-back', rollback: 'rolling-back', does: 'flips reads to the target and back, and times both' },
  ready:          { stage: 'shadow-read', advance: 'ramp',      recapture: 'dual-write', drift: 'shadow', rehearse: 'drill', does: 'waits for its wave and for an operator to advance' },
  ramp:           { stage: 'read-target', recapture: 'dual-write', drift: 'rolling-back', rollback: 'rolling-back', does: 'serves reads from the target; trips back by itself' },
  'rolling-back': { stage: 'shadow-read', advance: 'shadow', recapture: 'dual-write', does: 'reads are back on the source; verifies the last node' },
  aborted:        { stage: 'source-only', does: 'the operator gave up; target rows are kept' },
} as const satisfies Record<string, PhaseRow>;

export type Phase = keyof typeof PHASES;

/** The order in which a console shows the ladder. */
export const LADDER = [
  'preflight',
  'dual-write',
  'backfill',
  'reconcile',
  'shadow',
  'drill',
  'ready',
  'ramp',
] as const;

/** `running`; `paused` by an operator; `stopped`: the line is stopped; `waiting` for a gate. */
export type Mode = 'running' | 'paused' | 'stopped' | 'waiting';

export const isPhase = (word: string): word is Phase => Object.hasOwn(PHASES, word);

/** @returns the next phase, or null where the table has no such move. */
export function move(from: Phase, event: PhaseEvent): Phase | null {
  const row: PhaseRow = PHASES[from];
  return (row[event] as Phase | undefined) ?? null;
}

/** Phases in which reads may be on the target, and so have somewhere to be rolled back from. */
export const canRollBack = (phase: Phase): boolean => move(phase, 'rollback') !== null;

/** Phases in which the continuous reconcile runs beside the tenant. */
export const reconcilesContinuously = (phase: Phase): boolean =>
  phase === 'shadow' ||
  phase === 'drill' ||
  phase === 'ready' ||
  phase === 'ramp' ||
  phase === 'rolling-back';
