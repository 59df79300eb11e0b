/** How writes get to the target, and what that promises less. */
import { html, table } from '../html.ts';
import type { FleetSection } from '../section.ts';

export const promises: FleetSection = {
  title: 'Capture and promises',
  draw: ({ capture, weaker }) =>
    weaker.length === 0
      ? html`<p>
          Capture <code>${capture}</code>: a trigger journals every write in the writer’s own transaction.
          Every promise is kept whole, as long as each side keeps its own commits.
        </p>`
      : html`<p class="notice">
            Capture <code>${capture}</code>: the application writes both sides itself. These promises are
            weaker than with triggers:
          </p>
          ${table({
            caption: 'Promises that are kept only in part',
            heads: ['promise', 'what holds instead'],
            rows: weaker.map(({ promise, says }) => [promise, says]),
          })}`,
};
