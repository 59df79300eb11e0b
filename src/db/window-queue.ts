/**
 * The windows of a pass, each digested on both sides. The next window of a table is cut and sent while the last
 * one is still compared, so that a server waits neither for the other one nor for us; no server ever has more
 * than one window of a pass to digest, and another one again where their quick digests differ.
 */
import type { Milliseconds } from '../domain/duration.ts';
import type { Limits } from '../domain/plan.ts';
import { modeOf } from './capture-mode.ts';
import type { Database } from './database.ts';
import type { WindowDigest } from './digest.ts';
import type { Executor, RowsQuery } from './executor.ts';
import { executorOf } from './executors.ts';
import { ident, qualified } from './sql.ts';
import { joinChain, ownedBy, type TrackedTable } from './tenancy.ts';
import { timeChanged } from './time-windows.ts';
import type { Pair, Tracked } from './tracked.ts';
import { cutter, type Bounds, type WindowCutter } from './windows.ts';

export interface Digests {
  readonly source: WindowDigest;
  readonly target: WindowDigest;
  /** Of the slower side. */
  readonly took: Milliseconds;
  readonly tookOn: Readonly<Record<'source' | 'target', Milliseconds>>;
}

export interface Window {
  readonly tenant: string;
  readonly table: TrackedTable;
  readonly cut: WindowCutter;
  readonly bounds: Bounds;
  /** That it was cut for. */
  readonly rows: number;
  readonly query: (side: TrackedTable) => RowsQuery;
  readonly executor: Executor;
  readonly digests: Promise<Digests>;
}

export const isTimeChanged = async (pair: Pair, { id, time }: TrackedTable): Promise<boolean> =>
  time !== null && (await timeChanged(pair, id)) !== null;

export class WindowQueue {
  readonly #pair: Pair;
  readonly #tracked: Tracked;
  readonly #slice: { readonly tenant: string; readonly limits: Limits };
  #ahead: Window | null = null;
  readonly #exact: Exact = new Set();
  #turns: Turns = DONE;

  constructor(pair: Pair, tracked: Tracked, slice: { readonly tenant: string; readonly limits: Limits }) {
    this.#pair = pair;
    this.#tracked = tracked;
    this.#slice = slice;
  }

  /** The window that begins at `from`; it may have been cut before `rows` was known. */
  async next(table: TrackedTable, from: string | null, rows: number): Promise<Window> {
    const { tenant } = this.#slice;
    const ahead = this.#ahead;
    this.#ahead = null;
    const byKey = !modeOf(this.#tracked).watchesTime || (await isTimeChanged(this.#pair, table));
    const cut = cutter(table, tenant, byKey);
    const start = cut.resume(from);
    const isNext =
      ahead !== null && ahead.table.id === table.id && ahead.cut.by === cut.by && ahead.bounds.from === start;
    if (ahead !== null && !isNext) await settle(ahead);
    const window = isNext ? ahead : await this.#open(table, cut, start, rows);
    if (window.bounds.to !== null) this.#ahead = await this.#open(table, cut, window.bounds.to, rows);
    return window;
  }

  /** Nothing of this pass runs any more. */
  async settled(): Promise<void> {
    if (this.#ahead !== null) await settle(this.#ahead);
    await Promise.allSettled([this.#turns.source, this.#turns.target]);
  }

  async #open(table: TrackedTable, cut: WindowCutter, from: string | null, rows: number): Promise<Window> {
    const { to, index } = await cut.cut(this.#pair.source, from, rows);
    const { tenant } = this.#slice;
    const executor = await executorOf(this.#pair, this.#tracked, table.id);
    const window = {
      tenant,
      table,
      cut,
      bounds: { from, to },
      rows,
      executor,
      query: queryOf({ tenant, cut, index, bounds: { from, to } }),
    };
    const both = { turns: this.#turns, exact: this.#exact };
    const { digests, turns } = digestBoth(this.#pair, this.#tracked, window, both);
    this.#turns = turns;
    return { ...window, digests };
  }
}

/** A window once more, in parts of at most `rows` rows. */
export async function* partsOf(
  pair: Pair,
  tracked: Tracked,
  window: Window,
  rows: number,
): AsyncGenerator<Window> {
  const { tenant, cut } = window;
  let { from } = window.bounds;
  for (;;) {
    const { to, index } = await cut.cut(pair.source, from, rows, window.bounds.to);
    const bounds = { from, to };
    const part = { ...window, rows, bounds, query: queryOf({ tenant, cut, index, bounds }) };
    const { digests } = digestBoth(pair, tracked, part, { turns: DONE, exact: new Set([window.table.id]) });
    yield { ...part, digests };
    if (to === window.bounds.to) return;
    from = to;
  }
}

/** When each side has done what it was asked before. */
interface Turns {
  readonly source: Promise<unknown>;
  readonly target: Promise<unknown>;
}

const DONE: Turns = { source: Promise.resolve(), target: Promise.resolve() };

/** Tables of a pass whose quick digests differ where the exact ones are equal: they are not asked for again. */
type Exact = Set<number>;

interface Both {
  readonly turns: Turns;
  readonly exact: Exact;
}

function digestBoth(
  pair: Pair,
  tracked: Tracked,
  { table, query, executor }: Omit<Window, 'digests'>,
  { turns: before, exact }: Both,
): { digests: Promise<Digests>; turns: Turns } {
  const there = tracked.target(table.id);
  const side = async (db: Database, of: TrackedTable, turn: Promise<unknown>, form: 'quick' | 'exact') => {
    await turn.catch(() => {});
    const started = Date.now();
    const digest = await executor.digest(db, of, query(of), form);
    return { digest, took: Date.now() - started };
  };
  const ask = (form: 'quick' | 'exact', after: Turns) => {
    const source = side(pair.source, table, after.source, form);
    const target = side(pair.target, there, after.target, form);
    const digests = Promise.all([source, target]).then(([ours, theirs]) => ({
      source: ours.digest,
      target: theirs.digest,
      took: Math.max(ours.took, theirs.took),
      tookOn: { source: ours.took, target: theirs.took },
    }));
    return { digests, turns: { source, target } };
  };
  const quick = executor.hasQuick(table) && !exact.has(table.id);
  const { digests: first, turns } = ask(quick ? 'quick' : 'exact', before);
  const digests = first.then(async (found) => {
    if (!quick || same(found.source, found.target)) return found;
    const second = await ask('exact', DONE).digests;
    if (same(second.source, second.target)) exact.add(table.id);
    return second;
  });
  // Whoever asked for it hears of a failure; one that was cut ahead may never be asked for.
  digests.catch(() => {});
  return { digests, turns };
}

export const same = (a: WindowDigest, b: WindowDigest): boolean => a.rows === b.rows && a.digest === b.digest;

const settle = async (window: Window): Promise<void> => void (await window.digests.catch(() => {}));

function queryOf({
  tenant,
  cut,
  index,
  bounds,
}: {
  readonly tenant: string;
  readonly cut: WindowCutter;
  readonly index: string;
  readonly bounds: Bounds;
}): Window['query'] {
  return (side) => (select) =>
    `SELECT ${select} FROM ${qualified(side.table.schema, side.table.name)} t FORCE INDEX (${ident(index)}) ${joinChain(side, 't', 'JOIN')}
     WHERE ${ownedBy(side, 't', tenant)} AND ${cut.where(bounds)}`;
}
