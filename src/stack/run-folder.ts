import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { guard } from './guard.ts';

/** Where one server keeps its files: temporary and removed with it, or the caller's and kept. */
export interface RunFolder {
  readonly path: string;
  readonly isTemporary: boolean;
  /** Removes a temporary folder. */
  remove(): Promise<void>;
  /** A temporary folder stays when this program ends. */
  keep(): void;
}

export async function runFolder(name: string, directory?: string): Promise<RunFolder> {
  if (directory !== undefined) {
    const path = join(directory, name);
    await mkdir(path, { recursive: true });
    return { path, isTemporary: false, remove: async () => {}, keep: () => {} };
  }
  const path = await mkdtemp(join(tmpdir(), `switchback-${name}-`));
  const release = guard().folder(path);
  return {
    path,
    isTemporary: true,
    remove: async () => {
      await rm(path, { recursive: true, force: true, maxRetries: 10 });
      release();
    },
    keep: release,
  };
}
