/** Where everybody stands, and since when each was in which stage. */
import { label } from '../chart.ts';
import { stageColor } from '../colors.ts';
import { html, named, table, time, type Html, type Part } from '../html.ts';
import type { FleetSection } from '../section.ts';
import type { Standing } from '../facts.ts';
import { STAGES } from '../../domain/stage.ts';

const CHARTED = 60;
const ROW = 24;

/** How a mode is said: in words, with a colour beside them. */
export const modeOf = (mode: string): Html => {
  const kind = { stopped: 'bad', paused: 'held' }[mode];
  return kind === undefined ? html`${mode}` : html`<span class="${kind}">${mode}</span>`;
};

export const standing: FleetSection = {
  title: 'Where every tenant stands',
  draw: ({ standing: all, notStarted, tenants }, draw) => {
    const place = new Map(tenants.map(({ tenant }, index) => [tenant, index + 1]));
    const name = ({ tenant }: Standing): Part =>
      place.has(tenant) ? html`<a href="#tenant-${place.get(tenant)!}">${named(tenant)}</a>` : named(tenant);
    const rows = all.map((one) => [
      name(one),
      named(one.wave),
      one.phase,
      modeOf(one.mode),
      one.reason ?? '',
      time(one.since),
      one.stage,
    ]);
    const charted = all.filter(({ stages }) => stages.length > 0).slice(0, CHARTED);
    const shown = new Set(charted.flatMap(({ stages }) => stages.map(({ what }) => what)));
    return html`${
      charted.length === 0
        ? ''
        : draw({
            title: 'Stages over time (UTC)',
            says: `Reads are on the target of ${all.filter(({ stage }) => stage === 'read-target').length} of ${all.length} tenants now.${all.length > CHARTED ? ` The first ${CHARTED} are drawn.` : ''}`,
            legend: Object.keys(STAGES)
              .filter((stage) => shown.has(stage))
              .map((stage) => [stage, stageColor(stage)]),
            options: (plot) => ({
              height: charted.length * ROW + 60,
              marginLeft: 190,
              x: { type: 'utc', label: null, grid: true },
              y: {
                label: null,
                domain: charted.map((_, index) => index),
                tickFormat: (index: number) => label(charted[index]!.tenant),
                tickSize: 0,
              },
              marks: [
                plot.barX(
                  charted.flatMap(({ stages }, index) =>
                    stages.map(({ what, from, to }) => ({
                      index,
                      what,
                      from: new Date(from),
                      to: new Date(to),
                    })),
                  ),
                  {
                    x1: 'from',
                    x2: 'to',
                    y: 'index',
                    fill: ({ what }: { what: string }) => stageColor(what),
                  },
                ),
              ],
              color: { type: 'identity' },
            }),
          })
    }${table({
      caption: 'Tenants that were started, in the order of their start',
      heads: ['tenant', 'wave', 'phase', 'mode', 'why', 'since (UTC)', 'stage'],
      rows,
      otherwise: 'No tenant was started yet.',
    })}${notStarted.length === 0 ? '' : html`<p>Not started yet (${notStarted.length}): ${some(notStarted)}.</p>`}`;
  },
};

const SOME = 50;

const some = (names: readonly string[]): Part[] => [
  ...names.slice(0, SOME).map((name, index) => html`${index === 0 ? '' : ', '}${named(name)}`),
  names.length > SOME ? ` and ${names.length - SOME} more` : '',
];
