import { sayHours, whyNoFlip } from '../change-window.ts';
import { look, WAIT, type Gate } from './gate.ts';

export const changeWindow: Gate = {
  asks: 'May reads be flipped at this hour?',
  plan: ['waves[].flips', 'freeze'],
  who: 'time',
  clear: WAIT,
  next: look('status', 'TENANT', '--watch'),
  canBeWaived: true,
  judge({ evidence: { at }, plan: { flips = null, freeze = [] } }) {
    const why = whyNoFlip(at, flips, freeze);
    return {
      open: why === null,
      saw: why ?? 'reads may be flipped now',
      needs: flips === null ? 'no freeze' : `${sayHours(flips)}, and no freeze`,
    };
  },
};
