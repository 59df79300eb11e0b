import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** They make load of their own and assert times under it: beside another file they would measure that one. */
const ALONE = [
  'test/app/fault-matrix.test.ts',
  'test/app/history.test.ts',
  'test/db/throttle.test.ts',
  'test/portal/portal.test.ts',
  'test/workflows/flip.test.ts',
];

/** Begun first, the longest ahead: one that began last would keep a core idle. */
const LONG = [
  'workflows/restart',
  'db/protocol/stress',
  'db/kill-backfill',
  'cli/errors',
  'db/explain',
  'workflows/six-weeks',
  'workflows/lost-capture',
  'db/memory/memory',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const found = LONG.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      return found < 0 ? LONG.length : found;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

const common = {
  pool: 'forks',
  // On a machine with more to do than cores to do it; a test says itself what it must not wait for.
  testTimeout: 120_000,
  hookTimeout: 180_000,
} as const;

export default defineConfig({
  test: {
    globalSetup: ['test/global-setup.ts'],
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...common,
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: ALONE,
          // Two cores run four database and workflow servers beside the tests.
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: { ...common, name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
