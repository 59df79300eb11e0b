/** The page: one table of sections for the whole, one for each tenant. Everything it needs is in it, and nothing can be loaded. */
import type { Draw } from './chart.ts';
import type { ReportFacts, TenantFacts } from './facts.ts';
import { facts, html, Html, named, time } from './html.ts';
import type { FleetSection, TenantSection } from './section.ts';
import { certificate } from './sections/certificate.ts';
import { copied } from './sections/copied.ts';
import { drift } from './sections/drift.ts';
import { events } from './sections/events.ts';
import { flips } from './sections/flips.ts';
import { gates } from './sections/gates.ts';
import { latency } from './sections/latency.ts';
import { load } from './sections/load.ts';
import { promises } from './sections/promises.ts';
import { modeOf, standing } from './sections/standing.ts';
import { shadow } from './sections/shadow.ts';
import { timeline } from './sections/timeline.ts';
import { waivers } from './sections/waivers.ts';
import { waves } from './sections/waves.ts';
import { STYLE } from './style.ts';

export const FLEET_SECTIONS: Readonly<Record<string, FleetSection>> = { standing, waves, promises };

export const TENANT_SECTIONS: Readonly<Record<string, TenantSection>> = {
  timeline,
  flips,
  copied,
  drift,
  shadow,
  load,
  latency,
  gates,
  waivers,
  certificate,
  events,
};

/** Whatever a name may hold: no script, frame, picture or address is obeyed. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'";

export function pageOf(report: ReportFacts, draw: Draw): string {
  const title = `Switchback report: ${report.migration}`;
  const { text } = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${POLICY}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <style>
          ${new Html(STYLE)}
        </style>
      </head>
      <body>
        <a class="skip" href="#main">Skip to the report</a>
        <header>
          <h1>${title}</h1>
          <p>
            As of ${time(report.at)} UTC, from the control schema of the
            source${report.missing.length === 0 ? '' : ', with gaps'}.
          </p>
          ${report.missing.map((what) => html`<p class="notice">Missing: ${what}</p>`)}
        </header>
        <nav aria-label="Contents">${contents(report)}</nav>
        <main id="main">
          ${fleetSections(report, draw)}
          ${report.tenants.map((tenant, index) => tenantSection(tenant, index + 1, report, draw))}
          ${leftOut(report)}
        </main>
        <footer>
          Written by <code>switchback report</code>. Names are as given: they guard against mistakes, not
          against malice.
        </footer>
      </body>
    </html> `;
  return text;
}

const contents = ({ tenants }: ReportFacts): Html =>
  html`<ul>
    ${Object.entries(FLEET_SECTIONS).map(([id, { title }]) => html`<li><a href="#${id}">${title}</a></li>`)}${tenants.map(
      ({ tenant }, index) => html`<li><a href="#tenant-${index + 1}">Tenant ${named(tenant)}</a></li>`,
    )}
  </ul>`;

const fleetSections = (report: ReportFacts, draw: Draw): Html[] =>
  Object.entries(FLEET_SECTIONS).map(
    ([id, { title, draw: section }]) =>
      html`<section id="${id}" aria-labelledby="${id}-title">
        <h2 id="${id}-title">${title}</h2>
        ${section(report, draw, report) ?? html`<p class="none">No fleet was started: tenants move one by one.</p>`}
      </section>`,
  );

function tenantSection(tenant: TenantFacts, number: number, report: ReportFacts, draw: Draw): Html {
  const id = `tenant-${number}`;
  const { phase, mode, reason, since, stage, epoch, wave } = tenant;
  return html`<section class="tenant" id="${id}" aria-labelledby="${id}-title">
    <h2 id="${id}-title">Tenant ${named(tenant.tenant)}</h2>
    ${facts([
      ['phase', phase],
      ['mode', modeOf(mode)],
      ['since (UTC)', time(since)],
      ['stage, epoch', `${stage}, ${epoch}`],
      ['wave', named(wave)],
      ...(reason === null ? [] : [['why', reason] as const]),
    ])}
    ${Object.entries(TENANT_SECTIONS).map(([name, section]) => {
      const drawn = section.draw(tenant, draw, report);
      return drawn === null
        ? ''
        : html`<section aria-labelledby="${id}-${name}">
            <h3 id="${id}-${name}">${section.title}</h3>
            ${drawn}
          </section> `;
    })}
  </section>`;
}

const leftOut = ({ leftOut: number }: ReportFacts): Html =>
  number === 0
    ? html``
    : html`<p class="notice">
        ${number} more tenants are in the first table only; <code>switchback report TENANT</code> tells of
        one.
      </p>`;
