/** Writes what is new of a migration's histories into an archive: closed runs once, open ones as they stand. */
import type { Client } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

import { fileOf, isClosed, sha256, type Archive, type Entry } from './archive.ts';
import { begunAs } from './events.ts';
import { fetchHistory, listRuns, type Run, type WhichRun } from './runs.ts';

export type { WhichRun };

export interface Exported {
  readonly written: readonly Entry[];
  /** In the archive already, as they stand. */
  readonly kept: number;
  /** The server had deleted them before they were written: their retention was over. */
  readonly lost: readonly Run[];
  /** Asked to stop before everything was written. */
  readonly stopped: boolean;
}

const AT_ONCE = 4;

export async function exportHistories(
  client: Client,
  archive: Archive,
  which: WhichRun,
  stopping?: AbortSignal,
): Promise<Exported> {
  const missing = await missingOf(client, archive, which);
  const written: Entry[] = [];
  const lost: Run[] = [];
  for (let at = 0; at < missing.due.length && stopping?.aborted !== true; at += AT_ONCE) {
    const fetched = await Promise.all(
      missing.due.slice(at, at + AT_ONCE).map((run) => take(client, run, which.migration)),
    );
    for (const { run, entry, json } of fetched) {
      if (json === null) lost.push(run);
      // Without an entry it is somebody else's: its workflow id only looks like ours.
      if (entry === null || json === null) continue;
      await archive.add(entry, json);
      written.push(entry);
    }
  }
  return { written, kept: missing.kept, lost, stopped: stopping?.aborted === true };
}

export interface Missing {
  readonly due: readonly Run[];
  readonly kept: number;
}

/** What an export would write, the first to be deleted ahead. */
export async function missingOf(client: Client, archive: Archive, which: WhichRun): Promise<Missing> {
  const runs = await listRuns(client, which);
  const due: Run[] = [];
  for (const run of runs) {
    const known = archive.find(run.runId);
    const isSame = known !== null && known.status === run.status && known.events >= run.events;
    if (!isSame || !(await archive.has(known))) due.push(run);
  }
  const end = ({ closedAt }: Run): number => closedAt?.getTime() ?? Number.POSITIVE_INFINITY;
  return { due: due.sort((a, b) => end(a) - end(b)), kept: runs.length - due.length };
}

interface Fetched {
  readonly run: Run;
  readonly entry: Entry | null;
  readonly json: string | null;
}

async function take(client: Client, run: Run, migration: string): Promise<Fetched> {
  const { workflowId, runId, type, startedAt, closedAt } = run;
  const history = await fetchHistory(client, workflowId, runId);
  if (history === null) return { run, entry: null, json: null };
  const json = historyToJSON(history);
  const begun = begunAs(history);
  const events = history.events?.length ?? 0;
  // It may have ended since it was listed: the next export takes it as closed.
  const file = fileOf(workflowId, runId, run.status, events);
  if (file === null || begun.migration !== migration) return { run, entry: null, json };
  const entry: Entry = {
    workflowId,
    runId,
    type,
    tenant: begun.tenant,
    status: run.status,
    startedAt: startedAt.toISOString(),
    closedAt: isClosed(run.status) ? (closedAt?.toISOString() ?? null) : null,
    continues: begun.continues,
    events,
    file,
    sha256: sha256(json),
    exportedAt: new Date().toISOString(),
  };
  return { run, entry, json };
}
