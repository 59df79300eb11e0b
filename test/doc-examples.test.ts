/**
 * The examples in the documents, compiled as an application would: strictly, against `switchback/app` as it is
 * exported. What an example takes for granted stands above it in a comment that readers don't see, `<!-- ts … -->`.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterEach, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DOCUMENTS = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

interface Example {
  readonly document: string;
  readonly line: number;
  readonly code: string;
}

/** On the lines where the document has it, so that the compiler's messages lead there. */
function examplesOf(document: string, text: string): Example[] {
  const found = text.matchAll(/^(?:<!-- ts\n([^]*?)\n-->\n+)?```ts\n([^]*?)^```$/gm);
  return [...found].map(({ 1: before = '', 2: code = '', index, 0: all }) => {
    const line = text.slice(0, index + all.indexOf('```ts\n')).split('\n').length;
    const gap = '\n'.repeat(Math.max(0, line - before.split('\n').length));
    return { document, line, code: `${before}${gap}${code}\nexport {};\n` };
  });
}

/** @returns what the compiler says, '' when it is content */
async function compile(examples: readonly Example[]): Promise<string> {
  // Inside the package: it is by its own name that an example imports it.
  mkdirSync(join(ROOT, '.switchback'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, '.switchback', 'examples-'));
  folders.push(folder);
  for (const { document, line, code } of examples)
    writeFileSync(join(folder, `${document.replaceAll('/', '-')}-${line}.ts`), code);
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: '../../tsconfig.json', include: ['*.ts'] }),
  );
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  try {
    await promisify(execFile)(process.execPath, [tsc, '-p', folder], { cwd: ROOT });
    return '';
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

const examples = DOCUMENTS.flatMap((name) => examplesOf(name, readFileSync(join(ROOT, name), 'utf8')));

it('every example in a document compiles', async () => {
  expect(examples.map(({ document }) => document)).toEqual(
    expect.arrayContaining(['docs/application.md', 'docs/buffer.md']),
  );

  expect(await compile(examples)).toBe('');
});

it('catches a misspelt option, a value of another type and a method that is not there', async () => {
  const text = readFileSync(join(ROOT, 'docs/application.md'), 'utf8');
  const mistakes = [
    ['service:', 'servicee:'],
    ['deadlineMs: 500', "deadlineMs: '500'"],
    ['tenant.write(', 'tenant.writes('],
  ] as const;
  const wrong = mistakes.map(([right, mistake], index) => ({
    ...examplesOf('', text.replace(right, mistake))[0]!,
    document: `wrong-${index}`,
  }));

  const found = [...(await compile(wrong)).matchAll(/wrong-(\d)-3\.ts\(\d+,\d+\): error/g)];
  expect(new Set(found.map(([, index]) => index))).toEqual(new Set(['0', '1', '2']));
});
