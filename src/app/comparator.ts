/** When two answers of one read are the same, and else in which way they differ: in canonical text, by the read's rule. */
import type { Difference } from '../domain/shadow.ts';

export interface CompareRule {
  /** `false` (the default): rows in another order are counted apart, and count as equal. */
  readonly ordered?: boolean;
  /** Columns, or fields of what the function returned, that may differ; at any depth. */
  readonly ignoreColumns?: readonly string[];
  /** Two numbers are the same when they are at most so far apart; 0, the default: exactly. */
  readonly tolerance?: number;
}

export type Comparison = 'equal' | 'reordered' | Exclude<Difference, 'slower'>;

export const isDiffering = (comparison: Comparison): boolean =>
  comparison !== 'equal' && comparison !== 'reordered';

/** Beside the text of an answer, which never looks like this. */
export const failed = (how: 'refused' | 'threw', what: string | number | null): string => `${how} ${what}`;
const isFailure = (outcome: string): boolean => /^(refused|threw) /.test(outcome);

/** @param source,target what `canonical` made of the answers, or what the read came to instead */
export function compare(source: string, target: string, rule: CompareRule = {}): Comparison {
  if (source === target) return 'equal';
  if (isFailure(source) || isFailure(target)) return 'error';
  const { ordered = false, ignoreColumns = [], tolerance = 0 } = rule;
  const ignored = new Set(ignoreColumns);
  const [left, right] = [without(parsed(source), ignored), without(parsed(target), ignored)];
  if (near(left, right, tolerance)) return 'equal';
  const fewer = rowsIn(left) - rowsIn(right);
  if (fewer !== 0) return fewer > 0 ? 'missing' : 'extra';
  const isShuffled = Array.isArray(left) && Array.isArray(right) && areShuffled(left, right, tolerance);
  if (!isShuffled) return 'value';
  return ordered ? 'order' : 'reordered';
}

/** Of an answer: a list, one row or none, or an object that holds lists of rows. */
function rowsIn(answer: unknown): number {
  if (answer === null || answer === undefined) return 0;
  if (Array.isArray(answer)) return answer.length;
  if (typeof answer !== 'object') return 1;
  const lists = Object.values(answer).filter((field) => Array.isArray(field) && field.every(isRow));
  return 1 + lists.flat().length;
}

const isRow = (element: unknown): boolean => typeof element === 'object' && element !== null;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // as which `canonical` writes an answer that is none
  }
}

function without(value: unknown, ignored: ReadonlySet<string>): unknown {
  if (ignored.size === 0 || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((element) => without(element, ignored));
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !ignored.has(name))
      .map(([name, field]) => [name, without(field, ignored)]),
  );
}

/** Beyond so many rows none is looked for in other places: each with each would hold the event loop up (100: some 10 ms). */
const MATCHED_MAX = 100;

/** The same rows, in whichever order? */
function areShuffled(left: readonly unknown[], right: readonly unknown[], tolerance: number): boolean {
  if (near(sorted(left), sorted(right), tolerance)) return true;
  if (tolerance === 0 || left.length > MATCHED_MAX) return false;
  const rest = [...right];
  return left.every((row) => {
    const at = rest.findIndex((other) => near(row, other, tolerance));
    if (at >= 0) rest.splice(at, 1);
    return at >= 0;
  });
}

/** By their text: of numbers that differ within the tolerance, the order may too. */
const sorted = (rows: readonly unknown[]): unknown[] =>
  [...rows].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));

function near(one: unknown, other: unknown, tolerance: number): boolean {
  if (tolerance === 0) return JSON.stringify(one) === JSON.stringify(other);
  if (typeof one === 'string' && typeof other === 'string')
    return (
      one === other ||
      (isNumber(one) && isNumber(other) && Math.abs(Number(one) - Number(other)) <= tolerance)
    );
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null)
    return one === other;
  const [left, right] = [Object.entries(one), Object.entries(other)];
  return (
    left.length === right.length &&
    left.every(([name, value], index) => {
      const [otherName, otherValue] = right[index]!;
      return name === otherName && near(value, otherValue, tolerance);
    })
  );
}

/** Numbers are text in a canonical answer. */
const isNumber = (text: string): boolean => /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text);
