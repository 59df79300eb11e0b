/** The fleet's waves, and every decision with who took it and why. */
import { facts, html, named, table, time } from '../html.ts';
import type { FleetSection } from '../section.ts';
import { modeOf } from './standing.ts';

export const waves: FleetSection = {
  title: 'Waves and decisions',
  draw: ({ fleet }) =>
    fleet === null
      ? null
      : html`${facts([
          ['wave', named(fleet.wave)],
          ['mode', modeOf(fleet.mode)],
          ['since (UTC)', time(fleet.since)],
          ['why', fleet.reason ?? '–'],
        ])}${table({
          caption: 'Tenants of each wave by where they stand',
          heads: [
            'wave',
            'tenants',
            'not started',
            'moving',
            'in ramp',
            'soaked',
            'stopped',
            'held',
            'aborted',
          ],
          numbers: [1, 2, 3, 4, 5, 6, 7, 8],
          rows: fleet.waves.map((wave) => [
            named(wave.name),
            wave.size,
            wave.notStarted,
            wave.moving,
            wave.ramp,
            wave.soaked,
            wave.stopped,
            wave.held,
            wave.aborted,
          ]),
        })}${
          fleet.held.length === 0
            ? ''
            : table({
                caption: 'Tenants that are held',
                heads: ['tenant', 'why'],
                rows: fleet.held.map(({ tenant, why }) => [named(tenant), why]),
              })
        }${table({
          caption: 'Decisions, the oldest first',
          heads: ['when (UTC)', 'wave', 'what', 'who', 'why', 'in ramp, soaked, stopped'],
          rows: fleet.decisions.map(({ at, wave, event, actor, reason, evidence }) => {
            const seen = evidence?.find(({ name }) => name === wave);
            return [
              time(at),
              named(wave),
              event,
              named(actor),
              reason,
              seen === undefined ? '–' : `${seen.ramp}, ${seen.soaked}, ${seen.stopped}`,
            ];
          }),
          otherwise: 'No decision was taken yet.',
        })}`,
};
