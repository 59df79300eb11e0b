/** A real browser for a test file: Debian's Chromium, got as the project's servers are. */
import { writeFile } from 'node:fs/promises';

import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';

import { chromiumProgram } from '../../src/stack/chromium-program.ts';

const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export interface View {
  readonly width: number;
  readonly scheme?: 'light' | 'dark';
}

/** The result opens a page of its own for each call, and closes with the test file. */
export function useBrowser(): (view: View) => Promise<Page> {
  let browser: Browser | null = null;
  beforeAll(async () => {
    const { command, env } = await chromiumProgram(console.log);
    browser = await chromium.launch({
      executablePath: command,
      args: QUIET,
      env: { ...(process.env as Record<string, string>), ...env },
    });
  }, 300_000);
  afterAll(async () => {
    await browser?.close();
  });
  return ({ width, scheme = 'light' }) =>
    browser!.newPage({ viewport: { width, height: 900 }, colorScheme: scheme, reducedMotion: 'reduce' });
}

/** Kept beside the documents when `UPDATE_PICTURES=1`; otherwise the test only looks. */
export async function picture(page: Page, name: string, height?: number): Promise<void> {
  if (process.env['UPDATE_PICTURES'] !== '1') return;
  const { width } = page.viewportSize()!;
  const clip = height === undefined ? {} : { clip: { x: 0, y: 0, width, height } };
  const image = await page.screenshot({ type: 'png', ...clip, fullPage: height !== undefined });
  await writeFile(new URL(`../../docs/pictures/${name}.png`, import.meta.url), image);
}
