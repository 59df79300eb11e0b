/** Keeps looking: redraws in place on a terminal, prints what changed elsewhere, until Ctrl-C. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Context } from './context.ts';
import type { Outcome } from './terminal.ts';

const EVERY = 1_000;
const CLEAR_BELOW = '\u001B[0J';
const WRAP_OFF = '\u001B[?7l';
const WRAP_ON = '\u001B[?7h';

export interface Watched {
  readonly outcome: Outcome;
  /** What a line printer compares: without ages, which change every second. */
  readonly facts: string;
}

export async function watch(context: Context, look: () => Promise<Watched>): Promise<Outcome> {
  const { terminal, stopping } = context;
  let drawn = 0;
  let last = '';
  while (!stopping.signal.aborted) {
    const { outcome, facts } = await look();
    if (terminal.isTerminal) {
      // What does not fit is cut, or the cursor would not find its way back up.
      const lines = outcome.lines.slice(0, terminal.height - 1);
      const up = drawn === 0 ? '' : `\u001B[${drawn}F`;
      terminal.raw(`${up}${CLEAR_BELOW}${WRAP_OFF}${lines.join('\n')}\n${WRAP_ON}`);
      drawn = lines.length;
    } else if (facts !== last) {
      terminal.out(terminal.json ? JSON.stringify(outcome.data) : outcome.lines.join('\n'));
    }
    last = facts;
    await sleep(EVERY, undefined, { signal: stopping.signal }).catch(() => {}); // Ctrl-C
  }
  // The last picture stands already; process.exit spares a second one.
  await context.close();
  process.exit(0);
}
