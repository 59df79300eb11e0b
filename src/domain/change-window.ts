/** When reads may be flipped to the target: hours and weekdays of a wave, and dates on which nothing is flipped. */
import type { Milliseconds } from './duration.ts';

export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

export interface FlipHours {
  readonly days: readonly Weekday[];
  /** `09:00`; the first minute. */
  readonly from: string;
  /** `17:00`; the first minute after. */
  readonly to: string;
  /** IANA name, such as `Europe/Berlin`. */
  readonly timeZone: string;
}

export interface Freeze {
  /** Epoch milliseconds; the first one. */
  readonly from: Milliseconds;
  /** The first one after. */
  readonly to: Milliseconds;
  readonly why: string;
}

/** @returns why nothing may be flipped at this moment; null: it may. */
export function whyNoFlip(
  at: Milliseconds,
  hours: FlipHours | null,
  freezes: readonly Freeze[],
): string | null {
  const freeze = freezes.find(({ from, to }) => from <= at && at < to);
  if (freeze !== undefined) return `frozen until ${new Date(freeze.to).toISOString()}: ${freeze.why}`;
  if (hours === null) return null;
  const { day, time } = local(at, hours.timeZone);
  if (hours.days.includes(day) && hours.from <= time && time < hours.to) return null;
  return `it is ${day} ${time} in ${hours.timeZone}`;
}

export const sayHours = ({ days, from, to, timeZone }: FlipHours): string =>
  `${days.join(' ')} ${from} to ${to} ${timeZone}`;

function local(at: Milliseconds, timeZone: string): { readonly day: Weekday; readonly time: string } {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(at);
  const part = (type: Intl.DateTimeFormatPartTypes): string =>
    parts.find((one) => one.type === type)?.value ?? '';
  return { day: part('weekday').toLowerCase() as Weekday, time: `${part('hour')}:${part('minute')}` };
}
