#!/usr/bin/env node
/**
 * `npm run demo | test | stack | bench | mutants`: installs the packages when they are missing or out of date, then runs the
 * program. Plain JavaScript without dependencies, since it runs before there are any.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const stamp = join(root, 'node_modules', '.switchback-lock');

/** What each word runs, beside the words that follow it. */
const PROGRAMS = {
  demo: ['--import', 'tsx', 'examples/demo/main.ts'],
  stack: ['--import', 'tsx', 'src/stack/cli.ts'],
  bench: ['--import', 'tsx', 'bench/main.ts'],
  mutants: ['--import', 'tsx', 'test/mutants/main.ts'],
};

const [word, ...args] = process.argv.slice(2);
process.exitCode = await main();

async function main() {
  if (word === 'install') return install();
  if (word === 'test') return (await install()) || test();
  if (Object.hasOwn(PROGRAMS, word ?? ''))
    return (await install()) || run(process.execPath, [...PROGRAMS[word], ...args]);
  console.error(
    `Unknown word ${JSON.stringify(word ?? '')}: say demo, test, stack, bench, mutants or install.`,
  );
  return 2;
}

/** Does nothing when node_modules was made from this package-lock.json. */
async function install() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (readStamp() === lock) return 0;
  console.error('Installing the packages of package-lock.json (npm ci, about 20 s).');
  const npm = process.env.npm_execpath?.endsWith('.js')
    ? [process.execPath, process.env.npm_execpath]
    : ['npm'];
  const code = await run(npm[0], [...npm.slice(1), 'ci', '--no-fund', '--no-audit'], {
    shell: process.platform === 'win32',
  });
  if (code === 0) writeFileSync(stamp, lock);
  else console.error('npm ci failed (see above): nothing was started.');
  return code;
}

function readStamp() {
  try {
    return readFileSync(stamp, 'utf8');
  } catch {
    return ''; // not installed yet, or by a bare `npm install`
  }
}

async function test() {
  const folder = mkdtempSync(join(tmpdir(), 'switchback-report-'));
  const report = join(folder, 'report.json');
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=default', '--reporter=json'];
  try {
    const code = await run(process.execPath, [...vitest, `--outputFile.json=${report}`, ...args]);
    const line = lastLine(readReport(report), code);
    console.log(line.text);
    return code || (line.failed > 0 ? 1 : 0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Null when vitest ended before it could write one. */
function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

/** A file that could not be loaded counts as one failure, and so does a run that failed without a failed test. */
function lastLine(report, code) {
  const files = report?.testResults ?? [];
  const count = (...states) =>
    files.flatMap((file) => file.assertionResults).filter(({ status }) => states.includes(status)).length;
  const broken = files.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'),
  ).length;
  const checks = Number(process.env.SWITCHBACK_FAILED_CHECKS ?? 0);
  const ofTests = count('failed') + broken;
  const failed = (code !== 0 && ofTests === 0 ? 1 : ofTests) + checks;
  const skipped = count('skipped', 'pending', 'todo', 'disabled');
  const text = `${count('passed')} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
  return { text, failed };
}

/**
 * Runs a program in the foreground and gives its exit code. Signals are passed on, and the second one of a kind too; a
 * terminal sends Ctrl-C to the program itself, so there it is only waited for.
 */
function run(command, words, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, words, { cwd: root, stdio: 'inherit', ...options });
    const listeners = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => {
      const listener = () => {
        if (signal === 'SIGINT' && process.stdin.isTTY) return;
        child.kill(signal);
      };
      process.on(signal, listener);
      return [signal, listener];
    });
    const done = (code) => {
      for (const [signal, listener] of listeners) process.off(signal, listener);
      resolve(code);
    };
    child.once('error', (error) => {
      console.error(`${command} can't be started: ${error.message}`);
      done(127);
    });
    child.once('exit', (code, signal) => done(code ?? 128 + constants.signals[signal]));
  });
}
