/** Rounds in turns: what is compared runs in the same minutes on the same machine. */
import { median, rounded } from './result.ts';

export const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);

export const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** @returns values by name, one of each round */
export async function inTurns(
  contestants: Readonly<Record<string, () => Promise<number>>>,
  rounds = ROUNDS,
): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {};
  for (let round = 1; round <= rounds; round += 1) {
    for (const [name, run] of Object.entries(contestants)) {
      const value = await run();
      (found[name] ??= []).push(value);
      say(`round ${round}/${rounds} ${name}: ${rounded(value)}`);
    }
  }
  return found;
}

/** The median of the ratios of each round: a slow minute hits both. */
export const ratioOf = (a: readonly number[], b: readonly number[]): number =>
  rounded(median(a.map((value, index) => value / b[index]!)));

export const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1_000;
};
