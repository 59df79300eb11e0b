/** When a tenant was in which phase. */
import { stageColor } from '../colors.ts';
import { html, table, time } from '../html.ts';
import type { TenantSection } from '../section.ts';
import { lasted } from '../timeline.ts';
import { formatDuration } from '../../domain/duration.ts';
import { isPhase, LADDER, PHASES } from '../../domain/phase.ts';

const ROW = 26;
const ORDER: readonly string[] = [...LADDER, 'rolling-back', 'aborted'];

const colorOf = (phase: string): string => stageColor(isPhase(phase) ? PHASES[phase].stage : 'source-only');

export const timeline: TenantSection = {
  title: 'Phases over time',
  draw: ({ phases, phase }, draw) => {
    const rows = ORDER.filter((name) => phases.some(({ what }) => what === name));
    const stages = [...new Set(rows.map((name) => (isPhase(name) ? PHASES[name].stage : 'source-only')))];
    return html`${draw({
      title: 'Phases over time (UTC)',
      says: `${phases.length} spans; in ${phase} now.`,
      legend: stages.map((stage) => [`phase of stage ${stage}`, stageColor(stage)]),
      options: (plot) => ({
        height: rows.length * ROW + 60,
        marginLeft: 110,
        x: { type: 'utc', label: null, grid: true },
        y: { label: null, domain: rows, tickSize: 0 },
        color: { type: 'identity' },
        marks: [
          plot.barX(
            phases.map(({ what, from, to }) => ({ what, from: new Date(from), to: new Date(to) })),
            { x1: 'from', x2: 'to', y: 'what', fill: ({ what }: { what: string }) => colorOf(what) },
          ),
        ],
      }),
    })}${table({
      caption: 'Phases in their order',
      heads: ['phase', 'from (UTC)', 'to (UTC)', 'lasted'],
      numbers: [3],
      rows: phases.map((span, index) => [
        span.what,
        time(span.from),
        index === phases.length - 1 ? 'now' : time(span.to),
        formatDuration(lasted(span)),
      ]),
    })}`;
  },
};
