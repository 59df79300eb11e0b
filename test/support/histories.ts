/**
 * Recorded histories, a folder for each version that was released: what today's workflow code must still replay. Those of
 * the version at hand are recorded with SWITCHBACK_RECORD=1; a folder of an earlier version is never written again.
 */
import { readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { gunzipSync, gzipSync } from 'node:zlib';

import type { WorkflowHandle } from '@temporalio/client';
import { historyFromJSON, historyToJSON } from '@temporalio/common/lib/proto-utils.js';

const FOLDER = new URL('../histories/', import.meta.url);

export const { version: VERSION } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as { version: string };

/** Keeps the run's history as it stands, when asked to. */
export async function record(name: string, handle: WorkflowHandle): Promise<void> {
  if (process.env['SWITCHBACK_RECORD'] !== '1') return;
  const folder = new URL(`${VERSION}/`, FOLDER);
  await mkdir(folder, { recursive: true });
  const history = await handle.fetchHistory();
  await writeFile(new URL(`${name}.json.gz`, folder), gzipSync(historyToJSON(history), { level: 9 }));
}

export interface Recorded {
  readonly version: string;
  readonly name: string;
  readonly history: ReturnType<typeof historyFromJSON>;
}

export async function recorded(): Promise<Recorded[]> {
  const files = (await readdir(FOLDER, { recursive: true, encoding: 'utf8' }))
    .filter((file) => file.endsWith('.json.gz'))
    .sort();
  return Promise.all(
    files.map(async (file) => {
      const text = gunzipSync(await readFile(new URL(file, FOLDER))).toString('utf8');
      const [version = '', name = ''] = file.replace(/\.json\.gz$/, '').split('/');
      return { version, name, history: historyFromJSON(JSON.parse(text)) };
    }),
  );
}
