/** The gates of the phase, with the numbers that they saw when the report was made. */
import { facts, html, table, time } from '../html.ts';
import type { TenantSection } from '../section.ts';
import { formatDuration } from '../../domain/duration.ts';

export const gates: TenantSection = {
  title: 'Gates, with their evidence',
  draw: ({ gates: verdicts, evidence, phase }) => {
    const { at, journalRows, journalAge, mirroredAt, openDrift, nodes, captureLost } = evidence;
    return html`${table({
      caption: `Gates of ${phase}, judged when the report was made`,
      heads: ['gate', 'verdict', 'saw', 'needs', 'what clears it'],
      rows: verdicts.map(({ gate, open, waived, saw, needs, clear }) => [
        gate,
        open
          ? html`<span class="good">open</span>`
          : html`<span class="${waived ? 'held' : 'bad'}">${waived ? 'closed, waived' : 'closed'}</span>`,
        saw,
        needs,
        open ? '–' : clear,
      ]),
      otherwise: `No gate stands between ${phase} and the next phase.`,
    })}${facts([
      ['evidence read (UTC)', time(new Date(at).toISOString())],
      [
        'journal',
        journalRows === null
          ? 'could not be read'
          : journalRows === 0
            ? 'empty'
            : `${journalRows} rows, the oldest ${formatDuration(journalAge ?? 0)}`,
      ],
      ['last mirrored (UTC)', mirroredAt === null ? 'not known' : time(new Date(mirroredAt).toISOString())],
      ['open drift', openDrift ?? 'could not be read'],
      ['application nodes', `${nodes.following} of ${nodes.live} follow`],
      ['capture', captureLost ?? 'stands'],
    ])}`;
  },
};
