/** Writes the history of every run of a tenant's workflow, as JSON that replays, with its hash beside it. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Client } from '@temporalio/client';

import type { Handler } from './commands.ts';
import { CliFailure } from './exit.ts';
import { noRun } from './order.ts';
import { oneLine } from './terminal.ts';

interface Exported {
  readonly runId: string;
  readonly file: string;
  readonly sha256: string;
  readonly events: number;
}

export const run: Handler = async (context, input) => {
  const { tenant } = input;
  const folder = input.text('out') ?? '.';
  const { client } = await context.temporal();
  const workflowId = await context.workflowId(tenant);
  const runIds = await runsOf(client, workflowId);
  if (runIds.length === 0) throw await noRun(context, tenant);
  const { historyToJSON } = await import('@temporalio/common/lib/proto-utils.js');
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new CliFailure(
      'usage',
      `--out ${folder} cannot be made (${(error as NodeJS.ErrnoException).code}); name another folder`,
    );
  }
  const runs: Exported[] = [];
  for (const runId of runIds) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    const text = historyToJSON(history);
    const name = `${workflowId.split('/').at(-1)!}_${runId}.json`;
    const sha256 = createHash('sha256').update(text).digest('hex');
    await writeFile(join(folder, name), text);
    // As `sha256sum --check` reads it.
    await writeFile(join(folder, `${name}.sha256`), `${sha256}  ${name}\n`);
    runs.push({ runId, file: join(folder, name), sha256, events: history.events?.length ?? 0 });
  }
  return {
    data: { tenant, workflowId, runs },
    lines: [
      `${oneLine(tenant)}: wrote ${runs.length} ${runs.length === 1 ? 'run' : 'runs'}.`,
      ...runs.map(({ file, events, sha256 }) => `  ${file}  ${events} events  sha256 ${sha256}`),
    ],
    next: [`(cd ${folder} && sha256sum --check *.sha256)`],
  };
};

/** Visibility is a little late, so the newest run is asked for by itself. */
async function runsOf(client: Client, workflowId: string): Promise<string[]> {
  const { WorkflowNotFoundError } = await import('@temporalio/client');
  const found = new Set<string>();
  for await (const execution of client.workflow.list({ query: `WorkflowId = '${workflowId}'` }))
    found.add(execution.runId);
  try {
    found.add((await client.workflow.getHandle(workflowId).describe()).runId);
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
  return [...found];
}
