/** What the application obeys: the stage of each tenant, and which nodes have seen it. */
import { readNodes, readStages } from '../db/stages.ts';
import type { Handler } from './commands.ts';
import type { Context } from './context.ts';
import { CliFailure } from './exit.ts';
import { aligned } from './status-text.ts';
import { oneLine, type Outcome } from './terminal.ts';

export const run: Handler = (context, input) => showFlags(context, input.word(0));

export async function showFlags(context: Context, only: string | null): Promise<Outcome> {
  const pair = await context.pair();
  const [rows, leases] = await Promise.all([
    readStages(pair.source, pair.control, -1),
    readNodes(pair.source, pair.control),
  ]);
  const stages = rows
    .filter(({ tenant }) => only === null || tenant === only)
    .sort((a, b) => (a.tenant < b.tenant ? -1 : 1))
    .map(({ tenant, stage, epoch, version, dirty }) => ({ tenant, stage, epoch, version, dirty }));
  if (only !== null && stages.length === 0) {
    await context.tenant(only);
    throw new CliFailure('not-found', `${oneLine(only)} has no stage yet: it was not started`, {
      next: [context.change('start', only)],
    });
  }
  const newest = Math.max(0, ...stages.map(({ version }) => version));
  const nodes = leases.map(({ node, service, version, live, seenAt }) => ({
    node,
    service,
    version,
    live,
    seenAt,
    behind: Math.max(0, newest - version),
  }));
  const behind = nodes.filter((node) => node.live && node.behind > 0).length;
  return {
    data: { version: newest, stages, nodes },
    lines: [
      ...aligned(
        ['TENANT', 'STAGE', 'EPOCH', 'VERSION', 'DIRTY'],
        stages.map(({ tenant, stage, epoch, version, dirty }) => [
          oneLine(tenant),
          stage,
          String(epoch),
          String(version),
          dirty ? 'yes' : 'no',
        ]),
      ),
      '',
      ...aligned(
        ['NODE', 'SERVICE', 'VERSION', 'LIVE', 'BEHIND'],
        nodes.map((node) => [
          oneLine(node.node),
          oneLine(node.service),
          String(node.version),
          node.live ? 'yes' : 'no',
          node.behind === 0 ? 'no' : `${node.behind} changes`,
        ]),
      ),
      nodes.length === 0
        ? 'No application node holds a lease: is the application running with the Switchback library?'
        : `${behind === 0 ? 'Every live node follows' : `${behind} live nodes are behind`} version ${newest}.`,
    ],
  };
}
