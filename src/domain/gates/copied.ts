import { look, WAIT, type Gate } from './gate.ts';

export const copied: Gate = {
  asks: 'Is every table copied to its end?',
  plan: [],
  who: 'time',
  clear: WAIT,
  next: look('status', 'TENANT', '--watch'),
  canBeWaived: false,
  judge: ({ evidence: { tables } }) => ({
    open: tables.all > 0 && tables.copied === tables.all,
    saw: `${tables.copied} of ${tables.all} tables at their end`,
    needs: 'every table',
  }),
};
