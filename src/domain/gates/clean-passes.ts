import { look, WAIT, type Gate } from './gate.ts';

export const cleanPasses: Gate = {
  asks: 'Did enough passes read every window equal and repair nothing?',
  plan: ['gates.cleanPasses'],
  who: 'time',
  clear: WAIT,
  next: look('verify', 'TENANT'),
  canBeWaived: true,
  judge: ({ evidence, plan }) => ({
    open: evidence.cleanPasses >= plan.gates.cleanPasses,
    saw: `${evidence.cleanPasses} clean passes in this phase`,
    needs: `${plan.gates.cleanPasses}`,
  }),
};
