import { formatDuration, type Milliseconds } from '../duration.ts';
import { look, WAIT, type Gate } from './gate.ts';

/** Journals are looked at in turns: less than this says nothing. */
const LEAST: Milliseconds = 2_000;

export const journalAge: Gate = {
  asks: 'Is the mirror close behind the source?',
  plan: ['durations.dirtyAfter'],
  who: 'time',
  clear: `${WAIT}; if it grows: is the target up, is a worker running?`,
  next: look('status', 'TENANT', '--watch'),
  canBeWaived: true,
  judge({ evidence: { journalAge: age }, plan }) {
    const most = Math.max(plan.durations.dirtyAfter, LEAST);
    return {
      open: age !== null && age <= most,
      saw: age === null ? 'the journal could not be read' : `oldest journal row ${formatDuration(age)}`,
      needs: `at most ${formatDuration(most)}`,
    };
  },
};
