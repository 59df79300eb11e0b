/** Looks at every file of an archive: is it there, is it what was written, is the chain of runs whole, does it replay? */
import type { Archive, Entry } from './archive.ts';
import { sha256 } from './archive.ts';
import { begunAs, parseHistory, startOf, type History } from './events.ts';

export interface Finding {
  readonly file: string;
  readonly workflowId: string;
  readonly runId: string;
  readonly problem: 'missing' | 'altered' | 'unreadable' | 'another-run' | 'hole' | 'does-not-replay';
  readonly why: string;
}

export interface Intact {
  readonly entry: Entry;
  readonly history: History;
}

export type Looked = { readonly intact: Intact } | { readonly finding: Finding };

export async function lookAt(archive: Archive, entry: Entry): Promise<Looked> {
  const finding = (problem: Finding['problem'], why: string): Looked => ({
    finding: { file: entry.file, workflowId: entry.workflowId, runId: entry.runId, problem, why },
  });
  let bytes: Buffer;
  try {
    bytes = await archive.read(entry);
  } catch (error) {
    const { code = 'unreadable' } = error as NodeJS.ErrnoException;
    return finding('missing', code === 'ENOENT' ? 'the file is gone' : `the file cannot be read (${code})`);
  }
  const sum = sha256(bytes);
  if (sum !== entry.sha256)
    return finding('altered', `its SHA-256 is ${sum}, the manifest says ${entry.sha256}`);
  let history: History;
  try {
    history = parseHistory(bytes.toString('utf8'));
  } catch (error) {
    return finding('unreadable', `it is no history: ${(error as Error).message.split('\n')[0]}`);
  }
  const why = unlike(entry, history);
  return why === null ? { intact: { entry, history } } : finding('another-run', why);
}

/** Is it the run that the manifest names, with every event from the first on? */
function unlike({ runId, events, type, continues }: Entry, history: History): string | null {
  const started = startOf(history);
  if (started === null) return 'its first event is not the start of a run';
  // A reset run keeps the start of the run that it was made from.
  const ids = [started.originalExecutionRunId, started.firstExecutionRunId];
  if (ids[0] !== runId && !resets(history, runId)) return `it is run ${ids[0]}, the manifest says ${runId}`;
  if (started.workflowType?.name !== type)
    return `it is of ${started.workflowType?.name}, the manifest says ${type}`;
  if (begunAs(history).continues !== continues) return 'it continues another run than the manifest says';
  const numbers = (history.events ?? []).map(({ eventId }) => Number(eventId));
  if (numbers.length !== events) return `it has ${numbers.length} events, the manifest says ${events}`;
  const gap = numbers.findIndex((id, index) => id !== index + 1);
  return gap < 0 ? null : `event ${gap + 1} is missing`;
}

const resets = ({ events }: History, runId: string): boolean =>
  (events ?? []).some(({ workflowTaskFailedEventAttributes: failed }) => failed?.newRunId === runId);

/** A run that was never exported while its successor was: its retention was over first. */
export const holes = (archive: Archive, entries: readonly Entry[]): Finding[] =>
  entries
    .filter(({ continues }) => continues !== null && archive.find(continues) === null)
    .map(({ file, workflowId, runId, continues }) => ({
      file,
      workflowId,
      runId,
      problem: 'hole',
      why: `it continues run ${continues}, which is not in the archive: export more often than the namespace's retention`,
    }));
