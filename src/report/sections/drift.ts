/** Drift: what verdicts proved, by class, and what became of it. */
import { color } from '../colors.ts';
import { count, html, table } from '../html.ts';
import type { TenantSection } from '../section.ts';

const CLASSES = ['missing', 'extra', 'different'];
const MEANS: Readonly<Record<string, string>> = {
  missing: 'missing: on the source only',
  extra: 'extra: on the target only',
  different: 'different: other values',
};

export const drift: TenantSection = {
  title: 'Drift found and repaired',
  draw: ({ drift: sums, driftMoments: moments, phases }, draw, { at: now }) => {
    if (sums.length === 0) return html`<p class="none">None: no verdict ever proved a difference.</p>`;
    const found = sums.reduce((all, one) => all + one.found, 0);
    const open = sums.reduce((all, one) => all + one.open, 0);
    const began = [phases[0]?.from ?? now, moments[0]?.at ?? now].toSorted()[0]!;
    const seen = CLASSES.filter((name) => moments.some((moment) => moment.class === name));
    return html`<p>
        ${count(found)} rows found,
        <span class="${open === 0 ? 'good' : 'bad'}">${count(open)} still open</span>. Keys, hashes and
        columns: <code>switchback drift list</code>, <code>switchback drift show</code>; values are never
        kept.
      </p>
      ${draw({
        title: 'When drift was found (UTC)',
        says: `${moments.length === 1 ? 'In one minute' : `In ${moments.length} minutes`}; the larger a dot, the more rows.`,
        legend: seen.map((name) => [MEANS[name] ?? name, color(`drift-${name}`)]),
        options: (plot) => ({
          height: seen.length * 40 + 60,
          marginLeft: 110,
          x: { type: 'utc', label: null, grid: true, domain: [new Date(began), new Date(now)] },
          y: { type: 'point', label: null, domain: seen, tickSize: 0 },
          r: { range: [5, 14] },
          color: { type: 'identity' },
          marks: [
            plot.dot(
              moments.map(({ at, class: kind, rows }) => ({ at: new Date(at), kind, rows })),
              { x: 'at', y: 'kind', r: 'rows', fill: ({ kind }: { kind: string }) => color(`drift-${kind}`) },
            ),
          ],
        }),
      })}${table({
        caption: 'Drift by table and class',
        heads: [
          'table',
          'class',
          'found',
          'open',
          'repaired by policy',
          'by an operator',
          'by a backfill',
          'read equal later',
          'came again',
        ],
        numbers: [2, 3, 4, 5, 6, 7, 8, 9],
        rows: sums.map((one) => [
          one.table,
          one.class,
          count(one.found),
          count(one.open),
          count(one.repaired['policy'] ?? 0),
          count(one.repaired['operator'] ?? 0),
          count(one.repaired['backfill'] ?? 0),
          count(one.verified),
          count(one.recurred),
        ]),
      })}`;
  },
};
