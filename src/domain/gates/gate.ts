/** What a gate is: a question to the evidence, and who can do something about the answer. */
import type { Milliseconds } from '../duration.ts';
import type { Evidence } from '../evidence.ts';
import type { TenantPlan } from '../plan.ts';

export interface GateInput {
  readonly tenant: string;
  readonly evidence: Evidence;
  readonly plan: TenantPlan;
  /** When the phase was entered. */
  readonly since: number;
  readonly approved: boolean;
}

/** Who can clear a closed gate. */
export const WHO = {
  time: 'time',
  operator: 'an operator',
  databases: 'who runs the databases',
  application: 'who runs the application',
  temporal: 'who runs the Temporal cluster',
  release: 'a later version',
} as const;

/** What to type next: words after `switchback`, `TENANT` for the tenant's name. */
export interface Next {
  readonly words: readonly string[];
  /** Does it change something, and so ask for a reason? */
  readonly changes: boolean;
}

export const look = (...words: readonly string[]): Next => ({ words, changes: false });
export const change = (...words: readonly string[]): Next => ({ words, changes: true });

export interface Answer {
  readonly open: boolean;
  readonly saw: string;
  readonly needs: string;
  /** Instead of the gate's own words. */
  readonly clear?: string;
  readonly next?: Next | null;
}

/** One file each; `gate.ts` lists them. */
export interface Gate {
  readonly asks: string;
  /** Keys of the plan that say how much is enough. */
  readonly plan: readonly string[];
  readonly who: keyof typeof WHO;
  /** What clears it. */
  readonly clear: string;
  readonly next: Next | null;
  /** May somebody decide to go on without it? Where there is nothing to decide about, a waiver would only hide the way out. */
  readonly canBeWaived: boolean | ((plan: Pick<TenantPlan, 'approvals'>) => boolean);
  readonly judge: (input: GateInput) => Answer;
}

export const WAIT = 'wait; it clears by itself';

/** A worker says every few seconds that it lives. */
const WORKER_SILENT: Milliseconds = 60_000;

/** Nobody counts, or looks, any more: what stands in the record is of yesterday. */
export const isWorkerSilent = ({ at, workerAt }: Evidence): boolean =>
  workerAt === null || at - workerAt > WORKER_SILENT;

export const NO_WORKER = {
  open: false,
  saw: 'no worker was heard of for a minute',
  clear: 'start one',
  next: look('worker'),
} as const;
