/** Starts the real servers once for the whole run, and tells every test file where they are. */
import type { TestProject } from 'vitest/node';
import { startStack } from '../src/stack/start.ts';
import { describeStack } from './support/stack.ts';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const stack = await startStack();
  project.provide('stack', describeStack(stack));
  return () => stack.stop();
}
