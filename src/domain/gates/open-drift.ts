import { change, type Gate } from './gate.ts';

export const openDrift: Gate = {
  asks: 'Is every row that was proven to differ repaired?',
  plan: [],
  who: 'operator',
  clear: 'look at `why`, then `repair`, then `retry`',
  next: change('repair', 'TENANT'),
  canBeWaived: true,
  judge: ({ evidence: { openDrift: open } }) => ({
    open: open === 0,
    saw: open === null ? 'the evidence could not be read' : `${open} open`,
    needs: 'none',
  }),
};
