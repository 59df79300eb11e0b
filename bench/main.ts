/** `npm run bench -- NAME`: one measurement on real servers, written to `bench/results/NAME.json`. */
import { mkdir, writeFile } from 'node:fs/promises';

import { build } from './built.ts';
import type { Result } from './result.ts';

/** Of this process, and of those that it begins. */
const PRODUCT = new URL('built-product.mjs', import.meta.url).href;

const BENCHES: Readonly<Record<string, () => Promise<{ readonly run: () => Promise<Result> }>>> = {
  reconcile: () => import('./reconcile.ts'),
  backfill: () => import('./backfill.ts'),
  'backfill-load': () => import('./backfill-load.ts'),
  capture: () => import('./capture.ts'),
  mirror: () => import('./mirror.ts'),
  verdict: () => import('./verdict.ts'),
  memory: () => import('./memory.ts'),
  write: () => import('./write.ts'),
  buffer: () => import('./buffer.ts'),
  flag: () => import('./flag.ts'),
  read: () => import('./read.ts'),
  shadow: () => import('./shadow.ts'),
  flip: () => import('./flip.ts'),
  fleet: () => import('./fleet.ts'),
};

const [name = '', ...rest] = process.argv.slice(2);
const load = BENCHES[name];
if (load === undefined || rest.length > 0) {
  console.error(
    `${name === '' ? 'name a bench' : `there is no bench "${name}"`}: npm run bench -- ${Object.keys(BENCHES).join(' | ')}`,
  );
  process.exitCode = 2;
} else {
  // A build that stands may be older than the sources.
  await build();
  process.env['NODE_OPTIONS'] = `${process.env['NODE_OPTIONS'] ?? ''} --import ${PRODUCT}`;
  await import(PRODUCT);
  const { run } = await load();
  const result = await run();
  await mkdir(new URL('results/', import.meta.url), { recursive: true });
  await writeFile(new URL(`results/${name}.json`, import.meta.url), `${JSON.stringify(result, null, 2)}\n`);
  console.log(JSON.stringify(result, null, 2));
}
