/** Gates that somebody opened by decision. They stay here for ever, also after they ended. */
import { html, named, table, time } from '../html.ts';
import type { TenantSection } from '../section.ts';

export const waivers: TenantSection = {
  title: 'Waivers',
  draw: ({ waivers: all }, _, { at }) =>
    table({
      caption: 'Gates that were waived',
      heads: ['gate', 'phase', 'when (UTC)', 'until (UTC)', 'who', 'why'],
      rows: all.map(({ gate, phase, at: since, until, actor, reason }) => [
        gate,
        phase,
        time(since),
        html`${time(until)}${until < at ? ' (over)' : ''}`,
        named(actor),
        reason,
      ]),
      otherwise: 'None: no gate was ever waived.',
    }),
};
