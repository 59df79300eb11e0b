/**
 * `npm run mutants`: breaks the product line by line, in a copy, and shows which test noticed.
 *
 * Every named test must pass on the copy as it is and fail on the mutant. Its whole file runs, since tests of a
 * file build on each other; the servers are started once. Parts of names after it choose mutants. Exit code 1 when
 * one survives.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import Table from 'cli-table3';

import { startStack } from '../../src/stack/start.ts';
import { APPLICATION } from './application.ts';
import { DIGESTS } from './digest.ts';
import type { Mutant } from './mutant.ts';
import { OPERATIONS } from './operations.ts';
import { PROTOCOL } from './protocol.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COPIED = [
  'src',
  'activities',
  'workflows',
  'test',
  'examples',
  'docs',
  'deploy',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
];
/** A mutant may hang where the product would go on: that is a failure, too. */
const PATIENCE_MS = 240_000;

type Outcome = 'passed' | 'failed' | 'hung' | 'not run';

async function main(chosen: readonly string[]): Promise<number> {
  const mutants = [...PROTOCOL, ...DIGESTS, ...OPERATIONS, ...APPLICATION].filter(
    ({ name }) => chosen.length === 0 || chosen.some((part) => name.includes(part)),
  );
  const copy = await mkdtemp(join(tmpdir(), 'switchback-mutants-'));
  const stack = await startStack({ log: (line) => console.error(line) });
  const env = {
    ...process.env,
    TEMPORAL_ADDRESS: stack.temporal.address,
    SWITCHBACK_SOURCE: stack.source.url(),
    SWITCHBACK_TARGET: stack.target.url(),
    REDIS_URL: stack.redis.url,
  };
  try {
    for (const path of COPIED) await cp(join(ROOT, path), join(copy, path), { recursive: true });
    await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    const results = [];
    const reports = new Map<string, Report | null>();
    for (const mutant of mutants) {
      const report = reports.get(mutant.test) ?? (await testFile(copy, mutant.test, env));
      reports.set(mutant.test, report);
      const before = outcomeOf(report, mutant.title);
      const outcome =
        before === 'passed'
          ? await mutate(copy, mutant, async () =>
              outcomeOf(await testFile(copy, mutant.test, env), mutant.title),
            )
          : null;
      results.push({ mutant, before, outcome });
      console.error(`${verdict(before, outcome).padEnd(9)} ${mutant.name}`);
    }
    console.log(tableOf(results));
    const caught = results.filter(({ before, outcome }) => verdict(before, outcome) === 'caught').length;
    console.log(`${caught} caught, ${results.length - caught} survived`);
    return caught === results.length ? 0 : 1;
  } finally {
    await stack.stop();
    await rm(copy, { recursive: true, force: true });
  }
}

async function mutate(
  copy: string,
  { file, find, put }: Mutant,
  run: () => Promise<Outcome>,
): Promise<Outcome> {
  const path = join(copy, file);
  const text = await readFile(path, 'utf8');
  if (text.split(find).length !== 2)
    throw new Error(`${file}: ${JSON.stringify(find)} is not there exactly once`);
  await writeFile(
    path,
    text.replace(find, () => put),
  );
  try {
    return await run();
  } finally {
    await writeFile(path, text);
  }
}

/** Own name and status of each test. */
type Report = readonly { readonly title: string; readonly status: string }[];

interface VitestReport {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly title: string; readonly status: string }[];
  }[];
}

/** @returns null when the file came to no end */
async function testFile(copy: string, file: string, env: NodeJS.ProcessEnv): Promise<Report | null> {
  const path = join(copy, 'report.json');
  await rm(path, { force: true });
  const args = ['run', file, '--reporter=json', `--outputFile=${path}`];
  const child = spawn(process.execPath, [join(copy, 'node_modules/vitest/vitest.mjs'), ...args], {
    cwd: copy,
    env,
    stdio: 'ignore',
  });
  const timer = setTimeout(() => child.kill('SIGTERM'), PATIENCE_MS);
  const [code] = (await once(child, 'exit')) as [number | null];
  clearTimeout(timer);
  if (code === null) return null;
  const { testResults } = JSON.parse(await readFile(path, 'utf8')) as VitestReport;
  return testResults.flatMap(({ assertionResults }) => assertionResults);
}

function outcomeOf(report: Report | null, title: string): Outcome {
  if (report === null) return 'hung';
  const found = report.filter((test) => test.title.startsWith(title)).map(({ status }) => status);
  return found.includes('failed') ? 'failed' : found.includes('passed') ? 'passed' : 'not run';
}

function verdict(before: Outcome, outcome: Outcome | null): string {
  if (outcome === null) return `unsound (${before})`;
  return outcome === 'failed' || outcome === 'hung'
    ? 'caught'
    : outcome === 'passed'
      ? 'SURVIVED'
      : 'not run';
}

function tableOf(
  results: readonly { readonly mutant: Mutant; readonly before: Outcome; readonly outcome: Outcome | null }[],
): string {
  const table = new Table({ head: ['', 'mutant', 'in', 'test'], style: { head: [], border: [] } });
  for (const { mutant, before, outcome } of results)
    table.push([verdict(before, outcome), mutant.name, mutant.file, `${mutant.test}\n${mutant.title}`]);
  return table.toString();
}

process.exitCode = await main(process.argv.slice(2));
