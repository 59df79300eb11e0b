import { look, type Gate } from './gate.ts';

export const nodes: Gate = {
  asks: 'Does every live node of the application follow the latest stage?',
  plan: ['gates.nodes', 'durations.lease'],
  who: 'application',
  clear: 'start the application with the Switchback library; see `switchback flags watch`',
  next: look('flags'),
  canBeWaived: true,
  judge: ({
    evidence: {
      nodes: { live, following },
    },
    plan,
  }) => ({
    open: live >= plan.gates.nodes && following === live,
    saw: `${following} of ${live} live nodes follow`,
    needs: `all, and at least ${plan.gates.nodes}`,
  }),
};
