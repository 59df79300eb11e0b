/** `flags`, until Ctrl-C. */
import type { Handler } from './commands.ts';
import { showFlags } from './flags.ts';
import type { StageRow } from '../db/stages.ts';
import { oneLine } from './terminal.ts';
import { watch } from './watch.ts';

interface Flags {
  readonly stages: readonly Pick<StageRow, 'tenant' | 'stage' | 'epoch' | 'dirty'>[];
  readonly nodes: readonly { readonly node: string; readonly live: boolean; readonly behind: number }[];
}

export const run: Handler = (context) =>
  watch(context, async () => {
    const outcome = await showFlags(context, null);
    const { stages, nodes } = outcome.data as unknown as Flags;
    return {
      outcome,
      lines: new Map([
        ...stages.map(({ tenant, stage, epoch, dirty }): [string, string] => [
          `tenant ${tenant}`,
          `${oneLine(tenant)}: ${stage}, epoch ${epoch}${dirty ? ', dirty' : ''}`,
        ]),
        ...nodes.map(({ node, live, behind }): [string, string] => [
          `node ${node}`,
          `node ${oneLine(node)}: ${live ? 'live' : 'gone'}, ${behind} changes behind`,
        ]),
      ]),
    };
  });
