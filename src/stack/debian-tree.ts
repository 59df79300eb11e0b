/**
 * Programs from Debian's packages without installing anything: the files are unpacked into a folder. Those of unstable
 * bring their own C library and are started through its loader, so the host's versions don't matter; those of the host's
 * own release come with just the libraries that the host lacks.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onPath } from './programs.ts';
import { runCommand } from './run-command.ts';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Share of the whole that each part takes, measured with MySQL. */
const SHARE = { lists: 0.2, download: 0.4, unpack: 0.4 };

export function canUnpackDebian(): boolean {
  return onPath('apt-get').length > 0 && onPath('dpkg').length > 0 && existsSync(KEYRING);
}

type Release = 'unstable' | 'host';

interface Unpack {
  readonly packages: readonly string[];
  /** A folder that doesn't exist yet. */
  readonly into: string;
  readonly release?: Release;
  readonly onProgress: (share: number, detail: string) => void;
}

export async function unpackDebian({
  packages,
  into,
  release = 'unstable',
  onProgress,
}: Unpack): Promise<void> {
  const work = join(into, 'apt');
  for (const folder of ['lists/partial', 'cache/archives/partial']) {
    await mkdir(join(work, folder), { recursive: true });
  }
  const tree = join(into, 'tree');
  await mkdir(tree);
  const options = [...aptOptions(work), ...(release === 'host' ? [] : await unstableOnly(work))];

  await apt([...options, 'update'], (share) => onProgress(share * SHARE.lists, 'package lists'));
  await apt([...options, '--download-only', '-y', 'install', ...packages], (share) =>
    onProgress(SHARE.lists + share * SHARE.download, 'downloading'),
  );

  const archives = join(work, 'cache', 'archives');
  const files = (await readdir(archives)).filter((name) => name.endsWith('.deb'));
  for (const [done, file] of files.entries()) {
    onProgress(SHARE.lists + SHARE.download + (done / files.length) * SHARE.unpack, 'unpacking');
    await runCommand({ command: 'dpkg', args: ['-x', join(archives, file), tree] });
  }
  await rm(work, { recursive: true });
  for (const entry of await readdir(tree)) await rename(join(tree, entry), join(into, entry));
  await rm(tree, { recursive: true });
}

/** How to start a program of an unpacked tree: the loader and its words, to be followed by the program's own. */
export async function throughLoader(
  tree: string,
  program: string,
  extraLibraries: readonly string[] = [],
): Promise<{ readonly command: string; readonly args: readonly string[] }> {
  const lib = join(tree, 'usr', 'lib');
  for (const triplet of (await readdir(lib)).filter((name) => name.endsWith('-linux-gnu'))) {
    const loader = (await readdir(join(lib, triplet))).find((name) => /^ld-linux-.*\.so\.\d+$/.test(name));
    if (loader === undefined) continue;
    const libraries = [join(lib, triplet), lib, ...extraLibraries.map((folder) => join(tree, folder))];
    return {
      command: join(lib, triplet, loader),
      args: ['--library-path', libraries.join(':'), join(tree, program)],
    };
  }
  throw new Error(`${tree} holds no C library: remove the folder, and it is fetched again.`);
}

function aptOptions(work: string): readonly string[] {
  const settings = {
    'Dir::State::lists': join(work, 'lists'),
    'Dir::Cache': join(work, 'cache'),
    'APT::Install-Recommends': 'false',
    // The cache belongs to the user who runs this, not to apt's own.
    'APT::Sandbox::User': '',
    // The host's package database is not written.
    'Debug::NoLocking': 'true',
  };
  return ['-qq', ...words(settings)];
}

/** As if nothing were installed: every library comes along. */
async function unstableOnly(work: string): Promise<readonly string[]> {
  const list = join(work, 'sources.list');
  const status = join(work, 'status');
  await writeFile(list, `deb [signed-by=${KEYRING}] ${await debianMirror(work)} sid main\n`);
  await writeFile(status, '');
  return words({
    'Dir::Etc::sourcelist': list,
    'Dir::Etc::sourceparts': '-',
    'Dir::Etc::preferences': '-',
    'Dir::Etc::preferencesparts': '-',
    'Dir::State::status': status,
  });
}

const words = (settings: Readonly<Record<string, string>>): string[] =>
  Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);

/** The mirror this machine is set up to use, so that no other is assumed. */
async function debianMirror(work: string): Promise<string> {
  const lists = join(work, 'host-lists');
  await mkdir(join(lists, 'partial'), { recursive: true });
  for (const options of [[], ['-o', `Dir::State::lists=${lists}`]]) {
    if (options.length > 0) await apt(['-qq', '-o', 'APT::Sandbox::User=', ...options, 'update'], () => {});
    const known = await runCommand({
      command: 'apt-get',
      args: [...options, 'indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'],
    });
    const mirror = known
      .split('\n')
      .sort()
      .find((uri) => uri.includes('debian') && !uri.includes('security'));
    if (mirror !== undefined) return mirror;
  }
  throw new Error('This system has no Debian package source to take the files from.');
}

/** Runs apt-get, whose progress comes as `dlstatus:<file>:<percent>:<text>`. Source: apt's progress-reporting.md. */
async function apt(args: readonly string[], onShare: (share: number) => void): Promise<void> {
  await runCommand({
    command: 'apt-get',
    args: ['-o', 'APT::Status-Fd=1', ...args],
    env: { LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
    onLine: (line) => {
      const percent = /^dlstatus:\d+:([\d.]+):/.exec(line)?.[1];
      if (percent !== undefined) onShare(Number(percent) / 100);
    },
  });
}
