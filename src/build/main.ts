/** What `npm run build` adds to the compiled sources: the workflows in one file, and the command in a few. */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { bundle } from '../worker.ts';
import { buildCli } from './cli.ts';

const DIST = new URL('../../dist/src/', import.meta.url);

// A worker that bundles at its start is twice as large.
const workflows = await bundle();
if ('code' in workflows) await writeFile(new URL('workflow-bundle.js', DIST), workflows.code);
await buildCli(fileURLToPath(new URL('cli', DIST)));
