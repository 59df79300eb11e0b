/** How a page looks: on a wide screen, on a phone, on paper. No font, picture or script comes from elsewhere. */
import { SCHEMES } from './colors.ts';

export const STYLE = `${SCHEMES}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif; }
header, nav, main, footer { max-width: 68rem; margin: 0 auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: anywhere; }
h1 { margin: 2rem 0 0.25rem; font-size: 1.75rem; }
h2 { margin: 3rem 0 0.5rem; padding-top: 1rem; border-top: 2px solid var(--line); font-size: 1.4rem; }
h3 { margin: 2rem 0 0.5rem; font-size: 1.1rem; }
p, li, dd { overflow-wrap: anywhere; }
a { color: var(--link); }
a:focus-visible, [tabindex]:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 1rem; padding: 0.5rem 1rem; background: var(--page); }
nav ul { columns: 16rem; padding-left: 1.25rem; }
.none, .says, .note { color: var(--quiet); }
.notice { padding: 0.75rem 1rem; border-left: 4px solid var(--held); background: var(--panel); }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; } .held { color: var(--held); font-weight: 600; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 0.5rem 1.5rem; margin: 0.5rem 0; }
dl div { min-width: 0; border-left: 2px solid var(--line); padding-left: 0.6rem; }
dt { color: var(--quiet); font-size: 0.85rem; } dd { margin: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
caption { padding: 0.25rem 0; color: var(--quiet); text-align: left; }
th, td { padding: 0.3rem 0.75rem 0.3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
tbody th { font-weight: 500; } time { white-space: nowrap; }
td, tbody th { max-width: 30rem; overflow-wrap: break-word; }
.number { text-align: right; white-space: nowrap; }
figure { margin: 1rem 0; } figcaption { margin-bottom: 0.25rem; font-weight: 500; } .says { font-weight: 400; }
.chart svg { display: block; width: 100%; min-width: 40rem; height: auto; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; margin: 0.25rem 0; padding: 0; list-style: none; font-size: 0.85rem; }
.swatch { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.4em; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
code { font-family: ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: 0.9em; overflow-wrap: anywhere; }
footer { margin-top: 3rem; padding-bottom: 2rem; color: var(--quiet); font-size: 0.85rem; }
@media print {
  body { font-size: 10pt; } nav, .skip { display: none; } header, main, footer { max-width: none; padding: 0; }
  .wide { overflow: visible; } .chart svg { min-width: 0; } section.tenant { break-before: page; }
  figure, tr, dl div { break-inside: avoid; } h2, h3, caption { break-after: avoid; } thead { display: table-header-group; }
}
`;
