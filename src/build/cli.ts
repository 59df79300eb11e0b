/**
 * Puts the command, with the packages that are plain JavaScript, into a few files: read one by one, its five hundred
 * modules are most of what an order takes.
 */
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const ENTRY = fileURLToPath(new URL('../cli/main.ts', import.meta.url));

/** They load native code, or files of their own; or only a worker or a report asks for them. */
const APART = [
  '@temporalio/*',
  '@opentelemetry/*',
  '@observablehq/*',
  'linkedom',
  'pino',
  'prom-client',
  'protobufjs',
];

/** @param folder three below the one that holds `package.json`, as `dist/src/cli` is, and one below the workflow bundle */
export async function buildCli(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await build({
    entryPoints: [ENTRY],
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: 'linked',
    external: APART,
    logLevel: 'warning',
    // The packages that are CommonJS ask for Node's own modules by it.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
  });
}
