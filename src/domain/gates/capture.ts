import { change, isWorkerSilent, NO_WORKER, type Gate } from './gate.ts';

export const capture: Gate = {
  asks: 'Is every write captured, as a worker saw within the last minute?',
  plan: [],
  who: 'operator',
  clear: 'switchback install, then switchback retry TENANT',
  next: change('install'),
  canBeWaived: false,
  judge({ evidence }) {
    const { captureLost, capture: mode } = evidence;
    const needs = mode === 'triggers' ? 'triggers on every table' : 'no trigger';
    const stands = mode === 'triggers' ? 'capture stands' : 'the application writes both sides';
    if (captureLost !== null) return { open: false, saw: captureLost, needs };
    // The application's mode has nothing to look at.
    if (mode === 'triggers' && isWorkerSilent(evidence)) return { ...NO_WORKER, needs };
    return { open: true, saw: stands, needs };
  },
};
