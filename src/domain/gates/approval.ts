import { change, type Gate } from './gate.ts';

export const approval: Gate = {
  asks: 'Did as many different people approve as the wave asks for?',
  plan: ['waves[].approval', 'waves[].approvals'],
  who: 'operator',
  clear: 'switchback advance TENANT --reason "..."',
  next: change('advance', 'TENANT'),
  // Where two people have to approve, one alone must not waive that.
  canBeWaived: ({ approvals = 1 }) => approvals === 1,
  judge({ plan, approved, evidence: { approvers } }) {
    const wanted = plan.approvals ?? 1;
    const enough = wanted === 1 ? approved : approvers.length >= wanted;
    const by = approvers.length === 0 ? '' : ` by ${approvers.join(', ')}`;
    const needs = wanted === 1 ? "an operator's advance" : `the advance of ${wanted} different people`;
    return {
      open: enough || !plan.approval,
      saw: `${enough || approvers.length > 0 ? 'approved' : 'not approved'}${by}`,
      needs: plan.approval ? needs : 'nothing',
    };
  },
};
