/** How long reads took on either side, as the application saw it. */
import { color } from '../colors.ts';
import { count, html, table } from '../html.ts';
import type { TenantSection } from '../section.ts';
import { NO_READS } from './load.ts';
import { BUCKET_ENDS } from '../../domain/read-load.ts';

const SHARES = ['p50', 'p95', 'p99'] as const;

export const latency: TenantSection = {
  title: 'Latency of both sides',
  draw: ({ reads }, draw) => {
    const asked = reads.filter(({ side }) => side !== 'buffer');
    if (asked.length === 0) return html`<p class="none">${NO_READS}</p>`;
    const dots = asked.flatMap(({ stage, side, ...one }) =>
      [...new Set(SHARES.map((share) => one[share]))].flatMap((ms) => {
        const shares = SHARES.filter((share) => one[share] === ms).join(' ');
        return ms === null ? [] : [{ row: `${side}, ${stage}`, side, shares, ms }];
      }),
    );
    const rows = asked.map(({ side, stage }) => `${side}, ${stage}`);
    return html`${draw({
      title: 'Half, 95 and 99 of a hundred reads took at most',
      says: asked
        .map(
          ({ side, stage, p50, p99 }) =>
            `${side} in ${stage}: half within ${said(p50)}, 99 of 100 within ${said(p99)}`,
        )
        .join('; '),
      legend: (['source', 'target'] as const)
        .filter((side) => asked.some((one) => one.side === side))
        .map((side) => [side, color(`side-${side}`)]),
      options: (plot) => ({
        height: rows.length * 34 + 60,
        marginLeft: 170,
        x: {
          type: 'log',
          domain: [1, 5_000],
          label: 'milliseconds',
          grid: true,
          ticks: [...BUCKET_ENDS],
          tickFormat: 'd',
        },
        y: { type: 'point', label: null, domain: rows, tickSize: 0 },
        color: { type: 'identity' },
        marks: [
          plot.dot(dots, {
            x: 'ms',
            y: 'row',
            r: 6,
            fill: ({ side }: { side: string }) => color(`side-${side}`),
          }),
          plot.text(dots, { x: 'ms', y: 'row', text: 'shares', dy: -13 }),
        ],
      }),
    })}${table({
      caption: 'What a read took, from the pool’s connection to its answer, in milliseconds',
      heads: ['side', 'stage', 'reads', 'mean', 'p50 at most', 'p95 at most', 'p99 at most'],
      numbers: [2, 3, 4, 5, 6],
      rows: asked.map(({ side, stage, reads: all, micros, p50, p95, p99 }) => [
        side,
        stage,
        count(all),
        all === 0 ? '–' : (micros / 1_000 / all).toFixed(1),
        said(p50),
        said(p95),
        said(p99),
      ]),
    })}`;
  },
};

const said = (ms: number | null): string => (ms === null ? `over ${BUCKET_ENDS.at(-1)!} ms` : `${ms} ms`);
