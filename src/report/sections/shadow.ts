/** Reads that were asked of both sides and compared. */
import type { ShadowFacts } from '../facts.ts';
import { count, html, named, table, time } from '../html.ts';
import type { TenantSection } from '../section.ts';
import { sayDifferences } from '../../domain/shadow.ts';

export const shadow: TenantSection = {
  title: 'Shadow comparison',
  draw: ({ shadow: sums, phase }) => {
    const samples = sums.reduce((all, one) => all + one.samples, 0);
    const differing = sums.reduce((all, one) => all + one.differing, 0);
    return html`${
      sums.length === 0
        ? ''
        : html`<p>
            ${count(samples)} reads compared,
            <span class="${differing === 0 ? 'good' : 'bad'}">${count(differing)} differed</span>. Counted
            anew whenever shadow is entered, and by a retry.
          </p>`
    }${table({
      caption: 'Reads compared, by their name',
      heads: ['read', 'compared', 'differing', 'how', 'first (UTC)', 'last (UTC)'],
      numbers: [1, 2],
      rows: sums.map((one) => [
        named(one.read),
        count(one.samples),
        count(one.differing),
        howOf(one),
        time(one.firstAt),
        time(one.lastAt),
      ]),
      otherwise: `Not recorded: no application node wrote a comparison of this tenant (it is in ${phase}).`,
    })}`;
  },
};

function howOf({ classes, slowerByMs }: ShadowFacts): string {
  const slower = slowerByMs === null ? '' : `${classes.slower ?? 0} slower, by ${slowerByMs} ms on average`;
  return [sayDifferences(classes), slower].filter((said) => said !== '').join(', ') || '–';
}
