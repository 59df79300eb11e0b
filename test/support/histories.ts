/** Recorded histories: what today's workflow code must still replay. Recorded with SWITCHBACK_RECORD=1. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { gunzipSync, gzipSync } from 'node:zlib';

import type { WorkflowHandle } from '@temporalio/client';
import { historyFromJSON, historyToJSON } from '@temporalio/common/lib/proto-utils.js';

const FOLDER = new URL('../histories/', import.meta.url);

/** Keeps the run's history as it stands, when asked to. */
export async function record(name: string, handle: WorkflowHandle): Promise<void> {
  if (process.env['SWITCHBACK_RECORD'] !== '1') return;
  await mkdir(FOLDER, { recursive: true });
  const history = await handle.fetchHistory();
  await writeFile(new URL(`${name}.json.gz`, FOLDER), gzipSync(historyToJSON(history), { level: 9 }));
}

export async function recorded(): Promise<{ name: string; history: ReturnType<typeof historyFromJSON> }[]> {
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith('.json.gz')).sort();
  return Promise.all(
    names.map(async (name) => ({
      name,
      history: historyFromJSON(
        JSON.parse(gunzipSync(await readFile(new URL(name, FOLDER))).toString('utf8')),
      ),
    })),
  );
}
