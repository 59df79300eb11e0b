/** Size of the next window, from how long the last one took: grown slowly, shrunk at once. */
import type { Milliseconds } from './duration.ts';

const GROWTH_MAX = 1.5;
export const WINDOW_ROWS_MIN = 50;

export interface WindowLimits {
  readonly targetMs: Milliseconds;
  readonly rowsMax: number;
}

/**
 * @param rows rows of the last window's size limit
 * @param tookMs time of its slowest statement
 * @returns rows for the next one, between 50 and `rowsMax`
 */
export function nextWindowRows(
  rows: number,
  tookMs: Milliseconds,
  { targetMs, rowsMax }: WindowLimits,
): number {
  const ratio = targetMs / Math.max(tookMs, 1);
  const wanted = Math.floor(rows * (ratio >= 1 ? Math.min(ratio, GROWTH_MAX) : ratio));
  return Math.max(Math.min(WINDOW_ROWS_MIN, rowsMax), Math.min(wanted, rowsMax));
}
