/** The audit: every change, with who made it and why; and the workflow that drove them. */
import { count, facts, html, named, table, time } from '../html.ts';
import type { TenantSection } from '../section.ts';

export const events: TenantSection = {
  title: 'Events',
  draw: ({ audit, auditTotal, workflow }) =>
    html`${
      workflow === null
        ? html`<p class="note">
            The workflow’s history: not read (Temporal did not answer, or has no run any more).
          </p>`
        : facts([
            ['workflow', html`<code>${workflow.workflowId}</code>`],
            ['run', html`<code>${workflow.runId}</code>`],
            ['status', workflow.status],
            ['events in its history', count(workflow.events)],
            ['started (UTC)', time(workflow.startedAt)],
          ])
    }${
      auditTotal > audit.length
        ? html`<p class="note">The latest ${audit.length} of ${count(auditTotal)} entries of the audit.</p>`
        : ''
    }${table({
      caption: 'The audit, the oldest entry first',
      heads: ['when (UTC)', 'what', 'from', 'to', 'epoch', 'who', 'why'],
      numbers: [4],
      rows: audit.map(({ at, event, before, after, epoch, actor, reason }) => [
        time(at),
        event,
        before ?? '–',
        after ?? '–',
        epoch ?? '–',
        named(actor),
        reason,
      ]),
      otherwise: 'Nothing was changed yet.',
    })}`,
};
