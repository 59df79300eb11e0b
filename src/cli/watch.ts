/** Keeps looking: redraws in place on a terminal, prints what changed elsewhere, until Ctrl-C. */
import { setTimeout as sleep } from 'node:timers/promises';

import { TransientDatabaseError } from '../domain/errors.ts';
import type { Context } from './context.ts';
import { explain } from './faults.ts';
import type { Outcome } from './terminal.ts';

const EVERY = 1_000;
const CLEAR_BELOW = '\u001B[0J';
const WRAP_OFF = '\u001B[?7l';
const WRAP_ON = '\u001B[?7h';

export interface Watched {
  readonly outcome: Outcome;
  /** One line for each thing that is watched, by its name, without ages: a line printer says it again when it differs. */
  readonly lines: ReadonlyMap<string, string>;
}

export async function watch(context: Context, look: () => Promise<Watched>): Promise<Outcome> {
  const { terminal, stopping } = context;
  const draw = terminal.isTerminal ? inPlace(context) : byLine(context);
  let watched = await look(); // whatever is wrong at first is an error
  draw(watched, null);
  while (!stopping.signal.aborted) {
    await sleep(EVERY, undefined, { signal: stopping.signal }).catch(() => {}); // Ctrl-C
    if (stopping.signal.aborted) break;
    try {
      watched = await look();
      draw(watched, null);
    } catch (error) {
      // A server that restarts does not end a watch.
      if (!(error instanceof TransientDatabaseError)) throw error;
      draw(watched, explain(error, context).message);
    }
  }
  // The last picture stands already; process.exit spares a second one.
  await context.close();
  process.exit(0);
}

type Draw = (watched: Watched, trouble: string | null) => void;

function inPlace({ terminal }: Context): Draw {
  let drawn = 0;
  return ({ outcome }, trouble) => {
    const warning = trouble === null ? [] : [terminal.colors.red(`As of before: ${trouble}`)];
    // What does not fit is cut, or the cursor would not find its way back up.
    const lines = [...warning, ...outcome.lines].slice(0, terminal.height - 1);
    const up = drawn === 0 ? '' : `\u001B[${drawn}F`;
    terminal.raw(`${up}${CLEAR_BELOW}${WRAP_OFF}${lines.join('\n')}\n${WRAP_ON}`);
    drawn = lines.length;
  };
}

function byLine({ terminal }: Context): Draw {
  let before: ReadonlyMap<string, string> = new Map();
  let said: string | null = null;
  return ({ outcome, lines }, trouble) => {
    if (trouble !== null && trouble !== said) terminal.note(trouble);
    said = trouble;
    const changed = [...lines].filter(([name, line]) => before.get(name) !== line);
    before = lines;
    if (changed.length === 0) return;
    if (terminal.json) terminal.out(JSON.stringify({ ...outcome.data, next: outcome.next ?? [] }));
    else for (const [, line] of changed) terminal.out(`${new Date().toISOString()} ${line}`);
  };
}
