/** What the drill certified: the latest certificate whole, the earlier ones by their time. */
import { facts, html, time } from '../html.ts';
import type { TenantSection } from '../section.ts';

/** What its fields mean; one that is not named here is shown by its own name. */
const WORDS: Readonly<Record<string, string>> = {
  flipMs: 'flip, until the last node followed (ms)',
  flipBackMs: 'flip back, until the last node followed (ms)',
  probeMs: 'probe (ms)',
  probeAfterCutMs: 'probe after the cut (ms)',
  nodes: 'application nodes',
  reads: 'reads of the probe',
  canaries: 'canaries found on both sides',
  cut: 'connections cut',
  journalAgeMs: 'age of the journal afterwards (ms)',
  seconds: 'seconds',
  digest: 'SHA-256 of the rest',
};

export const certificate: TenantSection = {
  title: 'Drill certificate',
  draw: ({ certificates }) => {
    const [latest, ...earlier] = certificates;
    if (latest === undefined) return html`<p class="none">None: the drill has not been through yet.</p>`;
    return html`<p>Written ${time(latest.at)} UTC.</p>
      ${facts(Object.entries(latest.content).map(([name, value]) => [WORDS[name] ?? name, value] as const))}${
        earlier.length === 0
          ? ''
          : html`<p class="note">
              Earlier ones: ${earlier.map(({ at }, place) => html`${place === 0 ? '' : ', '}${time(at)}`)}.
            </p>`
      }`;
  },
};
