/** "Did you mean …?" for names that people type. */

/** Longer names are never typing slips of ours, and comparing them costs their product. */
const LENGTH_MAX = 64;

/** @returns the candidate that a slip or two lead to, or null. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  if (word.length > LENGTH_MAX) return null;
  let best: { candidate: string; distance: number } | null = null;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > 3 || candidate.length > LENGTH_MAX) continue;
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (best === null || distance < best.distance) best = { candidate, distance };
  }
  const allowed = Math.max(1, Math.floor(word.length / 3));
  return best !== null && best.distance <= allowed ? best.candidate : null;
}

/** Changes, additions, losses and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? before[j - 2]! + 1 : Infinity;
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + change, swapped));
    }
    [before, row] = [row, next];
  }
  return row[b.length]!;
}

/** `a`, `a and b`, `a, b and c`. */
export const oneOf = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)!}`;
