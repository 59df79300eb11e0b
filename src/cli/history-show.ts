/** Tells the weeks of a tenant, or of the fleet, from Temporal and from an export. */
import { resolve } from 'node:path';

import { readByHand } from '../db/chronicle.ts';
import { fleetWorkflowId } from '../domain/ids.ts';
import type { Archive } from '../history/archive.ts';
import type { History } from '../history/events.ts';
import type { Sentence } from '../history/story.ts';
import type { Told } from '../history/timeline.ts';
import type { Handler } from './commands.ts';
import type { Context } from './context.ts';
import { CliFailure } from './exit.ts';
import { DEFAULT_FOLDER } from './history-export.ts';
import { noRun } from './order.ts';
import { oneLine } from './terminal.ts';

interface Source {
  readonly workflowId: string;
  readonly runId: string;
  readonly type: string;
  readonly history: History;
}

const RECONCILE = 'continuousReconcile';

export const run: Handler = async (context, input) => {
  const tenant = input.word(0);
  const given = input.text('from');
  const [{ Archive }, { timeline }] = await Promise.all([
    import('../history/archive.ts'),
    import('../history/timeline.ts'),
  ]);
  const folder = given ?? (await context.plan()).history.folder ?? DEFAULT_FOLDER;
  const archive = await Archive.open(resolve(folder));
  const live = given === null ? await fromTemporal(context, tenant) : [];
  const kept = await fromArchive(archive, tenant, new Set(live.map(({ runId }) => runId)));
  const sources = [...kept, ...live];
  if (sources.length === 0) {
    if (given === null && tenant !== null) throw await noRun(context, tenant);
    const what = tenant === null ? 'no run of a fleet' : `no run of ${oneLine(tenant)}`;
    throw new CliFailure('not-found', `there is ${what}${given === null ? '' : ` in ${given}`}`);
  }
  const types = new Map(sources.map(({ runId, type }) => [runId, type]));
  const quiet = ({ kind, runId }: Told): boolean => kind === 'run' && types.get(runId) === RECONCILE;
  const byRuns = timeline(sources).filter((one) => input.has('passes') || !quiet(one));
  const hands = given === null && tenant !== null ? await byHand(context, tenant) : [];
  const told = [...byRuns, ...(hands ?? [])].sort((a, b) => a.at - b.at);
  const events = sources.reduce((sum, { history }) => sum + (history.events?.length ?? 0), 0);
  const who = tenant === null ? 'The fleet' : oneLine(tenant);
  return {
    data: {
      tenant,
      runs: sources.map(({ workflowId, runId, type }) => ({ workflowId, runId, type })),
      events,
      byHand: given === null && tenant !== null && hands !== null,
      told: told.map((one) => ({ ...one, at: new Date(one.at).toISOString() })),
    },
    lines: [
      `${who}: ${runs(sources.length)}, ${events} events${kept.length === 0 ? '' : `; ${runs(kept.length)} from ${folder}`}. Times are UTC.`,
      ...told.map(line),
      ...(hands === null
        ? [
            `Repairs and rollbacks without the workflow are not told: the source cannot be read; ${context.line('status')} says why.`,
          ]
        : []),
    ],
  };
};

const runs = (count: number): string => `${count} ${count === 1 ? 'run' : 'runs'}`;

type Line = Sentence & Pick<Told, 'at'>;

/** @returns repairs and flips that no run can tell; null: the control schema can't be read */
async function byHand(context: Context, tenant: string): Promise<Line[] | null> {
  try {
    const all = await readByHand(await context.pair(), tenant);
    return all.map(({ at, event, before, after, actor, reason }) => ({
      at: Date.parse(at),
      ...(event === 'repair'
        ? { kind: 'drift', text: `repair of ${after}` }
        : { kind: 'flip', text: `flip without the workflow: ${before} to ${after}` }),
      actor,
      reason,
    }));
  } catch {
    return null;
  }
}

const line = ({ at, kind, text, actor, reason }: Line): string => {
  // Only people are named; what Switchback did by itself is said by the sentence.
  const isPerson = actor != null && actor !== 'switchback';
  const who = isPerson ? ` by ${actor}${reason == null ? '' : `: ${reason}`}` : '';
  const why = !isPerson && reason != null ? `: ${reason}` : '';
  return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')}  ${kind.padEnd(7)}  ${oneLine(`${text}${who}${why}`)}`;
};

async function fromTemporal(context: Context, tenant: string | null): Promise<Source[]> {
  const plan = await context.plan();
  const [{ client }, { fetchHistory, listRuns }] = await Promise.all([
    context.temporal(),
    import('../history/runs.ts'),
  ]);
  const found = await listRuns(client, {
    migration: plan.name,
    tenant,
    ...(tenant === null ? { only: fleetWorkflowId(plan.name) } : {}),
  });
  const sources: Source[] = [];
  for (const { workflowId, runId, type } of found) {
    const history = await fetchHistory(client, workflowId, runId);
    // Listed, but deleted already: then it is in the export, or gone.
    if (history !== null) sources.push({ workflowId, runId, type, history });
  }
  return sources;
}

/** What does not fit its sum is told too: `history verify` says so. */
async function fromArchive(
  archive: Archive,
  tenant: string | null,
  known: ReadonlySet<string>,
): Promise<Source[]> {
  const { parseHistory } = await import('../history/events.ts');
  const sources: Source[] = [];
  for (const entry of archive.entries) {
    if (entry.tenant !== tenant || known.has(entry.runId)) continue;
    const text = await archive.read(entry).catch(() => null);
    if (text !== null) sources.push({ ...entry, history: parseHistory(text.toString('utf8')) });
  }
  return sources;
}
