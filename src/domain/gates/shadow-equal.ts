import type { Evidence } from '../evidence.ts';
import { sayDifferences } from '../shadow.ts';
import { look, type Gate } from './gate.ts';

export const shadowEqual: Gate = {
  asks: 'Did both sides give the same answers?',
  plan: ['gates.shadowSamples'],
  who: 'application',
  clear: 'find the read by its name in `why`; a drift would have stopped the line',
  next: look('drift', 'list', 'TENANT'),
  canBeWaived: true,
  judge({ evidence: { shadow }, plan }) {
    const { samples, differing } = shadow;
    // A retry counts anew: without a sample nothing is known to be equal.
    const isKnown = samples > 0 || plan.gates.shadowSamples === 0;
    return {
      open: differing === 0 && isKnown,
      saw: isKnown ? sayDiffering(shadow) : 'no sample yet',
      needs: 'none',
    };
  },
};

function sayDiffering({ differing, classes = {}, worst }: Evidence['shadow']): string {
  const ways = sayDifferences(classes);
  const most = worst === undefined ? '' : `, most in ${worst}`;
  return `${differing} differing${ways === '' ? '' : ` (${ways})`}${most}`;
}
