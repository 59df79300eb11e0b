/** Writes the workflow bundle beside the compiled worker: a worker that bundles at its start is twice as large. */
import { writeFile } from 'node:fs/promises';

import { bundle } from './worker.ts';

const built = await bundle();
if ('code' in built) await writeFile(new URL('../dist/src/workflow-bundle.js', import.meta.url), built.code);
