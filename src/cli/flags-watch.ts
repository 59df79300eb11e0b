/** `flags`, until Ctrl-C. */
import type { Handler } from './commands.ts';
import { showFlags } from './flags.ts';
import { watch } from './watch.ts';

export const run: Handler = (context) =>
  watch(context, async () => {
    const outcome = await showFlags(context, null);
    const { stages, nodes } = outcome.data as {
      stages: unknown;
      nodes: readonly { node: string; live: boolean; behind: number }[];
    };
    return {
      outcome,
      facts: JSON.stringify([stages, nodes.map(({ node, live, behind }) => [node, live, behind])]),
    };
  });
