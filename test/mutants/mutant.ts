/** One seeded bug: a line of the product changed, and the test that must notice. */
export interface Mutant {
  /** What is broken, as a reader of the table says it. */
  readonly name: string;
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly put: string;
  /** Test file, and the beginning of the test's own name. */
  readonly test: string;
  readonly title: string;
}
