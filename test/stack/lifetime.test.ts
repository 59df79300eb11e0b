/** Servers end with the program that started them, however it ends, and leave nothing behind. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { startOf } from '../../src/stack/process-identity.ts';
import type { Stack } from '../../src/stack/servers.ts';
import { startStack } from '../../src/stack/start.ts';

type Owned = ReturnType<Stack['owned']>;

async function aParentWithServers(): Promise<{
  owned: Owned;
  end: (signal: NodeJS.Signals) => Promise<void>;
}> {
  const script = fileURLToPath(new URL('./parent.ts', import.meta.url));
  const parent = spawn(process.execPath, ['--import', 'tsx', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = new Promise<void>((resolve) => parent.once('exit', () => resolve()));
  const { value } = await createInterface({ input: parent.stdout })[Symbol.asyncIterator]().next();
  const end = async (signal: NodeJS.Signals) => {
    parent.kill(signal);
    await gone;
  };
  return { owned: JSON.parse(value as string) as Owned, end };
}

function expectNothingLeft(owned: Owned): void {
  expect(owned.map(({ pid }) => startOf(pid))).toEqual(owned.map(() => ''));
  expect(owned.filter(({ folder }) => existsSync(folder))).toEqual([]);
}

test.each(['SIGKILL', 'SIGINT', 'SIGTERM'] as const)(
  'no server and no folder is left behind by a parent that ends with %s',
  async (signal) => {
    const { owned, end } = await aParentWithServers();
    expect(owned.map(({ name }) => name).sort()).toEqual(['redis', 'target']);
    expect(owned.every(({ pid }) => startOf(pid) !== '')).toBe(true);

    await end(signal);

    await vi.waitFor(() => expectNothingLeft(owned), { timeout: 10_000, interval: 50 });
  },
);

test('stop ends the servers and removes their folders', async () => {
  const stack = await startStack({ only: ['redis', 'target'], isPrivate: true });
  const owned = stack.owned();
  expect(owned.every(({ folder }) => existsSync(folder))).toBe(true);

  await stack.stop();

  expectNothingLeft(owned);
});
