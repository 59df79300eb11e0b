/** Replays histories on the workflow code of today. Loads the SDK's native worker: only for whoever asks for it. */
import { Worker } from '@temporalio/worker';

import { hasRun } from './history/events.ts';
import type { Finding, Intact } from './history/verify.ts';
import { bundle } from './worker.ts';

/** @returns what does not replay; the others come out the same, command for command */
export async function replay(histories: AsyncIterable<Intact>): Promise<Finding[]> {
  // One after the other, so a result is of the history that was given last.
  let given: Intact | null = null;
  async function* each() {
    for await (const intact of histories) {
      // Nothing in it can come out otherwise, and the SDK would wait for its first task for ever.
      if (!hasRun(intact.history)) continue;
      given = intact;
      yield { workflowId: intact.entry.workflowId, history: intact.history };
    }
  }
  const findings: Finding[] = [];
  for await (const { error } of Worker.runReplayHistories({ workflowBundle: await bundle() }, each())) {
    const { file, workflowId, runId } = given!['entry'] as Intact['entry'];
    if (error !== undefined)
      findings.push({ file, workflowId, runId, problem: 'does-not-replay', why: brief(error) });
  }
  return findings;
}

/** The SDK's message goes on with advice for programmers. */
const brief = (error: Error): string => error.message.replaceAll(/\s+/g, ' ').slice(0, 400) || error.name;
