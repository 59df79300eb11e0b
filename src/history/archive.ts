/**
 * A folder of exported histories: one file a run, and a manifest with one line for each, added to and never rewritten.
 *
 * A file is complete before the manifest names it, so whatever is cut off is written again by the next export, and two
 * exporters may share a folder. The last line of a run counts: an open run is written again as it grows.
 */
import { createHash } from 'node:crypto';
import { access, constants, mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { ConfigError } from '../domain/errors.ts';

export interface Entry {
  readonly workflowId: string;
  readonly runId: string;
  readonly type: string;
  /** Of which the history tells; null: of the fleet. */
  readonly tenant: string | null;
  /** As Temporal names it: RUNNING, COMPLETED, CONTINUED_AS_NEW, TERMINATED … */
  readonly status: string;
  readonly startedAt: string;
  readonly closedAt: string | null;
  /** The run that this one continues as new, if any: a chain with a hole is not whole. */
  readonly continues: string | null;
  readonly events: number;
  /** Within the folder. */
  readonly file: string;
  readonly sha256: string;
  readonly exportedAt: string;
}

const MANIFEST = 'manifest.jsonl';
const SAFE_ID = /^switchback(?:\/[a-z0-9][a-z0-9-]*){2,3}$/;

export const isClosed = (status: string): boolean => status !== 'RUNNING';

export const sha256 = (text: string | Uint8Array): string => createHash('sha256').update(text).digest('hex');

/** @returns null for a workflow id that no migration of ours has: it names no file. */
export function fileOf(workflowId: string, runId: string, status: string, events: number): string | null {
  if (!SAFE_ID.test(workflowId) || !/^[\w-]+$/.test(runId)) return null;
  const name = isClosed(status) ? `${runId}.json` : `${runId}@${events}.open.json`;
  return join(...workflowId.split('/').slice(1), name);
}

export class Archive {
  readonly folder: string;
  readonly #entries = new Map<string, Entry>();
  /** Lines that cannot be read: an append was cut off. */
  torn = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** A folder that does not exist is an empty archive; it is made by the first file. */
  static async open(folder: string): Promise<Archive> {
    const archive = new Archive(folder);
    const text = await orNothing(readFile(join(folder, MANIFEST), 'utf8'), '');
    for (const line of text.split('\n').filter((one) => one !== '')) {
      const entry = parseEntry(line);
      if (entry === null) archive.torn += 1;
      else archive.#entries.set(entry.runId, entry);
    }
    return archive;
  }

  get entries(): Entry[] {
    return [...this.#entries.values()].sort(
      (a, b) => (a.startedAt < b.startedAt ? -1 : Number(a.startedAt > b.startedAt)) || a.events - b.events,
    );
  }

  find(runId: string): Entry | null {
    return this.#entries.get(runId) ?? null;
  }

  read(entry: Entry): Promise<Buffer> {
    return readFile(join(this.folder, entry.file));
  }

  /** Is the file there? Its sum is for `verify`. */
  async has(entry: Entry): Promise<boolean> {
    const found = await stat(join(this.folder, entry.file)).catch(() => null);
    return found !== null && found.size > 0;
  }

  /** The file, its sum beside it as `sha256sum --check` reads it, then the line of the manifest. */
  async add(entry: Entry, text: string): Promise<void> {
    const before = this.find(entry.runId);
    const path = join(this.folder, entry.file);
    await writing(this.folder, async () => {
      await mkdir(dirname(path), { recursive: true });
      await replace(path, text);
      await replace(`${path}.sha256`, `${entry.sha256}  ${entry.file.split(/[/\\]/).at(-1)!}\n`);
      await append(join(this.folder, MANIFEST), `${JSON.stringify(entry)}\n`);
      this.#entries.set(entry.runId, entry);
      // What it looked like before: a shorter one of the same run.
      if (before !== null && before.file !== entry.file) {
        const old = join(this.folder, before.file);
        await Promise.all([rm(old, { force: true }), rm(`${old}.sha256`, { force: true })]);
      }
    });
  }

  /** Files that no line names: an export that was cut off. */
  async unnamed(): Promise<string[]> {
    const named = new Set(this.entries.map(({ file }) => file));
    const found = await orNothing(readdir(this.folder, { recursive: true, encoding: 'utf8' }), []);
    return found.filter((file) => file.endsWith('.json') && !named.has(file)).sort();
  }
}

/** @throws ConfigError before anything starts that would write to it */
export const assertWritable = (folder: string): Promise<void> =>
  writing(folder, async () => {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  });

function parseEntry(line: string): Entry | null {
  try {
    const entry = JSON.parse(line) as Entry;
    const isOurs = typeof entry.runId === 'string' && typeof entry.file === 'string';
    return isOurs && !entry.file.split(/[/\\]/).includes('..') ? entry : null;
  } catch {
    return null;
  }
}

/** Whole or not at all, though the machine lose power. */
async function replace(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.part`;
  const file = await open(temporary, 'w');
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** Begins with a line end, so that a line which was cut off spoils none after it. */
async function append(path: string, line: string): Promise<void> {
  const file = await open(path, 'a');
  try {
    await file.write(`\n${line}`);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function orNothing<T>(reading: Promise<T>, nothing: T): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return nothing;
    throw error;
  }
}

/** @throws ConfigError naming the folder */
async function writing(folder: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new ConfigError([
      {
        field: 'history folder',
        value: folder,
        problem: `cannot be written (${code})`,
        remedy: 'make room, give rights, or name another folder',
      },
    ]);
  }
}
