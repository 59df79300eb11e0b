/** Mutants of the digest and of the windows it is taken of. */
import type { Mutant } from './mutant.ts';

const DIGEST = 'test/db/digest.test.ts';
const TYPES = 'test/db/types.test.ts';
const TYPES_DIGEST = 'both sides compute the same digest, and different values have different digests';
const RECONCILE = 'test/db/reconcile.test.ts';

// prettier-ignore
export const DIGESTS: readonly Mutant[] = [
  {
    name: 'the row hash is a CRC32',
    file: 'src/db/digest.ts', find: `.join(", '|', ")}), 256)\``, put: `.join(", '|', ")}), 256)\`.replace(/^SHA2\\(/, 'LPAD(HEX(CRC32(').replace(/, 256\\)$/, ")), 32, '0')")`,
    test: DIGEST, title: 'the same change on an even number of rows does not cancel',
  },
  {
    name: 'NULL and the empty text are equal',
    file: 'src/db/digest.ts', find: "IS NULL, '~',", put: "IS NULL, '0:',",
    test: TYPES, title: TYPES_DIGEST,
  },
  {
    name: 'text has no length before it',
    file: 'src/db/digest.ts', find: "CONCAT(CHAR_LENGTH(${value}), ':', ${text})", put: '${text}',
    test: DIGEST, title: 'text that moves from one column to the next is a difference',
  },
  {
    name: 'a FLOAT is digested as it prints',
    file: 'src/db/digest.ts', find: '`${value} * 1e0`', put: '`CONCAT(${value})`',
    test: 'test/db/zoo.test.ts', title: 'by sql both sides have one digest, and every other value another hash',
  },
  {
    name: 'a row without a hash leaves the digest',
    file: 'src/db/digest.ts', find: "'IFNULL(h, SHA2(UUID(), 256))'", put: "'h'",
    test: DIGEST, title: 'a row without a hash makes the digest differ every time',
  },
  {
    name: 'windows are compared by their counts alone',
    file: 'src/db/window-queue.ts', find: 'a.rows === b.rows && a.digest === b.digest', put: 'a.rows === b.rows',
    test: RECONCILE, title: 'different: the line stops, nothing is written',
  },
  {
    name: 'the first row of a window is in the one before, too',
    file: 'src/db/keys.ts', find: "{ operator: '>', inclusive: false }", put: "{ operator: '>', inclusive: true }",
    test: RECONCILE, title: 'of any size cover every row exactly once',
  },
  {
    name: 'the last row of a window is in none',
    file: 'src/db/keys.ts', find: "{ operator: '<', inclusive: true }", put: "{ operator: '<', inclusive: false }",
    test: RECONCILE, title: 'of any size cover every row exactly once',
  },
];
