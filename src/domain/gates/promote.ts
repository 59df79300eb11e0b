import { look, type Gate } from './gate.ts';

export const promote: Gate = {
  asks: 'May the write authority move?',
  plan: [],
  who: 'release',
  clear: 'nothing to do: the tenant stays in ramp; rollback is possible at any time',
  next: look('status', 'TENANT', '--watch'),
  canBeWaived: false,
  judge: () => ({
    open: false,
    saw: 'promote is not built in this version',
    needs: 'a version that moves the write authority',
  }),
};
