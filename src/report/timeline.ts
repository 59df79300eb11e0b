/** From changes to spans: which phase, and which stage, a tenant was in from when to when. Pure. */
import type { AuditRecord, StageMove } from '../db/chronicle.ts';
import type { Milliseconds } from '../domain/duration.ts';

export interface Span {
  readonly what: string;
  readonly from: string;
  readonly to: string;
}

interface Change {
  readonly at: string;
  readonly before: string | null;
  readonly after: string | null;
}

/**
 * @param startedAt of the latest start: a tenant that was given up and started anew begins again there
 * @param now where the last span ends
 */
export function spansOf(changes: readonly Change[], current: string, startedAt: string, now: string): Span[] {
  const spans: Span[] = [];
  let what = changes[0]?.before ?? current;
  let from = changes[0] !== undefined && changes[0].at < startedAt ? changes[0].at : startedAt;
  for (const { at, before, after } of changes) {
    if (before !== what && before !== null) {
      const again = at < startedAt ? at : startedAt > from ? startedAt : from;
      spans.push({ what, from, to: again });
      [what, from] = [before, again];
    }
    spans.push({ what, from, to: at });
    [what, from] = [after ?? what, at];
  }
  if (what !== current && startedAt > from) {
    spans.push({ what, from, to: startedAt });
    [what, from] = [current, startedAt];
  }
  return [...spans, { what, from, to: now > from ? now : from }].filter((span) => span.to > span.from);
}

export const lasted = ({ from, to }: Pick<Span, 'from' | 'to'>): Milliseconds =>
  Math.max(0, Date.parse(to) - Date.parse(from));

/** How long the spans lasted together, as far as they lie between the two times. */
export const within = (spans: readonly Span[], from: string, to: string): Milliseconds =>
  spans
    .map((span) => ({ from: span.from > from ? span.from : from, to: span.to < to ? span.to : to }))
    .reduce((sum, span) => sum + lasted(span), 0);

export interface Flip extends Omit<AuditRecord, 'event'> {
  /** Where plain reads go from then on. */
  readonly to: 'source' | 'target';
  /** Of a rollback: how long the workflow took until every live node had followed; null: it did not say. */
  readonly followedMs: Milliseconds | null;
}

/** Changes of stage that moved reads. */
export function flipsOf(moves: readonly AuditRecord[], phases: readonly Span[]): Flip[] {
  return moves.flatMap(({ event, ...move }) => {
    if (event !== 'stage' || (move.before !== 'read-target' && move.after !== 'read-target')) return [];
    const to = move.after === 'read-target' ? ('target' as const) : ('source' as const);
    const rolled = phases.find(
      ({ what, from }) => what === 'rolling-back' && Math.abs(Date.parse(from) - Date.parse(move.at)) < SAME,
    );
    return [{ ...move, to, followedMs: to === 'source' && rolled !== undefined ? lasted(rolled) : null }];
  });
}

/** Stage and phase change in one transaction, with a clock reading each. */
const SAME: Milliseconds = 1_000;

/** Everybody's stages, for one chart. */
export function stagesOf(moves: readonly StageMove[], tenant: string, now: string): Span[] {
  const own = moves.filter((move) => move.tenant === tenant);
  const last = own.at(-1);
  return last === undefined ? [] : spansOf(own, last.after, own[0]!.at, now);
}
