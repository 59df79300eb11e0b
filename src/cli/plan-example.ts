/** A plan to begin with: the one of the example, with its comments. */
import { readFile } from 'node:fs/promises';

import type { Handler } from './commands.ts';

/** Beside the sources, or one folder higher when built. */
const PLACES = ['../../examples/sms-portal/plan.yaml', '../../../examples/sms-portal/plan.yaml'];

export const run: Handler = async () => {
  const [here, above] = PLACES.map((place) => new URL(place, import.meta.url));
  const plan = await readFile(here!, 'utf8').catch(() => readFile(above!, 'utf8'));
  return { data: { plan }, lines: [plan.trimEnd()] };
};
