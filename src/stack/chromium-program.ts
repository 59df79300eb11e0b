/** Finds or gets Chromium: tests look at pages with it. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { cached } from './cache.ts';
import { canUnpackDebian, unpackDebian } from './debian-tree.ts';
import { progress } from './progress.ts';
import { onPath } from './programs.ts';
import type { Log } from './servers.ts';

export interface Browser {
  readonly command: string;
  /** Where its libraries and fonts are. */
  readonly env: Readonly<Record<string, string>>;
}

/** Version of this entry's make, not of the browser: the host's release says that. */
const ENTRY = 'chromium-1';
const FETCH_SECONDS = 30;
const INSTALLED = ['chromium', 'chromium-headless-shell', 'chromium-browser', 'google-chrome'];
/** The browser without its windows: a fifth of the packages. */
const PACKAGES = ['chromium-headless-shell', 'fonts-dejavu-core'];

/** PATH, then cache, then Debian's packages. @throws Error where there is no Debian to get it from */
export async function chromiumProgram(log: Log): Promise<Browser> {
  const [installed] = INSTALLED.flatMap((name) => onPath(name));
  if (installed !== undefined) return { command: installed, env: {} };
  if (!canUnpackDebian())
    throw new Error('There is no Chromium and no Debian apt to get it with: install `chromium`.');
  return inTree(await cached({ name: ENTRY, log, make: (into) => fetchChromium(into, log) }));
}

async function fetchChromium(into: string, log: Log): Promise<void> {
  log(`Getting Chromium from Debian's packages (once, 100 MB; nothing is installed).`);
  const onProgress = progress({ log, what: 'Getting Chromium', expectedSeconds: FETCH_SECONDS });
  await mkdir(into, { recursive: true });
  // Its files are found beside its program, which the loader of another C library would hide: so the host's release.
  await unpackDebian({ packages: PACKAGES, into, release: 'host', onProgress });
}

async function inTree(tree: string): Promise<Browser> {
  const lib = join(tree, 'usr', 'lib');
  const triplets = (await readdir(lib)).filter((name) => name.endsWith('-linux-gnu'));
  const libraries = triplets.flatMap((name) => [join(lib, name), join(lib, name, 'pulseaudio')]);
  const fonts = join(tree, 'fonts.conf');
  if (!existsSync(fonts)) await writeFile(fonts, fontsOf(tree));
  const folder = ['chromium', 'chromium-headless-shell'].map((name) => join(lib, name));
  const command = folder
    .map((path) => join(path, 'chromium-headless-shell'))
    .find((path) => existsSync(path));
  if (command === undefined)
    throw new Error(`${tree} holds no Chromium: remove the folder, and it is fetched again.`);
  return { command, env: { LD_LIBRARY_PATH: libraries.join(':'), FONTCONFIG_FILE: fonts } };
}

const fontsOf = (tree: string): string => `<?xml version="1.0"?>
<fontconfig><dir>${join(tree, 'usr', 'share', 'fonts')}</dir><dir>/usr/share/fonts</dir><cachedir>${join(tree, 'font-cache')}</cachedir></fontconfig>
`;
