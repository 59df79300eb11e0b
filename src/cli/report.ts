/** Writes the report: everything that the control schemas know, and what Temporal adds while it answers. */
import { rename, writeFile } from 'node:fs/promises';

import type { ReportFacts, WorkflowFacts } from '../report/facts.ts';
import type { Handler } from './commands.ts';
import { tenantsOf, type Context } from './context.ts';
import { CliFailure } from './exit.ts';
import type { Temporal } from '../connect.ts';
import { oneLine, scrub } from './terminal.ts';

const DEFAULT_FILE = 'switchback-report.html';

export const run: Handler = async (context, input) => {
  const tenant = input.word(0);
  const out = input.text('out');
  const plan = await context.plan();
  const pair = await context.pair();
  const [{ readFacts }, { measureReplicas }] = await Promise.all([
    import('../report/read-facts.ts'),
    import('../connect.ts'),
  ]);
  const temporal = await context.temporal().catch((error: unknown) => {
    if (error instanceof CliFailure) return error;
    throw error;
  });
  const report = await readFacts(pair, {
    plan,
    tenant,
    known: tenantsOf(plan),
    replicas: await measureReplicas(plan, pair, context.env),
    withoutTemporal:
      temporal instanceof CliFailure ? `the workflows’ histories. ${oneLine(temporal.message)}.` : null,
    ...(temporal instanceof CliFailure ? {} : { workflow: (one) => workflowOf(context, temporal, one) }),
  });
  if (tenant !== null && report.standing.length === 0) {
    await context.tenant(tenant);
    throw new CliFailure('not-found', `${oneLine(tenant)} was not started yet`, {
      next: [context.change('start', tenant)],
    });
  }
  // Only asked for the data: no file is left behind that nobody named.
  const file = out ?? (context.terminal.json ? null : DEFAULT_FILE);
  const bytes = file === null ? 0 : await write(file, report);
  return {
    data: { file, ...report },
    lines: [
      `${file}: ${report.tenants.length} of ${report.standing.length} ${report.standing.length === 1 ? 'tenant' : 'tenants'}, ${Math.ceil(bytes / 1_024)} KB.`,
      ...report.missing.map((what) => `Missing: ${what}`),
    ],
  };
};

/** Whoever has the old one open never sees half of the new one. */
async function write(file: string, report: ReportFacts): Promise<number> {
  const [{ pageOf }, { openDrawing }] = await Promise.all([
    import('../report/page.ts'),
    import('../report/chart.ts'),
  ]);
  const page = scrub(pageOf(report, await openDrawing()));
  const partial = `${file}.partial-${process.pid}`;
  try {
    await writeFile(partial, page);
    await rename(partial, file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliFailure('usage', `--out ${file} can't be written (${code ?? 'unknown'}); name another file`);
  }
  return Buffer.byteLength(page);
}

async function workflowOf(
  context: Context,
  { client }: Temporal,
  tenant: string,
): Promise<WorkflowFacts | null> {
  const workflowId = await context.workflowId(tenant);
  try {
    const run = await client.workflow.getHandle(workflowId).describe();
    return {
      workflowId,
      runId: run.runId,
      status: run.status.name.toLowerCase(),
      events: run.historyLength,
      startedAt: run.startTime.toISOString(),
    };
  } catch {
    return null; // ended long ago, or Temporal went away meanwhile: the page says that it was not read
  }
}
