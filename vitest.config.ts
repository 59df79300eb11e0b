import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/global-setup.ts'],
    pool: 'forks',
    // Two cores run four database and workflow servers beside the tests.
    maxWorkers: 2,
    // On a machine with more to do than cores to do it; a test says itself what it must not wait for.
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
});
