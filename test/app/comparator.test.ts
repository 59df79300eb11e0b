/** When two answers are the same, and in which way they differ else. */
import { expect, it } from 'vitest';

import { canonical } from '../../src/app/canonical.ts';
import { compare, failed, type CompareRule, type Comparison } from '../../src/app/comparator.ts';

const [a, b, c] = [
  { id: 1, body: 'a', price: '1.00' },
  { id: 2, body: 'b', price: '2.00' },
  { id: 3, body: 'c', price: '3.00' },
];
const ORDERED: CompareRule = { ordered: true };

/** The number comes first in a row's text. */
const near = (amount: string, code: string) => ({ amount, code });

// prettier-ignore
const CASES: readonly (readonly [what: string, source: unknown, target: unknown, rule: CompareRule, Comparison])[] = [
  ['nothing',                               [],                  [],                          {},      'equal'],
  ['a row that the target lacks',           [a, b, c],           [a, c],                      {},      'missing'],
  ['a row that only the target has',        [a, b],              [a, b, c],                   {},      'extra'],
  ['another value',                         [a, b],              [a, { ...b, body: 'x' }],    {},      'value'],
  ['a row for another one',                 [a, b],              [a, c],                      {},      'value'],
  ['another order, which does not count',   [a, b, c],           [c, a, b],                   {},      'reordered'],
  ['another order, which counts',           [a, b, c],           [c, a, b],                   ORDERED, 'order'],
  ['one row, and none',                     a,                   null,                        {},      'missing'],
  ['none, and one row',                     undefined,           a,                           {},      'extra'],
  ['a number',                              5,                   4,                           {},      'value'],
  ['a page with its rows',                  { n: 2, rows: [a, b] }, { n: 2, rows: [a] },      {},      'missing'],
  ['a row whose list of words is shorter',  { tags: ['x', 'y'] }, { tags: ['x'] },            {},      'value'],
  ['a column that may differ',              [a],                 [{ ...a, body: 'x' }],       { ignoreColumns: ['body'] }, 'equal'],
  ['a number within the tolerance',         [a],                 [{ ...a, price: '1.01' }],   { tolerance: 0.02 }, 'equal'],
  ['rows that change places within it',     [near('1.00', 'x'), near('1.01', 'y')], [near('1.00', 'y'), near('1.01', 'x')], { tolerance: 0.02 }, 'reordered'],
  ['the same where the order counts',       [near('1.00', 'x'), near('1.01', 'y')], [near('1.00', 'y'), near('1.01', 'x')], { tolerance: 0.02, ordered: true }, 'order'],
  ['one of them twice',                     [near('1.00', 'x'), near('1.01', 'x')], [near('1.00', 'x'), near('1.01', 'y')], { tolerance: 0.02 }, 'value'],
  ['a number past the tolerance',           [a],                 [{ ...a, price: '1.03' }],   { tolerance: 0.02 }, 'value'],
];

it.each(CASES)('%s', (_, source, target, rule, comparison) => {
  expect(compare(canonical(source), canonical(target), rule)).toBe(comparison);
});

it('an error is an answer, which the other side must give too', () => {
  const refused = failed('refused', 1054);

  expect(compare(canonical([a]), refused)).toBe('error');
  expect(compare(refused, canonical(undefined))).toBe('error');
  expect(compare(refused, failed('refused', 1146))).toBe('error');
  expect(compare(refused, refused)).toBe('equal');
  expect(compare(canonical('refused 1054'), canonical('refused 1')), 'a text that says so').toBe('value');
});
