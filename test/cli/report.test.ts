/** `switchback report`: a page of a real run, also while Temporal and the target are down, looked at in a real browser. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { beforeAll, expect, it, vi } from 'vitest';

import { createRouter } from '../../src/app/index.ts';
import type { ReportFacts } from '../../src/report/facts.ts';
import { TENANT_SECTIONS } from '../../src/report/page.ts';
import { picture, useBrowser } from '../support/browser.ts';
import { stackInfo } from '../support/stack.ts';
import { useWorld } from '../support/world.ts';
import { expectGolden, steady, switchback, switchbackHere, useFolder, writePlan } from './switchback.ts';

const HOSTILE = '<script>document.title="hit"</script>&"\u202Eevil';
const REASON = '"><img src=x onerror="document.title=1"> mysql://app:secret@db/x';
const world = useWorld(['acme', HOSTILE], { rows: 300 });
const folder = useFolder();
const open = useBrowser();
let page = '';

async function report(...words: string[]) {
  const plan = await writePlan(await folder(), world().plan);
  return switchbackHere(['report', ...words, '--plan', plan]);
}

beforeAll(async () => {
  const { plan, pair } = world();
  const { sourceUrl, targetUrl } = stackInfo();
  const schema = { source: plan.source.schema, target: plan.target.schema };
  const router = await createRouter({
    source: sourceUrl,
    target: targetUrl,
    schema,
    control: pair.control,
    service: 'portal',
    sampleRate: 1,
  });
  const reads = async (times: number): Promise<void> => {
    for (let n = 0; n < times; n += 1)
      await router.tenant('acme').read('names', (conn) => conn.query('SELECT name FROM customers LIMIT 5'));
  };
  await reads(20);
  await world().start('acme');
  await world().start(HOSTILE);
  world().work();
  await world().until('acme', 'shadow');
  await reads(20);
  await world().until('acme', 'ramp');
  await vi.waitFor(() => expect(router.stage('acme')).toBe('read-target'), { timeout: 20_000 });
  await reads(20);
  await world().until(HOSTILE, 'ramp');
  await world().command(HOSTILE, 'waive', {
    gate: 'soak',
    until: new Date(Date.now() + 3_600_000).toISOString(),
    reason: REASON,
  });
  await world().command(HOSTILE, 'rollback', { reason: REASON });
  await world().until(HOSTILE, 'shadow', 'paused');
  await world().sql('target', "UPDATE customers SET name = 'wrong' WHERE tenant_id = 'acme' LIMIT 2");
  await world().until('acme', 'shadow', 'stopped');
  // Its counts are in the control schema then.
  await router.close();
  const file = join(await folder(), 'report.html');
  const said = await report('--out', file);
  expect(said, said.all).toMatchObject({ code: 0, stderr: '' });
  expect(said.stdout).toMatch(/report\.html: 2 of 2 tenants, \d+ KB\.$/m);
  page = await readFile(file, 'utf8');
});

/** Headings and captions in their order: what the page is made of. */
const outline = (text: string): string =>
  [...text.matchAll(/<(h[1-3]|caption|figcaption)[^>]*>(.*?)<\/\1>/gs)]
    .map(([, tag, inner]) => `${tag} ${inner!.replaceAll(/<[^>]+>/g, '').trim()}`)
    .map((line) => line.replaceAll(/\. .*/g, ''))
    .join('\n');

it('has every section for every tenant, with headed tables and described charts', async () => {
  await expectGolden('report-outline.txt', `${steady(outline(page), { [world().plan.name]: 'world' })}\n`);
  for (const { title } of Object.values(TENANT_SECTIONS))
    expect(page.split(`>${title}</h3>`)).toHaveLength(3);
  expect(page).toMatch(/<html lang="en">[^]*<nav aria-label="Contents">[^]*<main id="main">/);
  const tables = page.match(/<table>/g)!.length;
  expect(page.match(/<table>\s*<caption>[^]*?<\/caption>\s*<thead>\s*<tr>\s*<th scope="col"/g)).toHaveLength(
    tables,
  );
  const charts = page.match(/<svg[^>]*>/g)!;
  expect(charts.length).toBeGreaterThanOrEqual(7);
  expect(charts.filter((svg) => !/aria-label="[^"]+"/.test(svg) || !svg.includes('role="img"'))).toEqual([]);
});

it('lets nothing that people typed become part of the page, and no password', () => {
  expect(page).not.toMatch(/<script|<img|<iframe|<link/i);
  expect(page).toContain('&lt;script&gt;');
  expect(page).toContain(String.raw`\u{202e}`);
  expect(page).not.toContain('\u202E');
  expect(page).not.toContain('app:secret');
  const addresses = page.match(/\b(?:https?:)?\/\/[\w.-]+/g) ?? [];
  expect(
    addresses.filter((address) => !address.endsWith('//www.w3.org') && !address.startsWith('//*')),
  ).toEqual([]);
});

it('gives the same as data', async () => {
  const said = await report('--json');
  const data = JSON.parse(said.stdout) as ReportFacts & { file: string | null };
  expect(data.file).toBeNull();
  expect(data.missing).toEqual([]);
  const acme = data.tenants.find(({ tenant }) => tenant === 'acme')!;
  const hostile = data.tenants.find(({ tenant }) => tenant === HOSTILE)!;
  expect(acme.phases.map(({ what }) => what).slice(0, 5)).toEqual([
    'preflight',
    'dual-write',
    'backfill',
    'reconcile',
    'shadow',
  ]);
  expect(acme.copied!.map(({ table, copied }) => [table, copied])).toEqual([
    ['customers', 300],
    ['notes', 300],
  ]);
  expect(acme.drift).toMatchObject([{ table: 'customers', class: 'different', found: 2, open: 2 }]);
  expect(acme.flips.map(({ to }) => to)).toEqual(['target', 'source', 'target', 'source']);
  expect(acme.certificates).toHaveLength(1);
  expect(acme.workflow).toMatchObject({ status: 'running' });
  expect(acme.workflow!.events).toBeGreaterThan(20);
  const reads = (stage: string, side: string) =>
    acme.reads.find((one) => one.stage === stage && one.side === side)?.reads ?? 0;
  expect(reads('source-only', 'source')).toBe(20);
  expect(reads('read-target', 'target')).toBeGreaterThan(0);
  expect(acme.reads.reduce((all, one) => all + one.reads, 0)).toBe(60);
  expect(acme.shadow.reduce((all, { samples }) => all + samples, 0)).toBeGreaterThanOrEqual(0);
  const reason = REASON.replace('app:secret', '***');
  expect(hostile.waivers).toMatchObject([{ gate: 'soak', reason, actor: 'test' }]);
  expect(hostile.flips.at(-1)).toMatchObject({ to: 'source', reason, actor: 'test' });
  expect(hostile.flips.at(-1)!.followedMs).toBeGreaterThanOrEqual(0);
  expect(hostile.reads).toEqual([]);
});

it('is written without Temporal and without the target, and says what is missing', async () => {
  const file = join(await folder(), 'gaps.html');
  // Nothing listens on the discard port.
  const env = { TEMPORAL_ADDRESS: '127.0.0.1:9', WORLD_TARGET: 'mysql://nobody@127.0.0.1:9' };
  const plan = await writePlan(await folder(), world().plan);
  const said = await switchback(['report', 'acme', '--out', file, '--plan', plan], { env });
  const gaps = (await readFile(file, 'utf8')).replaceAll(/\s+/g, ' ');

  expect(said.code, said.all).toBe(0);
  expect(said.stdout).toMatch(
    /^Missing: the workflows’ histories\. Temporal at 127\.0\.0\.1:9 cannot be reached/m,
  );
  expect(said.stdout).toMatch(/^Missing: The target could not be read/m);
  expect(gaps).toContain('from the control schema of the source, with gaps');
  expect(gaps).toContain('Drift by table and class');
  expect(gaps).not.toContain('Tenant <bdi>&lt;script');
});

it('refuses in one line what it can’t do', async () => {
  const said = await Promise.all([
    report('nobody'),
    report('--out', join(await folder(), 'no', 'where.html')),
  ]);
  expect(said.map(({ code }) => code)).toEqual([3, 2]);
  expect(said[1]!.stderr).toMatch(
    /^error: --out .*where\.html can't be written \(ENOENT\); name another file$/m,
  );
});

it.each([
  [1400, 'light'],
  [400, 'light'],
  [1400, 'dark'],
  [400, 'dark'],
] as const)('fits %i pixels in %s, and loads nothing', async (width, scheme) => {
  const tab = await open({ width, scheme });
  const asked: string[] = [];
  tab.on('request', (request) => asked.push(request.url()));
  const file = pathToFileURL(join(await folder(), 'report.html')).href;
  await tab.goto(file);

  const seen = (await tab.evaluate(`({
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    title: document.title,
    background: getComputedStyle(document.body).backgroundColor,
    bars: [...document.querySelectorAll('svg rect')].map((bar) => getComputedStyle(bar).fill),
    narrow: [...document.querySelectorAll('svg')].filter((svg) => svg.getBoundingClientRect().height < 30).length,
  })`)) as { overflow: number; title: string; background: string; bars: string[]; narrow: number };
  expect(seen).toMatchObject({
    overflow: 0,
    narrow: 0,
    title: `Switchback report: ${world().plan.name}`,
    background: scheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(20, 23, 28)',
  });
  expect(seen.bars.length).toBeGreaterThan(10);
  // An unknown variable would be drawn black.
  expect(seen.bars.filter((fill) => fill === 'rgb(0, 0, 0)')).toEqual([]);
  expect(asked).toEqual([file]);
  await picture(tab, `report-${width}-${scheme}`);
  await tab.close();
});
