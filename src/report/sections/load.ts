/** How much the source is read, before the flip and after it. */
import { color } from '../colors.ts';
import { count, html, table } from '../html.ts';
import type { TenantSection } from '../section.ts';
import type { ReadRate } from '../facts.ts';
import { READ_SIDES, type ReadSide } from '../../domain/read-load.ts';
import { STAGES } from '../../domain/stage.ts';

const SAYS: Readonly<Record<ReadSide, string>> = {
  source: 'answered by the source',
  target: 'answered by the target',
  buffer: 'answered by the read buffer, no side was asked',
};

export const NO_READS =
  'Not recorded: no application node wrote down its reads. The library does, every five seconds; services in other languages do not have to.';

export const load: TenantSection = {
  title: 'Read load of the source, before and after',
  draw: ({ reads }, draw) => {
    if (reads.length === 0) return html`<p class="none">${NO_READS}</p>`;
    const stages = Object.keys(STAGES).filter((stage) => reads.some((one) => one.stage === stage));
    const rated = reads.filter(({ perSecond }) => perSecond !== null);
    return html`<p>
        ${compared(reads)} In read-target the source answers whatever the mirror is behind with, or the target
        fails.
      </p>
      ${
        rated.length === 0
          ? ''
          : draw({
              title: 'Reads a second, by stage and by who answered',
              says: stages
                .map(
                  (stage) =>
                    `${stage}: ${READ_SIDES.map((side) => `${rate(reads, stage, side)} ${side}`).join(', ')}`,
                )
                .join('; '),
              legend: READ_SIDES.filter((side) => rated.some((one) => one.side === side)).map((side) => [
                SAYS[side],
                color(`side-${side}`),
              ]),
              options: (plot) => ({
                height: stages.length * 34 + 60,
                marginLeft: 110,
                x: { label: 'reads a second', grid: true },
                y: { label: null, domain: stages, tickSize: 0 },
                color: { type: 'identity' },
                marks: [
                  plot.barX(rated, {
                    x: 'perSecond',
                    y: 'stage',
                    fill: ({ side }: ReadRate) => color(`side-${side}`),
                    order: READ_SIDES.map((side) => color(`side-${side}`)),
                  }),
                  plot.ruleX([0]),
                ],
              }),
            })
      }${table({
        caption:
          'Reads of the application by stage; shadow samples and reads inside write transactions are not among them',
        heads: ['stage', 'answered by', 'reads', 'a second'],
        numbers: [2, 3],
        rows: reads.map(({ stage, side, reads: all, perSecond }) => [
          stage,
          side,
          count(all),
          perSecond === null ? '–' : count(perSecond),
        ]),
      })}`;
  },
};

const rate = (reads: readonly ReadRate[], stage: string, side: string): string => {
  const found = reads.find((one) => one.stage === stage && one.side === side);
  return found === undefined ? '0' : found.perSecond === null ? '–' : count(found.perSecond);
};

/** The last stage before the flip against the flip. */
function compared(reads: readonly ReadRate[]): string {
  const before = ['shadow-read', 'dual-write', 'source-only'].find((stage) =>
    reads.some((one) => one.stage === stage && one.side === 'source' && one.perSecond !== null),
  );
  if (before === undefined || !reads.some(({ stage }) => stage === 'read-target'))
    return 'Before and after a flip can be compared when both were recorded.';
  return `The source answered ${rate(reads, before, 'source')} reads a second in ${before}, and ${rate(reads, 'read-target', 'source')} in read-target.`;
}
