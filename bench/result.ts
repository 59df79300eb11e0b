/** What every bench writes: medians of several runs, and ratios between what ran in the same run. */
import { cpus, totalmem } from 'node:os';

export interface Result {
  readonly name: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly runs: number;
  /** Units are in the names. */
  readonly medians: Readonly<Record<string, number>>;
  readonly ratios: Readonly<Record<string, number>>;
}

export const machine = (): string =>
  `${cpus().length} cores ${cpus()[0]?.model ?? ''}, ${Math.round(totalmem() / 2 ** 30)} GiB`;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

export const rounded = (value: number): number => Math.round(value * 1_000) / 1_000;
