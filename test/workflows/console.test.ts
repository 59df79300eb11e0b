/**
 * The Temporal UI as an operators' console: what somebody with only the browser finds, on the real UI in a real
 * browser, and what the API behind it gives.
 */
import { readFile } from 'node:fs/promises';

import type { Page } from 'playwright-core';
import { beforeAll, expect, it, vi } from 'vitest';

import { tenantWorkflowId } from '../../src/domain/ids.ts';
import { SEARCH_ATTRIBUTES } from '../../src/domain/search-attributes.ts';
import { switchbackHere, useFolder, writePlan } from '../cli/switchback.ts';
import { picture, useBrowser } from '../support/browser.ts';
import { stackInfo } from '../support/stack.ts';
import { useWorld } from '../support/world.ts';

const world = useWorld(['acme', 'globex'], { approval: true, rows: 20 });
const folder = useFolder();
const open = useBrowser();

beforeAll(async () => {
  world().followAsNode();
  world().work();
  const plan = await writePlan(await folder(), world().plan);
  const started = await switchbackHere(['start', 'acme', '--plan', plan, '--reason', 'first wave']);
  expect(started.code, started.all).toBe(0);
  await world().start('globex');
  await world().until('acme', 'ready', 'waiting');
  await world().until('globex', 'ready', 'waiting');
  await world().sql('target', "UPDATE customers SET name = 'wrong' WHERE tenant_id = 'globex' LIMIT 1");
  await world().until('globex', 'shadow', 'stopped');
});

const id = (tenant: string): string => tenantWorkflowId(world().plan.name, tenant);

async function found(query: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const { workflowId } of world().client.workflow.list({ query })) ids.push(workflowId);
  return ids.filter((one) => one === id('acme') || one === id('globex'));
}

it.each([
  ['SwitchbackTenant = "acme"', 'acme'],
  ['SwitchbackPhase = "ready" AND SwitchbackMode = "waiting"', 'acme'],
  ['SwitchbackMode = "stopped"', 'globex'],
  ['SwitchbackStoppedReason STARTS_WITH "drift"', 'globex'],
  ['SwitchbackWave = "first" AND SwitchbackCleanSince IS NOT NULL AND SwitchbackMode != "stopped"', 'acme'],
  ['SwitchbackSince > "2020-01-01T00:00:00Z" AND SwitchbackPhase = "shadow"', 'globex'],
])('finds by %s', async (query, tenant) => {
  await vi.waitFor(async () => expect(await found(query)).toEqual([id(tenant)]), { timeout: 20_000 });
});

it('every saved query of the documents runs, and its link carries it', async () => {
  const text = await readFile(new URL('../../docs/console.md', import.meta.url), 'utf8');
  const queries = [...text.matchAll(/\[`(.+?)`\]\((\S+?)\)/g)];
  expect(queries.length).toBeGreaterThan(8);
  for (const [, query, link] of queries) {
    await found(query!);
    expect(new URL(link!).searchParams.get('query')).toBe(query);
  }
  const attributes = Object.keys(SEARCH_ATTRIBUTES);
  expect(attributes.filter((name) => !text.includes(name))).toEqual([]);
});

it('every activity and timer has a summary that reads as a sentence', async () => {
  const { events } = await world().handle('acme').fetchHistory();
  const named = events!.filter(
    (event) => event.activityTaskScheduledEventAttributes ?? event.timerStartedEventAttributes,
  );
  const summaries = named.map(({ userMetadata }) =>
    Buffer.from(userMetadata?.summary?.data ?? []).toString('utf8'),
  );
  expect(summaries.length).toBeGreaterThan(10);
  expect(summaries.filter((summary) => !/^"[a-z][^"_{}]* [^"_{}]+"$/.test(summary))).toEqual([]);
  expect(summaries).toContain('"copy acme (round 1)"');
});

async function tenantPage(tenant: string): Promise<Page> {
  const tab = await open({ width: 1400 });
  tab.setDefaultTimeout(60_000);
  const { runId } = await world().handle(tenant).describe();
  const place = `${encodeURIComponent(id(tenant))}/${runId}`;
  // A page of a running workflow is never idle: it is waited for by what stands on it.
  await tab.goto(`${stackInfo().uiUrl}/namespaces/default/workflows/${place}/timeline`, {
    waitUntil: 'load',
  });
  return tab;
}

/** The details are markdown, which the UI shows in frames of their own. */
async function everyText(tab: Page): Promise<string> {
  const texts = await Promise.all(
    tab.frames().map((frame) => frame.evaluate('document.body?.innerText ?? ""').catch(() => '')),
  );
  return texts.join('\n').replaceAll(/\s+/g, ' ');
}

it('lists tenants by a saved query', async () => {
  const tab = await open({ width: 1400 });
  const query = encodeURIComponent(`SwitchbackMode = "stopped" AND WorkflowId = "${id('globex')}"`);
  await tab.goto(`${stackInfo().uiUrl}/namespaces/default/workflows?query=${query}`, { waitUntil: 'load' });
  // Of the list itself: the page beside it may name anybody.
  const rows = tab.getByRole('table').first();
  await rows.getByText(id('globex')).first().waitFor({ timeout: 60_000 });
  expect(await rows.getByText(id('acme')).count()).toBe(0);
  await tab.close();
});

it('says where a tenant is, since when, whether it is well, what comes next, and what to type', async () => {
  const tab = await tenantPage('acme');
  await tab.getByText('User Metadata', { exact: true }).first().click();
  const { plan } = world();
  // One look has to hold it all: the UI renews a frame while it is read, which is then empty.
  await vi.waitFor(
    async () => {
      const text = await everyText(tab);
      expect(text).toContain(`${plan.name}: move acme`);
      expect(text).toContain(`Moves tenant acme of migration ${plan.name} (wave first).`);
      expect(text).toContain('acme: ready, waiting');
      expect(text).toMatch(/Waits for its wave and for an operator to advance\. Since 20\d\d-/);
      expect(text).toMatch(/Healthy: every pass clean since 20\d\d-/);
      expect(text).toMatch(/Next: ramp, when these gates open: .*approval/);
      expect(text).toMatch(/What to type next.*switchback advance acme --reason "\.\.\."/);
    },
    { timeout: 60_000 },
  );
  await picture(tab, 'console-tenant');

  await tab.getByText('Search Attributes', { exact: true }).first().click();
  await vi.waitFor(
    async () => {
      const shown = await everyText(tab);
      expect(Object.keys(SEARCH_ATTRIBUTES).filter((name) => !shown.includes(name))).toEqual([]);
      expect(shown).toContain('"SwitchbackPhase": "ready"');
    },
    { timeout: 30_000 },
  );
  await tab.close();
});

it('says that a stopped tenant is not well, and why', async () => {
  const tab = await tenantPage('globex');
  await tab.getByText('User Metadata', { exact: true }).first().click();
  await vi.waitFor(
    async () =>
      expect(await everyText(tab)).toMatch(/Not healthy: the line is stopped.*switchback repair globex/),
    { timeout: 60_000 },
  );
  await tab.close();
});

it('names activities as sentences, beside their bars and in the history', async () => {
  const tab = await tenantPage('acme');
  await tab.getByText('Event History').first().click();
  await vi.waitFor(async () => expect(await everyText(tab)).toContain('wait for the gates of ready'), {
    timeout: 60_000,
  });
  await tab.close();
});

it('takes a signal from its own form, with the payload that stands beside it', async () => {
  const tab = await tenantPage('acme');
  await tab.getByRole('button', { name: 'More Actions' }).first().click();
  await tab
    .getByRole('menuitem', { name: /signal/i })
    .first()
    .click();
  const form = tab.locator('dialog[open]');
  await form.getByTestId('signal-select-button').click();
  const choice = form.getByRole('option', { name: /^pause/ });
  const beside = await choice.innerText();
  await picture(tab, 'console-signal');
  const payload = /Input: (\{.*\})/.exec(beside)![1]!;
  await choice.click();
  await form.locator('[contenteditable=true]').first().click();
  // As a person does: the editor closes brackets by itself.
  await tab.keyboard.type(payload);
  // Leaving the editor lays the text out, which moves the button away from under the first click. The same requestId
  // is done once, so that a second one does no harm.
  await vi.waitFor(
    async () => {
      if (await form.isVisible()) await form.getByTestId('confirm-modal-button').click({ timeout: 2_000 });
      await form.waitFor({ state: 'hidden', timeout: 1_000 });
    },
    { timeout: 30_000, interval: 500 },
  );

  const { reason } = await world().until('acme', 'ready', 'paused');
  expect(reason).toContain('ann');
  await tab.close();
});
