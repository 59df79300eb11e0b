/** What the demo asks of Temporal by stock means: a plain signal, and the size of the histories. */
import { randomUUID } from 'node:crypto';

import { Client, Connection } from '@temporalio/client';

import { tenantWorkflowId } from '../../src/domain/ids.ts';
import type { Stack } from '../../src/stack/servers.ts';

const MIGRATION = 'sms-portal-demo';

async function withClient<T>(stack: Stack, use: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address: stack.temporal.address });
  try {
    return await use(new Client({ connection }));
  } finally {
    await connection.close();
  }
}

/** @returns the line with which the stock CLI would do the same */
export function signalRollback(stack: Stack, tenant: string): Promise<string> {
  const workflowId = tenantWorkflowId(MIGRATION, tenant);
  const payload = { requestId: randomUUID(), actor: 'ann', reason: 'support saw an old status' };
  return withClient(stack, async (client) => {
    await client.workflow.getHandle(workflowId).signal('rollback', payload);
    return `$ temporal workflow signal --workflow-id ${workflowId} --name rollback --input '${JSON.stringify(payload)}'`;
  });
}

export const eventsOf = (stack: Stack, tenants: readonly string[]): Promise<Record<string, number>> =>
  withClient(stack, async (client) => {
    const counts = await Promise.all(
      tenants.map(async (tenant) => {
        const { events } = await client.workflow
          .getHandle(tenantWorkflowId(MIGRATION, tenant))
          .fetchHistory();
        return [tenant, events?.length ?? 0] as const;
      }),
    );
    return Object.fromEntries(counts);
  });
