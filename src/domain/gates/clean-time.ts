/** Two gates, of one question: for how long was every pass clean, and does reconcile still look? */
import { formatDuration, MINUTE, type Milliseconds } from '../duration.ts';
import type { Evidence } from '../evidence.ts';
import type { TenantPlan } from '../plan.ts';
import { look, WAIT, type Gate } from './gate.ts';

/** Days that were clean a week ago say nothing of today. */
const staleAfter = ({ durations }: TenantPlan): Milliseconds => 10 * MINUTE + 3 * durations.reconcileEvery;

function silence({ at, lastPassAt, reconciledAt }: Evidence): Milliseconds {
  return at - Math.max(lastPassAt ?? 0, reconciledAt ?? 0);
}

const cleanFor = (key: 'shadow' | 'soak', asks: string): Gate => ({
  asks,
  plan: [`durations.${key}`, 'durations.reconcileEvery'],
  who: 'time',
  clear: `${WAIT}; a pass that drifts or repairs starts it again`,
  next: look('verify', 'TENANT'),
  canBeWaived: true,
  judge({ evidence, plan, since }) {
    const { cleanSince, lastPassAt } = evidence;
    const needs = plan.durations[key];
    if (cleanSince === null || lastPassAt === null)
      return { open: false, saw: 'no clean pass yet', needs: `clean for ${formatDuration(needs)}` };
    const clean = Math.max(0, lastPassAt - Math.max(cleanSince, since));
    const silent = silence(evidence);
    const isStale = silent > staleAfter(plan);
    return {
      open: clean >= needs && !isStale,
      saw: `clean for ${formatDuration(clean)}${isStale ? `, but nothing was compared for ${formatDuration(silent)}` : ''}`,
      needs: `clean for ${formatDuration(needs)}`,
    };
  },
});

export const cleanTime = cleanFor('shadow', 'Was every pass clean for so long, in `shadow`?');
export const soak = cleanFor('soak', 'Was every pass clean for so long, with reads on the target?');
