/** What `npm run build` makes, as a team installs it: types, ESM, CommonJS, and Node without generated code. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { stackInfo, urlWithSchema } from '../support/stack.ts';
import { plans, useApp } from './support.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
const { fixture } = useApp();
let consumer: string;

beforeAll(async () => {
  await fixture().install(plans);
  mkdirSync(join(ROOT, '.switchback'), { recursive: true });
  consumer = mkdtempSync(join(ROOT, '.switchback', 'consumer-'));
  const installed = join(consumer, 'node_modules', 'switchback');
  mkdirSync(installed, { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(installed, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(installed, 'node_modules'));
  // As `npm run build` does, of what is exported.
  const build = {
    extends: join(ROOT, 'tsconfig.build.json'),
    compilerOptions: { outDir: join(installed, 'dist'), rootDir: ROOT, noCheck: true },
    include: [join(ROOT, 'src/app/index.ts'), join(ROOT, 'src/app/openfeature.ts')],
  };
  writeFileSync(join(consumer, 'build.json'), JSON.stringify(build));
  await run(process.execPath, [tsc, '-p', join(consumer, 'build.json')], { cwd: ROOT });
  writeFileSync(join(consumer, 'package.json'), '{ "name": "consumer", "private": true }');
});
afterAll(() => rmSync(consumer, { recursive: true, force: true }));

const node = async (name: string, text: string, flags: readonly string[] = []): Promise<unknown> => {
  const file = join(consumer, name);
  writeFileSync(file, text);
  const { pair } = fixture();
  const { sourceUrl, targetUrl, redisUrl } = stackInfo();
  const env = {
    PATH: process.env['PATH'],
    SOURCE: sourceUrl,
    TARGET: targetUrl,
    REDIS: redisUrl,
    SOURCE_POOL: urlWithSchema(sourceUrl, pair.sourceSchema),
    TARGET_POOL: urlWithSchema(targetUrl, pair.targetSchema),
    OPTIONS: JSON.stringify({
      schema: { source: pair.sourceSchema, target: pair.targetSchema },
      control: pair.control,
      service: 'consumer',
      sampleRate: 1,
    }),
  };
  const { stdout } = await run(process.execPath, [...flags, file], { cwd: consumer, env });
  return JSON.parse(stdout);
};

const NO_CODE = '--disallow-code-generation-from-strings';

/** Writes, reads it from the target, ends; whatever is left open would keep the process. */
const USE = (tenant: string) => `
  const tenant = router.tenant('${tenant}');
  const { token } = await tenant.write((conn) =>
    conn.execute('INSERT INTO messages (tenant_id, body, raw) VALUES (?, ?, ?)', ['${tenant}', 'built', Buffer.from([0, 255])]));
  const read = () => tenant.read('rows', (conn) =>
    conn.query('SELECT body, price, raw FROM messages WHERE tenant_id = ?', ['${tenant}']), { after: token });
  let [rows] = await read();
  // A busy machine may not have it on the target in time.
  while (router.stats().reads.target === 0) [rows] = await read();
  while (router.stats().shadow.samples + router.stats().shadow.undecided === 0)
    await new Promise((resolve) => setTimeout(resolve, 20));
  const { reads, shadow } = router.stats();
  await router.close();
  console.log(JSON.stringify({ rows, isOnTarget: reads.target > 0, differing: shadow.differing }));`;

const ROW = { body: 'built', price: '0.0000', raw: { type: 'Buffer', data: [0, 255] } };

it('runs as ESM, where no code may be generated from strings', async () => {
  await fixture().start('esm', 'read-target');
  const text = `
  import { createRouter } from 'switchback/app';
  try { new Function('return 1')(); throw new Error('code was generated'); } catch (error) { if (error.name !== 'EvalError') throw error; }
  const router = await createRouter({ ...JSON.parse(process.env.OPTIONS), source: process.env.SOURCE, target: process.env.TARGET, redis: process.env.REDIS, mirrorBudgetMs: 5_000, targetReadMs: 5_000 });
  ${USE('esm')}`;

  expect(await node('esm.mjs', text, [NO_CODE])).toEqual({ rows: [ROW], isOnTarget: true, differing: 0 });
});

it('runs from CommonJS by import(), there too, with pools that were brought with disableEval', async () => {
  await fixture().start('cjs', 'read-target');
  const text = `
  const { createPool } = require('mysql2/promise');
  const pool = (uri) => createPool({ uri, disableEval: true, connectionLimit: 2 });
  async function main() {
    const { createRouter } = await import('switchback/app');
    const [source, target] = [pool(process.env.SOURCE_POOL), pool(process.env.TARGET_POOL)];
    const router = await createRouter({
      ...JSON.parse(process.env.OPTIONS),
      source: { url: process.env.SOURCE, pool: source },
      target: { url: process.env.TARGET, pool: target },
      mirrorBudgetMs: 5_000, targetReadMs: 5_000,
    });
    ${USE('cjs')}
    await Promise.all([source.end(), target.end()]);
  }
  void main();`;

  expect(await node('consumer.cjs', text, [NO_CODE])).toEqual({
    rows: [ROW],
    isOnTarget: true,
    differing: 0,
  });
});

it('has types that a strict consumer compiles against, in ESM and in CommonJS', async () => {
  const use = `
  export async function latest(): Promise<string> {
    const { createRouter, WriteHeldError } = await import('switchback/app');
    const router = await createRouter({ source: 's', target: 't', schema: { source: 'a', target: 'b' }, service: 'c' });
    const rows: string = await router.tenant('acme').read('latest', async (conn) => String(await conn.query('SELECT 1')), { deadlineMs: 5 });
    // @ts-expect-error a number is none
    await router.tenant('acme').read('latest', async () => 1, { deadlineMs: '5' });
    const held = new WriteHeldError('acme', 5);
    return rows + held.retryAfterMs;
  }`;
  writeFileSync(
    join(consumer, 'esm.mts'),
    `import type { Router } from 'switchback/app';\nexport type R = Router;${use}`,
  );
  writeFileSync(join(consumer, 'cjs.cts'), use);
  const options = {
    module: 'nodenext',
    target: 'es2023',
    strict: true,
    noEmit: true,
    types: ['node'],
    skipLibCheck: false,
  };
  const config = {
    compilerOptions: { ...options, typeRoots: [join(ROOT, 'node_modules/@types')] },
    include: ['*.mts', '*.cts'],
  };
  writeFileSync(join(consumer, 'tsconfig.json'), JSON.stringify(config));

  const said = await run(process.execPath, [tsc, '-p', consumer]).catch((error: { stdout: string }) => error);

  expect(said.stdout).toBe('');
});
