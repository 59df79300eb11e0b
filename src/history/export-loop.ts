/**
 * Every worker writes each run to its folder soon after it ended: a plain loop that needs no workflow and no schedule.
 * Several may share the folder, or each has a whole copy of its own.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Client } from '@temporalio/client';

import { HOUR, MINUTE, SECOND, type Milliseconds } from '../domain/duration.ts';
import type { Plan } from '../domain/plan.ts';
import { Archive } from './archive.ts';
import { exportHistories } from './export.ts';

export interface ExportLoopDeps {
  readonly folder: string;
  readonly migration: string;
  readonly every: Milliseconds;
  readonly connect: () => Promise<{ readonly client: Client; readonly close: () => Promise<void> }>;
  /** Told of each round, and of one that was whole with when it began: `status` says when that is long ago. */
  readonly begins: () => Promise<void>;
  readonly whole: (began: Date) => Promise<void>;
  readonly info: (message: string, fields: Record<string, unknown>) => void;
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
}

/** Often enough that the run of a day is there long before its retention is over, also where a day is a second. */
export const exportEvery = ({ durations }: Plan): Milliseconds =>
  Math.min(10 * MINUTE, Math.max(SECOND, durations.reconcileRun / 4));

export class ExportLoop {
  readonly #deps: ExportLoopDeps;
  readonly #stopping = new AbortController();
  #done: Promise<void> | null = null;
  /** Runs that ended before it are there. */
  #doneUpTo: Date | null = null;

  constructor(deps: ExportLoopDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#done ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { every, warn } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#round();
      } catch (error) {
        warn(
          'histories were not exported; it is tried again. Temporal deletes them when their retention is over',
          {
            error: error instanceof Error ? error.message : String(error),
            exportedUpTo: this.#doneUpTo?.toISOString() ?? 'never by this process',
          },
        );
      }
      await sleep(every, undefined, { signal }).catch(() => {});
    }
  }

  async #round(): Promise<void> {
    const { folder, migration, connect, begins, whole, info } = this.#deps;
    await this.#told(begins);
    const began = Date.now();
    // Visibility is a little late, and clocks differ: what ended in the last hour is looked at again.
    const closedSince = new Date(Math.max(0, (this.#doneUpTo?.getTime() ?? 0) - HOUR));
    const { client, close } = await connect();
    try {
      const archive = await Archive.open(folder);
      const which = { migration, tenant: null, closedSince };
      const { written, lost, stopped } = await exportHistories(client, archive, which, this.#stopping.signal);
      if (written.length + lost.length > 0)
        info('histories exported', { folder, runs: written.length, lost: lost.length });
      if (stopped) return;
      this.#doneUpTo = new Date(began);
      await this.#told(() => whole(new Date(began)));
    } finally {
      await close();
    }
  }

  /** Nothing waits for it: the histories are there all the same. */
  async #told(tell: () => Promise<void>): Promise<void> {
    await tell().catch((error: unknown) =>
      this.#deps.warn('status cannot say how old the last export is', {
        error: error instanceof Error ? error.message : String(error),
      }),
    );
  }
}
