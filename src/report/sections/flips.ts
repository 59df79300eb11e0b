/** Every move of the reads: to the target, and back. */
import { html, named, table, time } from '../html.ts';
import type { TenantSection } from '../section.ts';
import { formatDuration } from '../../domain/duration.ts';

export const flips: TenantSection = {
  title: 'Flips and rollbacks',
  draw: ({ flips: all }) => {
    const back = all.filter(({ to }) => to === 'source').length;
    return html`<p>
        Reads were moved ${all.length} times, ${back} of them back to the source, drills included. How long
        the last node took to follow is measured by the drill (its certificate) and by a rollback’s workflow;
        of other flips it is not recorded.
      </p>
      ${table({
        caption: 'Moves of the reads',
        heads: ['when (UTC)', 'reads go to', 'epoch', 'who', 'why', 'until the nodes had followed'],
        numbers: [2],
        rows: all.map(({ at, to, epoch, actor, reason, followedMs }) => [
          time(at),
          to,
          epoch ?? '–',
          named(actor),
          reason,
          followedMs === null ? 'not recorded' : formatDuration(followedMs),
        ]),
        otherwise: 'Reads never left the source.',
      })}`;
  },
};
