/** The exact next commands for a tenant: the first row that fits, as a table. */
import { WHO } from '../domain/gates/gate.ts';
import type { Context } from './context.ts';
import type { Why } from './why-text.ts';

type Lines = Pick<Context, 'line' | 'change'>;

interface Situation {
  readonly fits: (why: Why) => boolean;
  readonly commands: (tenant: string, lines: Lines, why: Why) => string[];
}

const stopped = ({ mode }: Why): boolean => mode === 'stopped';
const because = (why: Why, text: string): boolean => stopped(why) && (why.reason ?? '').includes(text);

/** What the first closed gate asks to type. One that only time clears stands behind those that somebody can clear. */
function blocking({ gates }: Why): string | null {
  const shut = gates.filter(({ open, waived, next }) => !open && !waived && next !== null);
  const somebody = shut.find(({ who }) => who !== WHO.time && who !== WHO.release);
  return (somebody ?? shut[0])?.next ?? null;
}

// prettier-ignore
const SITUATIONS: readonly Situation[] = [
  { fits: ({ phase }) => phase === 'aborted', commands: (tenant, { change }) => [change('start', tenant)] },
  { fits: (why) => because(why, '--adopt'), commands: (tenant, { change }) => [change('start', tenant, '--adopt')] },
  { fits: (why) => because(why, 'capture was lost') || why.evidence.captureLost !== null, commands: (tenant, { change }) => [change('install'), change('retry', tenant)] },
  { fits: (why) => stopped(why) && why.altered.length > 0, commands: (tenant, { line, change }) => [line('plan', 'check'), change('retry', tenant)] },
  { fits: (why) => stopped(why) && why.openDrift > 0, commands: (tenant, { change }) => [change('repair', tenant), change('retry', tenant)] },
  { fits: (why) => because(why, 'preflight'), commands: (tenant, { line, change }) => [line('plan', 'check'), change('retry', tenant)] },
  { fits: stopped, commands: (tenant, { change }) => [change('retry', tenant)] },
  { fits: ({ mode }) => mode === 'paused', commands: (tenant, { change }) => [change('resume', tenant)] },
  { fits: (why) => blocking(why) !== null, commands: (_, __, why) => [blocking(why)!] },
  { fits: (why) => why.openDrift > 0, commands: (tenant, { change }) => [change('repair', tenant)] },
  { fits: () => true, commands: (tenant, { line }) => [line('status', tenant, '--watch')] },
];

export function nextCommands(why: Why, context: Lines): string[] {
  const lines: Lines = {
    line: (...words) => context.line(...words),
    change: (...words) => context.change(...words),
  };
  const worker = why.noWorkerForMs === null ? [] : [lines.line('worker')];
  const here = SITUATIONS.find(({ fits }) => fits(why))!.commands(why.tenant, lines, why);
  return [...new Set([...worker, ...here])];
}
