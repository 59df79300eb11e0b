import { formatDuration } from '../duration.ts';
import { gateSettings } from '../plan.ts';
import { look, WAIT, type Gate } from './gate.ts';

export const replicaLag: Gate = {
  asks: 'Are the replicas that the plan names close behind?',
  plan: ['gates.replicaLag', 'source.replicas', 'target.replicas'],
  who: 'databases',
  clear: `${WAIT}; one that stays behind is mended, or taken out of the plan`,
  next: look('plan', 'check'),
  canBeWaived: true,
  judge({
    evidence: {
      replicas: { named, lag },
    },
    plan,
  }) {
    const most = gateSettings(plan).replicaLag;
    if (named === 0) return { open: true, saw: 'the plan names no replica', needs: 'nothing' };
    return {
      open: lag !== null && lag <= most,
      saw: lag === null ? 'a replica could not be read' : `the furthest is ${formatDuration(lag)} behind`,
      needs: `at most ${formatDuration(most)}`,
    };
  },
};
