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
  const alive = leases.filter((node) => node.live);
  const stages = rows
    .filter(({ tenant }) => only === null || tenant === only)
    .sort((a, b) => (a.tenant < b.tenant ? -1 : 1))
    .map(({ tenant, stage, epoch, version, dirty }) => ({
      tenant,
      stage,
      epoch,
      version,
      dirty,
      following: alive.filter((node) => node.version >= version).length,
    }));
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
    // A node that has acknowledged a version follows every epoch up to it.
    missing: stages.filter((row) => row.version > version).map(({ tenant, epoch }) => ({ tenant, epoch })),
  }));
  const behind = nodes.filter((node) => node.live && node.behind > 0).length;
  return {
    data: { version: newest, stages, nodes },
    lines: [
      ...aligned(
        ['TENANT', 'STAGE', 'EPOCH', 'VERSION', 'DIRTY', 'FOLLOWED BY'],
        stages.map(({ tenant, stage, epoch, version, dirty, following }) => [
          oneLine(tenant),
          stage,
          String(epoch),
          String(version),
          dirty ? 'yes' : 'no',
          `${following} of ${alive.length}`,
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
          node.behind === 0 ? 'no' : sayMissing(node.missing),
        ]),
      ),
      nodes.length === 0
        ? 'No application node holds a lease: is the application running with the Switchback library?'
        : `${behind === 0 ? 'Every live node follows' : `${behind} live nodes are behind`} version ${newest}.`,
    ],
  };
}

const NAMED = 3;

/** What a node has not seen yet, by tenant and epoch. */
function sayMissing(missing: readonly { tenant: string; epoch: number }[]): string {
  const named = missing.slice(0, NAMED).map(({ tenant, epoch }) => `${oneLine(tenant)} epoch ${epoch}`);
  const more = missing.length > NAMED ? [`${missing.length - NAMED} more`] : [];
  return [...named, ...more].join(', ');
}
