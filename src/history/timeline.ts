/** Tells what happened from the events of a run: every phase, flip, order, gate, drift and stop, in their order. */
import { COMMAND_NAMES } from '../domain/command.ts';
import { FLEET_COMMAND_NAMES } from '../domain/fleet-command.ts';
import { fields, millisOf, startOf, text, valueOf, type History, type HistoryEvent } from './events.ts';
import { TELLS, type Memory, type Sentence } from './story.ts';

export interface RunHistory {
  readonly workflowId: string;
  readonly runId: string;
  readonly history: History;
}

export interface Told extends Sentence {
  /** Epoch milliseconds of the Temporal server. */
  readonly at: number;
  readonly workflowId: string;
  readonly runId: string;
  readonly eventId: number;
}

/** In the order of the server's clock, over all runs. */
export const timeline = (runs: readonly RunHistory[]): Told[] =>
  runs.flatMap(tell).sort((a, b) => a.at - b.at || (a.runId === b.runId ? a.eventId - b.eventId : 0));

interface Scheduled {
  readonly name: string;
  readonly input: unknown;
}

const ORDERS: ReadonlySet<string> = new Set([...COMMAND_NAMES, ...FLEET_COMMAND_NAMES]);

function tell({ workflowId, runId, history }: RunHistory): Told[] {
  const told: Told[] = [];
  const scheduled = new Map<string, Scheduled>();
  const orders: Told[] = [];
  const memory: Memory = { gates: '', version: -1, passes: 0, rows: 0 };
  let build: string | null = null;
  for (const event of history.events ?? []) {
    const stamp = { at: millisOf(event.eventTime), workflowId, runId, eventId: Number(event.eventId) };
    const built = buildOf(event);
    if (built !== null && built !== build) {
      if (build !== null)
        told.push({ ...stamp, kind: 'worker', text: `build ${built} goes on after ${build}` });
      build = built;
    }
    const started = event.activityTaskScheduledEventAttributes;
    if (started)
      scheduled.set(String(event.eventId), {
        name: started.activityType?.name ?? '',
        input: valueOf(started.input?.payloads),
      });
    const order = orderOf(event);
    if (order !== null) orders.push({ ...stamp, ...order });
    const sentence = ofActivity(event, scheduled, memory) ?? ofRun(event, history, memory);
    if (sentence !== null) told.push({ ...stamp, ...sentence });
  }
  const done = new Set(told.map(({ requestId }) => requestId));
  // Whatever was carried out is told by what it did.
  const idle = orders.filter(({ requestId }) => requestId === null || !done.has(requestId));
  return [...told, ...idle];
}

/** With worker versioning on: who carried the task out. */
const buildOf = ({ workflowTaskCompletedEventAttributes: done }: HistoryEvent): string | null =>
  done?.deploymentVersion?.buildId || null;

function orderOf(event: HistoryEvent): Sentence | null {
  const signal = event.workflowExecutionSignaledEventAttributes;
  const update = event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest?.input;
  const [name, payloads, how] = signal
    ? [signal.signalName, signal.input?.payloads, 'signal']
    : [update?.name, update?.args?.payloads, 'update'];
  if (name === undefined || name === null) return null;
  const payload = fields(valueOf(payloads));
  const who = { actor: text(payload['actor']), reason: text(payload['reason']) };
  if (name === 'report')
    return { kind: 'drift', text: `the continuous reconcile reports ${text(payload['message'])}` };
  if (name === 'applyPlan') return { kind: 'command', text: 'plan apply: new durations, limits and gates' };
  if (name === 'adopt') return { kind: 'command', text: 'start --adopt', ...who };
  return {
    kind: 'command',
    text: ORDERS.has(name)
      ? `${name} came as ${how} and had no effect: refused, or a copy`
      : `unknown signal "${name}" came`,
    ...who,
    requestId: text(payload['requestId']),
  };
}

function ofActivity(
  event: HistoryEvent,
  scheduled: ReadonlyMap<string, Scheduled>,
  memory: Memory,
): Sentence | null {
  const { activityTaskCompletedEventAttributes: done, activityTaskFailedEventAttributes: failed } = event;
  const of = scheduled.get(String((done ?? failed)?.scheduledEventId));
  if (of === undefined) return null;
  if (failed) {
    const cause = failed.failure?.applicationFailureInfo?.type ?? 'failure';
    return { kind: 'fault', text: `${of.name}: ${cause}: ${failed.failure?.message ?? 'unknown'}` };
  }
  const result = valueOf(done?.result?.payloads);
  return TELLS[of.name]?.(fields(of.input), fields(result), memory, result) ?? null;
}

function ofRun(event: HistoryEvent, history: History, memory: Memory): Sentence | null {
  const { workflowExecutionTerminatedEventAttributes: terminated, workflowTaskFailedEventAttributes: bug } =
    event;
  if (event.workflowExecutionStartedEventAttributes) {
    const started = startOf(history);
    if (started?.continuedExecutionRunId) return null;
    const by = fields(fields(valueOf(started?.input?.payloads))['by']);
    return { kind: 'run', text: 'a run starts', actor: text(by['actor']), reason: text(by['reason']) };
  }
  if (terminated)
    return {
      kind: 'run',
      text: 'the run was terminated',
      actor: terminated.identity ?? null,
      reason: terminated.reason ?? null,
    };
  if (bug)
    return bug.newRunId
      ? {
          kind: 'run',
          text: `the run was reset; run ${bug.newRunId} goes on`,
          reason: bug.failure?.message ?? null,
        }
      : { kind: 'fault', text: `a workflow task failed: ${bug.failure?.message ?? 'unknown'}` };
  if (event.workflowExecutionCanceledEventAttributes)
    return { kind: 'run', text: `the run ended, cancelled${passes(memory)}` };
  if (event.workflowExecutionCompletedEventAttributes)
    return { kind: 'run', text: `the run ended${passes(memory)}` };
  if (event.workflowExecutionFailedEventAttributes) return { kind: 'fault', text: 'the run failed' };
  if (event.workflowExecutionContinuedAsNewEventAttributes)
    return { kind: 'run', text: `continued as new${passes(memory)}` };
  return null;
}

const passes = ({ passes: n, rows }: Memory): string =>
  n === 0 ? '' : ` after ${n} ${n === 1 ? 'pass' : 'passes'} over ${rows.toLocaleString('en')} rows`;
