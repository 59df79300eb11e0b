/** Writes what is new of the histories into a folder; with `--dry-run` says what that would be, and until when. */
import { resolve } from 'node:path';

import type { Missing, WhichRun } from '../history/export.ts';
import { formatDuration, SECOND } from '../domain/duration.ts';
import type { Handler } from './commands.ts';
import type { Context } from './context.ts';
import { CliFailure } from './exit.ts';
import type { Input } from './input.ts';
import { noRun } from './order.ts';
import { oneLine, type Outcome } from './terminal.ts';

export const DEFAULT_FOLDER = './histories';

export async function folderOf(context: Context, given: string | null): Promise<string> {
  return given ?? (await context.plan()).history.folder ?? DEFAULT_FOLDER;
}

export const run: Handler = async (context, input) => {
  const tenant = input.word(0);
  const which: WhichRun = { migration: (await context.plan()).name, tenant };
  const folder = await folderOf(context, input.text('out'));
  const [{ client }, { Archive }, { exportHistories, missingOf }] = await Promise.all([
    context.temporal(),
    import('../history/archive.ts'),
    import('../history/export.ts'),
  ]);
  const archive = await Archive.open(resolve(folder));
  if (input.has('dryRun')) return preview(context, input, folder, await missingOf(client, archive, which));
  const { written, kept, lost, stopped } = await exportHistories(
    client,
    archive,
    which,
    context.stopping.signal,
  );
  if (written.length + kept + lost.length === 0) {
    if (tenant !== null) throw await noRun(context, tenant);
    throw new CliFailure('not-found', 'nothing was started yet', {
      next: [context.change('start', 'TENANT')],
    });
  }
  const open = written.filter(({ status }) => status === 'RUNNING').length;
  const who = tenant === null ? which.migration : oneLine(tenant);
  return {
    kind: stopped ? 'interrupted' : 'ok',
    data: { folder, tenant, written, kept, lost, stopped },
    lines: [
      `${who}: wrote ${runs(written.length)} to ${folder}${open === 0 ? '' : `, ${open} of them open and written as they stand`}; ${kept} were there already.`,
      ...written
        .slice(0, SHOWN)
        .map(({ file, events, sha256 }) => `  ${file}  ${events} events  sha256 ${sha256}`),
      ...(written.length > SHOWN ? [`  and ${written.length - SHOWN} more, all in manifest.jsonl`] : []),
      ...lost.map(({ workflowId, runId }) => `  gone before it was written: ${workflowId} run ${runId}`),
      ...(stopped ? ['Cut off; the same command goes on.'] : []),
    ],
    next: [context.line('history', 'verify', ...input.words, '--from', folder)],
  };
};

/** Its own way to say what it would write. */
export const dryRun: Handler = run;

const SHOWN = 20;

const runs = (count: number): string => `${count} ${count === 1 ? 'run' : 'runs'}`;

async function preview(
  context: Context,
  input: Input,
  folder: string,
  { due, kept }: Missing,
): Promise<Outcome> {
  const [{ client }, plan] = await Promise.all([context.temporal(), context.plan()]);
  const { namespace } = plan.temporal;
  const { config } = await client.connection.workflowService.describeNamespace({ namespace });
  const retention = Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0) * SECOND;
  const waiting = due.map(({ workflowId, runId, status, closedAt, events }) => ({
    workflowId,
    runId,
    status,
    events,
    deletedAt: closedAt === null ? null : new Date(closedAt.getTime() + retention).toISOString(),
  }));
  const closed = waiting.filter(({ deletedAt }) => deletedAt !== null);
  const first = closed[0]?.deletedAt ?? null;
  return {
    data: { folder, waiting, kept },
    lines: [
      `${runs(closed.length)} ended and ${closed.length === 1 ? 'is' : 'are'} not in ${folder}; ${waiting.length - closed.length} open; ${kept} are there.`,
      ...(first === null
        ? []
        : [
            `Temporal deletes the first of them at ${first}, in ${formatDuration(Math.max(0, Date.parse(first) - Date.now()))} (the namespace keeps ${formatDuration(retention)}).`,
          ]),
      ...closed
        .slice(0, SHOWN)
        .map(({ workflowId, runId, deletedAt }) => `  ${workflowId}  run ${runId}  until ${deletedAt}`),
    ],
    next: due.length === 0 ? [] : [context.line('history', 'export', ...input.words, '--out', folder)],
  };
}
