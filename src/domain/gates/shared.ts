import { SHARED } from '../stage.ts';
import { look, type Gate } from './gate.ts';

export const shared: Gate = {
  asks: 'Are the tables that all tenants share copied and clean?',
  plan: ['tables.*.tenant: shared'],
  who: 'time',
  clear: `switchback start ${SHARED}, or see switchback why ${SHARED}`,
  next: look('why', SHARED),
  canBeWaived: false,
  judge({ tenant, evidence: { sharedPhase }, plan }) {
    if (tenant === SHARED)
      return {
        open: false,
        saw: 'shared tables are mirrored and clean',
        needs: 'nothing',
        clear: 'nothing to do: shared tables stay in shadow; tenants ramp on their own',
        next: null,
      };
    const where = `shared tables are ${sharedPhase === null ? 'not started' : `in ${sharedPhase}`}`;
    return {
      open: !plan.hasShared || sharedPhase === 'shadow',
      saw: plan.hasShared ? where : 'no shared tables',
      needs: 'shared tables copied and clean: in shadow',
    };
  },
};
