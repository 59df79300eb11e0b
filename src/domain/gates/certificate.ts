import { formatDuration } from '../duration.ts';
import { change, type Gate } from './gate.ts';

export const certificate: Gate = {
  asks: 'Was the way there and back rehearsed lately?',
  plan: ['durations.certificate'],
  who: 'operator',
  clear: 'the drill writes one; where it is too old, `switchback drill` rehearses once more',
  next: change('drill', 'TENANT'),
  canBeWaived: true,
  judge({ evidence: { at, certificateAt }, plan }) {
    const age = certificateAt === null ? null : at - certificateAt;
    return {
      open: age !== null && age <= plan.durations.certificate,
      saw: age === null ? 'no drill certificate' : `certificate is ${formatDuration(age)} old`,
      needs: `younger than ${formatDuration(plan.durations.certificate)}`,
    };
  },
};
