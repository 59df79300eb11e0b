/** Durations as people write them in a plan: `500ms`, `20s`, `15m`, `6h`, `3d`. */
export type Milliseconds = number;

export const SECOND: Milliseconds = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const UNITS: Readonly<Record<string, Milliseconds>> = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY };

/** @returns null when the text is not a duration. */
export function parseDuration(text: string): Milliseconds | null {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim());
  if (match === null) return null;
  return Number(match[1]) * UNITS[match[2]!]!;
}

/** @returns at most two units, rounded down: `2d 4h`, `1m 5s`, `38ms`. */
export function formatDuration(ms: Milliseconds): string {
  if (ms < SECOND) return `${Math.round(ms)}ms`;
  const parts: string[] = [];
  let rest = ms;
  for (const [unit, size] of [
    ['d', DAY],
    ['h', HOUR],
    ['m', MINUTE],
    ['s', SECOND],
  ] as const) {
    const count = Math.floor(rest / size);
    if (count > 0 && parts.length < 2) parts.push(`${count}${unit}`);
    rest -= count * size;
    if (parts.length === 2) break;
  }
  return parts.join(' ');
}
