/** Every colour of a page, light and dark: at least 4.5 to 1 for text and 3 to 1 for shapes, on the page and on a panel. */

// prettier-ignore
const COLORS: Readonly<Record<string, readonly [light: string, dark: string]>> = {
  page:                ['#ffffff', '#14171c'],
  panel:               ['#f5f6f8', '#1d2229'],
  line:                ['#c9ced6', '#3d4550'],
  text:                ['#1b1f24', '#e8eaed'],
  quiet:               ['#545c68', '#aab2bd'],
  link:                ['#1d4ed8', '#93b4fd'],
  good:                ['#166534', '#6ee7a0'],
  bad:                 ['#b01c1c', '#fca5a5'],
  held:                ['#8a4b08', '#fcd34d'],
  'stage-source-only': ['#6b7280', '#9ca3af'],
  'stage-dual-write':  ['#2563eb', '#7aa7fb'],
  'stage-shadow-read': ['#8b5cf6', '#b79dfb'],
  'stage-read-target': ['#15803d', '#4ade80'],
  'stage-write-hold':  ['#b91c1c', '#f87171'],
  'side-source':       ['#2563eb', '#7aa7fb'],
  'side-target':       ['#15803d', '#4ade80'],
  'side-buffer':       ['#b45309', '#fbbf24'],
  'drift-missing':     ['#b45309', '#fbbf24'],
  'drift-extra':       ['#8b5cf6', '#b79dfb'],
  'drift-different':   ['#b91c1c', '#f87171'],
};

const declared = (scheme: 0 | 1): string =>
  Object.entries(COLORS)
    .map(([name, colors]) => `--${name}: ${colors[scheme]};`)
    .join(' ');

export const SCHEMES = `:root { color-scheme: light dark; ${declared(0)} }
@media (prefers-color-scheme: dark) { :root { ${declared(1)} } }
@media print { :root { color-scheme: light; ${declared(0)} } }
${Object.keys(COLORS)
  .map((name) => `.swatch-${name} { background: var(--${name}); }`)
  .join('\n')}`;

export const color = (name: string): string => `var(--${name})`;

export const stageColor = (stage: string): string => color(`stage-${stage}`);

/** For every name in both schemes: what tests of contrast read. */
export const ALL_COLORS = COLORS;
