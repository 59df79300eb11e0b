/** House rules as a test: who may import whom, how long a file may be, and what no file may hold. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What a folder may import besides itself: other rooms, and packages. Rooms as `type x` may be imported as types only. */
// prettier-ignore
const MATRIX: Readonly<Record<string, { readonly rooms: readonly string[]; readonly packages: readonly string[] }>> = {
  'src/domain':  { rooms: [], packages: [] },
  'src/db':      { rooms: ['src/domain'], packages: ['mysql2', 'node:'] },
  'src/app':     { rooms: ['src/domain', 'src/db', 'src/plan.ts'], packages: ['mysql2', 'ioredis', 'cockatiel', '@openfeature/server-sdk', '@opentelemetry/api', 'node:'] },
  activities:    { rooms: ['src/domain', 'src/db'], packages: ['node:timers/promises', '@temporalio/activity', '@temporalio/common'] },
  workflows:     { rooms: ['src/domain', 'type activities'], packages: ['@temporalio/workflow', '@temporalio/common'] },
  'src/report':  { rooms: ['src/domain', 'src/db'], packages: ['@observablehq/plot', 'linkedom'] },
  'src/history': { rooms: ['src/domain'], packages: ['@temporalio/client', '@temporalio/common', 'node:'] },
  'src/cli':     { rooms: ['src/domain', 'src/db', 'src/app', 'src/report', 'src/history', 'src/*.ts', 'workflows/messages.ts', 'type workflows', 'src/stack/search-attributes.ts'], packages: ['commander', 'picocolors', 'cli-table3', '@temporalio/client', '@temporalio/common', '@temporalio/envconfig', 'node:'] },
  'src/build':   { rooms: ['src/*.ts'], packages: ['esbuild', 'node:'] },
  'src/stack':   { rooms: ['src/domain'], packages: ['mysql2', 'ioredis', 'picocolors', 'cli-table3', '@temporalio/', 'node:'] },
  'src/*.ts':    { rooms: ['src/domain', 'src/db', 'src/app', 'src/history', 'activities'], packages: ['zod', 'yaml', 'pino', 'prom-client', 'ioredis', '@temporalio/', 'node:'] },
};

const CODE = ['src', 'workflows', 'activities', 'examples', 'test', 'bench'];

function filesIn(folder: string): string[] {
  const path = join(ROOT, folder);
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|mjs)$/.test(name) && !name.endsWith('.d.ts'))
    .map((name) => join(folder, name));
}

const text = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

const roomOf = (file: string): string | null => {
  const rooms = Object.keys(MATRIX).filter((room) => file.startsWith(`${room}/`));
  if (rooms.length > 0) return rooms.sort((a, b) => b.length - a.length)[0]!;
  return dirname(file) === 'src' ? 'src/*.ts' : null;
};

interface Import {
  readonly from: string;
  readonly to: string;
  readonly isType: boolean;
}

function importsOf(file: string): Import[] {
  const found = [
    ...text(file).matchAll(/^(?:import|export)\s+(type\s+)?[^;'"]*?from\s+'([^']+)'|import\('([^']+)'\)/gm),
  ];
  return found.map(([, type, stated, dynamic]) => ({
    from: file,
    to: (stated ?? dynamic)!,
    isType: type !== undefined,
  }));
}

function allowed({ from, to, isType }: Import): boolean {
  const room = roomOf(from)!;
  const { rooms, packages } = MATRIX[room]!;
  if (!to.startsWith('.'))
    return packages.some(
      (name) => to === name || to.startsWith(name.endsWith(':') || name.endsWith('/') ? name : `${name}/`),
    );
  const target = relative(ROOT, resolve(ROOT, dirname(from), to));
  const there = roomOf(target);
  if (there === room) return true;
  return rooms.some((name) => {
    const bare = name.replace(/^type /, '');
    return (name === bare || isType) && (there === bare || target === bare);
  });
}

it.each(Object.keys(MATRIX))('%s imports only what the matrix allows', (room) => {
  const files = CODE.flatMap(filesIn).filter((file) => roomOf(file) === room);
  expect(files.length).toBeGreaterThan(0);
  const broken = files.flatMap(importsOf).filter((one) => !allowed(one));
  expect(broken.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
});

it('the matrix catches a workflow that imports a database, and a domain file that imports anything', () => {
  expect(allowed({ from: 'workflows/tenant.ts', to: '../src/db/database.ts', isType: false })).toBe(false);
  expect(allowed({ from: 'workflows/steps.ts', to: '../activities/index.ts', isType: false })).toBe(false);
  expect(allowed({ from: 'src/domain/gate.ts', to: 'node:fs', isType: false })).toBe(false);
});

it('backfill and reconcile share no row encoding', () => {
  expect(importsOf('src/db/digest.ts').map(({ to }) => to)).not.toContain('./images.ts');
  expect(importsOf('src/db/reconcile.ts').map(({ to }) => to)).not.toContain('./images.ts');
  expect(importsOf('src/db/images.ts').map(({ to }) => to)).not.toContain('./digest.ts');
});

it('the independent comparison reaches neither the encoding of the copy nor a digest', () => {
  const reached = new Set<string>();
  const visit = (file: string): void => {
    if (reached.has(file)) return;
    reached.add(file);
    for (const { to, isType } of importsOf(file))
      if (to.startsWith('.') && !isType) visit(relative(ROOT, resolve(ROOT, dirname(file), to)));
  };
  visit('src/db/compare.ts');
  expect(reached).toContain('src/db/compare-looks.ts');
  expect(
    [...reached].filter((file) =>
      /(images|load|digest|executor[\w-]*|executors|converge|judge|verdict)\.ts$/.test(file),
    ),
  ).toEqual([]);
});

it('files stay short', () => {
  const long = CODE.flatMap(filesIn)
    .map((file) => [file, text(file).split('\n').length] as const)
    .filter(([, lines]) => lines > 400);
  expect(long).toEqual([]);
});

it('no file names a path of one machine, and no drawer is called utils', () => {
  const files = [...CODE.flatMap(filesIn), 'README.md', 'ARCHITECTURE.md'];
  expect(files.filter((file) => /(^|[^\w./])\/(work|root|farm)\//m.test(text(file)))).toEqual([]);
  expect(files.filter((file) => /\b(utils?|helpers?|common|misc)\.(ts|mjs)$/.test(file))).toEqual([]);
});

it('domain reads no clock and no randomness', () => {
  const impure = filesIn('src/domain').filter((file) =>
    /Date\.now\(|new Date\(\)|Math\.random|process\.|performance\./.test(text(file)),
  );
  expect(impure).toEqual([]);
});

it('relative links of the documents lead somewhere', () => {
  const documents = [
    'README.md',
    'ARCHITECTURE.md',
    ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md'))
      .map((name) => join('docs', name)),
  ];
  const dead = documents.flatMap((file) =>
    [...text(file).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)]
      .map(([, link]) => join(dirname(file), link!))
      .filter((path) => !statSync(join(ROOT, path), { throwIfNoEntry: false })),
  );
  expect(dead).toEqual([]);
});
