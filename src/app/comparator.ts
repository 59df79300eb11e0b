/** When two answers of one read are the same: in canonical text, by the rule of the read's name. */
export interface CompareRule {
  /** `false` (the default): rows in another order are counted apart, and count as equal. */
  readonly ordered?: boolean;
  /** Columns, or fields of what the function returned, that may differ; at any depth. */
  readonly ignoreColumns?: readonly string[];
  /** Two numbers are the same when they are at most so far apart; 0, the default: exactly. */
  readonly tolerance?: number;
}

export type Comparison = 'equal' | 'reordered' | 'differing';

/** @param one,other what `canonical` made of the answers, or what the read came to instead */
export function compare(one: string, other: string, rule: CompareRule = {}): Comparison {
  if (one === other) return 'equal';
  const [a, b] = [parsed(one), parsed(other)];
  if (a === undefined || b === undefined) return 'differing';
  const { ordered = false, ignoreColumns = [], tolerance = 0 } = rule;
  const ignored = new Set(ignoreColumns);
  const [left, right] = [without(a, ignored), without(b, ignored)];
  if (near(left, right, tolerance)) return 'equal';
  if (ordered || !Array.isArray(left) || !Array.isArray(right)) return 'differing';
  return near(sorted(left), sorted(right), tolerance) ? 'reordered' : 'differing';
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // `refused 1054`, or an answer that is no JSON
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

/** By their text: rows whose only difference is within the tolerance may still change places. */
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
