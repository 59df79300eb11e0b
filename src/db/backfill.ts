/**
 * Backfill: the copy of everything that nobody touches while it is copied. Tables are cut into parts, lanes
 * take parts, a part is copied window by window (`copy-window.ts`), each as large as its time and bytes allow.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { SECOND, type Milliseconds } from '../domain/duration.ts';
import type { Limits } from '../domain/plan.ts';
import { nextWindowRows } from '../domain/window.ts';
import {
  planParts,
  readCursors,
  together,
  type CopyCursor,
  type CopyRun,
  type TableProgress,
} from './copy-cursor.ts';
import { copyWindow, tenantIndex, WindowTooLarge, type CopiedWindow } from './copy-window.ts';
import { explained, SIDES } from './shapes.ts';
import { heldLimits } from './held.ts';
import type { TrackedTable } from './tenancy.ts';
import { Throttle } from './throttle.ts';
import type { Pair, Tracked } from './tracked.ts';

export interface CopySlice extends CopyRun {
  readonly limits: Limits;
  /** Rows a second; read again before every window, so that `setPace` acts at once. */
  readonly pace: () => Promise<number>;
  /** Called after every committed window with its table, and while a lane waits; throws to stop. */
  readonly progress: (table: TableProgress, why: string | null) => void;
  readonly until: () => boolean;
  /** Of the worker, so that tenants share what is known; without one the slice looks for itself. */
  readonly throttle?: Throttle;
}

/** Tables of a tenant, parents before children; `_shared` owns the shared ones and no other. */
export const tablesOf = (tracked: Tracked, tenant: string): TrackedTable[] => tracked.of(tenant);

/**
 * Copies tables until their end, until `until` says stop, or until `progress` throws. Every lane has ended
 * before it returns or throws: whoever goes on after it must know that nobody writes.
 */
export async function copyTables(
  pair: Pair,
  tracked: Tracked,
  tables: readonly TrackedTable[],
  slice: CopySlice,
): Promise<TableProgress[]> {
  const copy = new Copy(pair, tracked, slice);
  const ids = tables.map(({ id }) => id);
  await copy.all(tables).catch((error: unknown) => explained(pair, tracked, ids, error));
  return tables.map(({ id }) => copy.progressOf(id));
}

/** One table, as `copyTables`. */
export async function copyTable(
  pair: Pair,
  tracked: Tracked,
  { tableId, ...slice }: CopySlice & { readonly tableId: number },
): Promise<TableProgress> {
  const [progress] = await copyTables(pair, tracked, [tracked.source(tableId)], slice);
  return progress!;
}

const PACE_STEP: Milliseconds = 500;
const FIRST_ROWS = 1_000;
/** Of a row as large as most: a window is as much work as its bytes are such rows. */
const ROW_BYTES = 256;

class Copy {
  readonly #pair: Pair;
  readonly #tracked: Tracked;
  readonly #slice: CopySlice;
  readonly #throttle: Throttle;
  readonly #parts = new Map<string, CopyCursor>();
  /** What the last window of a table was worth: the next part need not find it out again. */
  readonly #windowRows = new Map<number, number>();
  #open: CopyCursor[] = [];
  /** When the rows copied so far are due at the operator's pace: all lanes share it. */
  #due: Milliseconds = 0;
  #failed = false;

  constructor(pair: Pair, tracked: Tracked, slice: CopySlice) {
    this.#pair = pair;
    this.#tracked = tracked;
    this.#slice = { ...slice, limits: heldLimits(tracked.capture, slice.limits) };
    this.#throttle = slice.throttle ?? new Throttle(pair);
  }

  async all(tables: readonly TrackedTable[]): Promise<void> {
    await this.#plan(tables);
    await this.#run();
  }

  async #plan(tables: readonly TrackedTable[]): Promise<void> {
    const { tenant, round } = this.#slice;
    const known = await readCursors(this.#pair, tenant, round);
    for (const table of tables) {
      const found = known.filter((cursor) => cursor.tableId === table.id);
      const parts =
        found.length > 0 ? found : await planParts(this.#pair, table, this.#slice, tenantIndex(table));
      for (const part of parts) this.#keep(part);
      this.#open.push(...parts.filter((part) => !part.finished));
    }
  }

  async #run(): Promise<void> {
    const lanes = Math.max(1, Math.min(this.#slice.limits.backfillParallel, this.#open.length));
    const ended = await Promise.allSettled(Array.from({ length: lanes }, () => this.#lane()));
    const broken = ended.find((lane) => lane.status === 'rejected');
    if (broken !== undefined) throw broken.reason;
  }

  progressOf(tableId: number): TableProgress {
    return together(
      tableId,
      [...this.#parts.values()].filter((part) => part.tableId === tableId),
    );
  }

  #keep(part: CopyCursor): void {
    this.#parts.set(`${part.tableId}/${part.part}`, part);
  }

  #stopped(): boolean {
    return this.#failed || this.#slice.until();
  }

  async #lane(): Promise<void> {
    try {
      for (let part = this.#open.shift(); part !== undefined && !this.#stopped(); part = this.#open.shift())
        await this.#copyPart(part);
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  async #copyPart(first: CopyCursor): Promise<void> {
    const { limits } = this.#slice;
    let part = first;
    let rows = this.#windowRows.get(first.tableId) ?? Math.min(FIRST_ROWS, limits.windowRows);
    while (!part.finished && !this.#stopped()) {
      const why = await this.#throttle.why(limits, 'copy');
      if (why !== null) {
        this.#report(part, why);
        await sleep(PACE_STEP);
        continue;
      }
      const started = Date.now();
      const copied = await this.#window(part, rows);
      if (copied instanceof WindowTooLarge) {
        rows = copied.rows;
        continue;
      }
      this.#took(part, Math.max(rows, copied.bytes / ROW_BYTES), copied.tookOn);
      part = copied.cursor;
      this.#keep(part);
      this.#report(part, null);
      rows = this.#nextRows(rows, Date.now() - started, copied);
      this.#windowRows.set(part.tableId, rows);
      await this.#keepPace(part, copied.rows, started);
    }
  }

  async #window(part: CopyCursor, rows: number): Promise<CopiedWindow | WindowTooLarge> {
    try {
      const bounds = { rows, bytes: this.#slice.limits.windowBytes };
      return await copyWindow(this.#pair, this.#tracked, this.#slice, part, bounds);
    } catch (error) {
      if (error instanceof WindowTooLarge) return error;
      throw error;
    }
  }

  #took({ tableId }: CopyCursor, rows: number, tookOn: CopiedWindow['tookOn']): void {
    const { tenant } = this.#slice;
    const what = `the copy of ${this.#nameOf(tableId)}`;
    for (const side of SIDES) this.#throttle.took({ side, what, tenant, ms: tookOn[side], rows });
  }

  #nameOf(tableId: number): string {
    return this.#tracked.source(tableId).table.name;
  }

  #nextRows(rows: number, tookMs: Milliseconds, copied: CopiedWindow): number {
    const { windowTarget, windowRows, windowBytes } = this.#slice.limits;
    const byTime = nextWindowRows(rows, tookMs, { targetMs: windowTarget, rowsMax: windowRows });
    const byBytes = copied.rows === 0 ? byTime : Math.floor((windowBytes * copied.rows) / copied.bytes);
    return Math.max(1, Math.min(byTime, byBytes));
  }

  #report(part: CopyCursor, why: string | null): void {
    this.#slice.progress(this.progressOf(part.tableId), why);
  }

  /** Waits in short steps: a cancel, a stop of the worker or a new pace acts within one of them. */
  async #keepPace(part: CopyCursor, rows: number, started: Milliseconds): Promise<void> {
    let pace = await this.#slice.pace();
    this.#due = Math.max(this.#due, started) + (pace > 0 ? (rows / pace) * SECOND : 0);
    for (;;) {
      const wait = pace > 0 ? this.#due - Date.now() : 0;
      if (wait <= 0 || this.#stopped()) return;
      await sleep(Math.min(wait, PACE_STEP));
      this.#report(part, `pace of ${pace} rows a second`);
      const now = await this.#slice.pace();
      if (now !== pace) this.#due = Date.now() + (now > 0 ? (wait * pace) / now : 0);
      pace = now;
    }
  }
}
