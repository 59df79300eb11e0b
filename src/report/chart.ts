/** Charts as inline SVG, drawn when the report is written. Colours are the page's own, so they follow light and dark. */
import type * as Plot from '@observablehq/plot';

import { html, Html, visible } from './html.ts';

type Library = typeof Plot;

export interface Chart {
  /** What it shows, and what can be seen in it: for whoever does not see it. */
  readonly title: string;
  readonly says: string;
  readonly legend: readonly (readonly [string, string])[];
  readonly options: (plot: Library) => Plot.PlotOptions;
}

export type Draw = (chart: Chart) => Html;

const WIDTH = 960;

/** Half a second of modules, so only a report loads them. */
export async function openDrawing(): Promise<Draw> {
  const [plot, { parseHTML }] = await Promise.all([import('@observablehq/plot'), import('linkedom')]);
  const { document } = parseHTML('<!doctype html><html></html>');
  return ({ title, says, legend, options }) => {
    const svg = plot.plot({
      document: document as never,
      width: WIDTH,
      ariaLabel: visible(title),
      ariaDescription: visible(says),
      marginBottom: 40,
      style: { fontSize: '13px', fontFamily: 'inherit', background: 'none', overflow: 'visible' },
      ...options(plot),
    });
    svg.setAttribute('role', 'img');
    return html`<figure>
      <figcaption>${title}. <span class="says">${says}</span></figcaption>
      ${legendOf(legend)}
      <div class="wide chart" role="region" aria-label="${title}" tabindex="0">
        ${new Html(svg.outerHTML as string)}
      </div>
    </figure>`;
  };
}

const legendOf = (legend: Chart['legend']): Html =>
  legend.length === 0
    ? html``
    : html`<ul class="legend">
        ${legend.map(
          ([label, color]) => html`<li><span class="swatch ${swatch(color)}"></span>${label}</li>`,
        )}
      </ul> `;

/** `var(--stage-read-target)` is drawn by the class `swatch-stage-read-target`. */
const swatch = (color: string): string => `swatch-${color.replace(/^var\(--|\)$/g, '')}`;

/** Axis labels that people chose. */
export const label = (text: string): string => {
  const shown = visible(text);
  return shown.length > LABEL_MAX ? `${shown.slice(0, LABEL_MAX)}…` : shown;
};

const LABEL_MAX = 22;
