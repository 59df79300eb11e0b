import { formatDuration } from '../duration.ts';
import { look, type Gate } from './gate.ts';

export const shadowSamples: Gate = {
  asks: 'Were enough answers of both sides compared, or every one that a quiet tenant asked for?',
  plan: ['gates.shadowSamples', 'durations.shadow'],
  who: 'application',
  clear:
    'it clears by itself while the application reads; a quiet tenant needs every read compared, one that nobody reads a waiver',
  next: look('status', 'TENANT', '--watch'),
  canBeWaived: true,
  judge({ evidence: { at, shadow }, plan, since }) {
    const { samples, reads } = shadow;
    const wanted = plan.gates.shadowSamples;
    const period = plan.durations.shadow;
    // A read that is under way, was dropped or stayed undecided counts as one that was not compared.
    const hasAll = reads !== null && reads > 0 && samples >= reads && at - since >= period;
    const among = reads === null ? '' : ` of ${reads} reads in ${formatDuration(at - since)}`;
    return {
      open: samples >= wanted || hasAll,
      saw: `${samples} samples${among}`,
      needs: wanted === 0 ? 'none' : `at least ${wanted}, or every read of ${formatDuration(period)} or more`,
    };
  },
};
