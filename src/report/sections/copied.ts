/** Rows that the latest backfill copied, and how often they were compared since. */
import { color } from '../colors.ts';
import { count, facts, html, table, time } from '../html.ts';
import type { TenantSection } from '../section.ts';

const ROW = 26;

export const copied: TenantSection = {
  title: 'Rows copied and compared',
  draw: ({ copied: tables, passes }, draw) => {
    const sum = (tables ?? []).reduce((all, one) => all + one.copied, 0);
    return html`${facts([
      ['rows copied by the latest backfill', tables === null ? 'the target could not be read' : count(sum)],
      ['passes that ended', `${count(passes.passes)}, ${count(passes.clean)} of them clean`],
      ['rows compared', `${count(passes.rows)} in ${count(passes.windows)} windows`],
      ['suspects, in flight', `${count(passes.suspects)}, ${count(passes.inFlight)}`],
      ['last pass ended (UTC)', passes.lastAt === null ? 'none yet' : time(passes.lastAt)],
    ])}${
      tables === null || sum === 0
        ? ''
        : draw({
            title: 'Rows copied, by table',
            says: `${count(sum)} rows in ${tables.length} tables.`,
            legend: [],
            options: (plot) => ({
              height: tables.length * ROW + 60,
              marginLeft: 150,
              marginRight: 80,
              x: { label: 'rows', grid: true, ticks: 6 },
              y: { label: null, domain: tables.map(({ table: name }) => name), tickSize: 0 },
              marks: [
                plot.barX(tables, { x: 'copied', y: 'table', fill: color('side-target') }),
                plot.text(tables, {
                  x: 'copied',
                  y: 'table',
                  text: (one: { copied: number }) => count(one.copied),
                  textAnchor: 'start',
                  dx: 6,
                }),
              ],
            }),
          })
    }${
      tables === null
        ? ''
        : table({
            caption: 'The latest backfill, by table',
            heads: ['table', 'rows copied', 'rows expected', 'at its end'],
            numbers: [1, 2],
            rows: tables.map((one) => [
              one.table,
              count(one.copied),
              count(one.estimated),
              one.finished ? 'yes' : 'no',
            ]),
            otherwise: 'Nothing was copied yet.',
          })
    }`;
  },
};
