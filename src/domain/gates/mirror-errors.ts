import { gateSettings } from '../plan.ts';
import { isWorkerSilent, look, NO_WORKER, type Gate } from './gate.ts';

export const mirrorErrors: Gate = {
  asks: 'Did the mirror nearly always succeed in the last hour?',
  plan: ['gates.mirrorErrorPercent'],
  who: 'databases',
  clear: "see the worker's log for the error; an hour later it is forgiven",
  next: look('status', 'TENANT', '--watch'),
  canBeWaived: true,
  judge({ evidence, plan }) {
    const { mirror } = evidence;
    const most = gateSettings(plan).mirrorErrorPercent;
    const needs = `at most ${most} % in an hour`;
    if (mirror === null) return { open: false, saw: 'the counts could not be read', needs };
    if (isWorkerSilent(evidence)) return { ...NO_WORKER, needs };
    const { attempts, failures } = mirror;
    const percent = attempts === 0 ? 0 : (100 * failures) / attempts;
    return {
      open: percent <= most,
      saw: `${failures} of ${attempts} mirrors failed${failures === 0 ? '' : ` (${percent.toFixed(1)} %)`}`,
      needs,
    };
  },
};
