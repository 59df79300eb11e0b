import { formatDuration, HOUR, type Milliseconds } from '../duration.ts';
import { gateSettings } from '../plan.ts';
import { look, type Gate } from './gate.ts';

/** Workers read it anew every few minutes. */
const STALE: Milliseconds = HOUR;

export const retention: Gate = {
  asks: 'Does the Temporal namespace keep a closed history for long enough?',
  plan: ['history.keep', 'history.folder', 'waves'],
  who: 'temporal',
  clear: 'raise the retention of the namespace; `switchback plan check` prints the command',
  next: look('plan', 'check'),
  canBeWaived: true,
  judge({ evidence: { at, retention: kept }, plan }) {
    const least = gateSettings(plan).retention;
    const needs = least === 0 ? 'nothing' : `at least ${formatDuration(least)}`;
    if (least === 0) return { open: true, saw: 'the plan does not ask', needs };
    if (kept === null) return { open: false, saw: 'no worker has read it yet', needs };
    const age = at - kept.readAt;
    const isStale = age > STALE;
    return {
      open: kept.ms >= least && !isStale,
      saw: `kept for ${formatDuration(kept.ms)}${isStale ? `, as read ${formatDuration(age)} ago` : ''}`,
      needs,
    };
  },
};
