/**
 * Why copying and reconcile wait. One object a worker: both servers are looked at once every half second,
 * whatever the number of lanes and tenants, and only while somebody asks. The mirror is never held back.
 *
 * Closed: a signal that can't be read holds as much as one over its bound. A signal over its bound holds
 * until it is well below, so that work does not flicker; a log that nobody fills holds nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Milliseconds } from '../domain/duration.ts';
import type { Problem } from '../domain/errors.ts';
import type { Limits } from '../domain/plan.ts';
import type { Database } from './database.ts';
import { isUnreadable, lookAt, SIGNALS, type SideStatus, type Signal, type Use } from './signals.ts';
import type { Pair } from './tracked.ts';

type Side = 'source' | 'target';

export interface Took {
  readonly side: Side;
  /** Statements of one name are alike: the table, and what is done with it. */
  readonly what: string;
  /** Whose rows: those of one tenant are like each other, those of two need not be. */
  readonly tenant: string;
  readonly ms: Milliseconds;
  /** Rows that the statement was asked for; a large one counts as several. */
  readonly rows: number;
}

const FRESH: Milliseconds = 500;
const AGAIN: Milliseconds = 100;
/** Share of the bound below which work goes on. */
const CALM = 0.75;
const RISES = 3;
/** Looks at rest after which the reading is what the server keeps, not pressure. */
const RESTS = 3;
/** A rise by less than this part of the bound is none: our own heartbeat adds to it. */
const STEPS = 1_000;

interface Held {
  readonly look: number;
  readonly last: number;
  readonly rises: number;
  readonly written: number;
  readonly rests: number;
  readonly held: 'over' | 'rising' | null;
}
const CALM_SO_FAR: Held = {
  look: 0,
  last: Number.POSITIVE_INFINITY,
  rises: 0,
  written: Number.NEGATIVE_INFINITY,
  rests: 0,
  held: null,
};

export class Throttle {
  readonly #pair: Pair;
  readonly #replicas: Readonly<Record<Side, readonly Database[]>>;
  readonly #looks = new Map<Side, { readonly at: number; readonly status: Promise<SideStatus> }>();
  readonly #held = new Map<string, Held>();
  /** Sides that a long history list holds. */
  readonly #pinned = new Set<Side>();
  readonly #pulse = new Pulse();

  constructor(
    pair: Pair,
    replicas: Readonly<Record<Side, readonly Database[]>> = { source: [], target: [] },
  ) {
    this.#pair = pair;
    this.#replicas = replicas;
  }

  /** @returns why this work waits, or null; never fails */
  async why(limits: Limits, use: Use): Promise<string | null> {
    const [source, target] = await Promise.all([this.#look('source'), this.#look('target')]);
    for (const [side, status] of [
      ['source', source],
      ['target', target],
    ] as const) {
      const why = this.#pulse.why(side) ?? this.#judge(side, status, limits, use);
      if (why !== null) return `${side} ${why}`;
    }
    return null;
  }

  took(took: Took): void {
    this.#pulse.took(took);
  }

  /** How far the replicas of both sides are behind; `lag` null: one could not be read. */
  async replicas(): Promise<{ readonly named: number; readonly lag: Milliseconds | null }> {
    const sides = (['source', 'target'] as const).filter((side) => this.#replicas[side].length > 0);
    const named = sides.reduce((sum, side) => sum + this.#replicas[side].length, 0);
    const lags = (await Promise.all(sides.map((side) => this.#look(side)))).map(
      ({ replicaLag }) => replicaLag,
    );
    const isKnown = lags.every((lag) => typeof lag === 'number');
    return { named, lag: isKnown ? Math.max(0, ...lags.map(Number)) : null };
  }

  /** Before anything starts: signals that would hold work for ever, and those that a server does not have. */
  async check(limits: Limits): Promise<{ readonly problems: Problem[]; readonly absent: string[] }> {
    const problems: Problem[] = [];
    const absent: string[] = [];
    for (const side of ['source', 'target'] as const) {
      const status = await this.#lookTwice(side);
      for (const signal of SIGNALS.filter(({ bound }) => bound(limits) > 0)) {
        const value = signal.read(status);
        const what = `${side}: ${signal.name}`;
        if (value === null && signal.tellsAbsence) absent.push(what);
        if (!isUnreadable(value)) continue;
        const problem = `can't be read, and so would hold the copy: ${value.unreadable}`;
        problems.push({ field: signal.field, value: what, problem, remedy: wayOut(signal) });
      }
    }
    return { problems, absent };
  }

  /** A connection that the server had just closed says nothing of the server, and nobody looks again after a check. */
  async #lookTwice(side: Side): Promise<SideStatus> {
    const look = this.#look(side);
    const { status, historyList } = await look;
    if (!isUnreadable(status) && !isUnreadable(historyList)) return look;
    await sleep(AGAIN);
    if (this.#looks.get(side)?.status === look) this.#looks.delete(side);
    return this.#look(side);
  }

  #look(side: Side): Promise<SideStatus> {
    const known = this.#looks.get(side);
    if (known !== undefined && performance.now() - known.at < FRESH) return known.status;
    const { control } = this.#pair;
    const watched = { db: this.#pair[side], replicas: this.#replicas[side], control };
    const status = lookAt(watched, this.#pinned.has(side));
    this.#looks.set(side, { at: performance.now(), status });
    return status;
  }

  #judge(side: Side, status: SideStatus, limits: Limits, use: Use): string | null {
    for (const signal of SIGNALS) {
      const bound = signal.bound(limits);
      if (bound === 0 || !signal.holds.includes(use)) continue;
      const value = signal.read(status);
      if (value === null) continue;
      if (isUnreadable(value)) return `hides its ${signal.name} (${value.unreadable}); ${wayOut(signal)}`;
      const key = `${side} ${signal.name} ${bound}`;
      const written = signal.written?.(status) ?? null;
      const seen = { look: status.look, value, written: typeof written === 'number' ? written : null };
      const held = follow(this.#held.get(key) ?? CALM_SO_FAR, seen, bound, signal);
      this.#held.set(key, held);
      if (signal.watchesRise) this.#pinned[held.held === null ? 'delete' : 'add'](side);
      if (held.held !== null) return signal.says(value, bound);
    }
    return null;
  }
}

const wayOut = ({ remedy, field }: Signal): string =>
  field === 'limits.threadsRunning' ? remedy : `${remedy}, or watch it no more with ${field}: 0`;

interface Seen {
  readonly look: number;
  readonly value: number;
  readonly written: number | null;
}

function follow(before: Held, seen: Seen, bound: number, { watchesRise }: Signal): Held {
  const { look, value, written } = seen;
  if (look === before.look) return before;
  const rises = value > before.last + bound / STEPS ? before.rises + 1 : 0;
  const isRising = watchesRise && value > bound / 2 && rises >= (before.held === 'rising' ? 1 : RISES);
  const isStillOver = before.held === 'over' && value > Math.max(1, Math.floor(bound * CALM));
  const rests = isAtRest(before, seen, bound) ? before.rests + 1 : 0;
  const isOver = (value > bound || isStillOver) && rests < RESTS;
  return {
    look,
    last: value,
    rises,
    written: written ?? before.written,
    rests,
    held: isOver ? 'over' : isRising ? 'rising' : null,
  };
}

/**
 * Nobody writes, or the server is below the bound and keeps up with those who do. A reading that stays over the
 * bound is no rest while somebody writes: at the brim it can't rise.
 */
function isAtRest(before: Held, { value, written }: Seen, bound: number): boolean {
  if (written === null) return false;
  return written <= before.written + bound / STEPS || (value <= bound && value <= before.last);
}

const SLOW = 5;
const LEARNED = 5;
const LEARNS = 0.1;
/** Of a sample that is taken into the baseline: a slow hour must not become what is usual at once. */
const LEARNS_AT_MOST = 2;
const ROWS_LEAST = 50;
const PAUSE: Milliseconds = 2_000;
/** A statement this short is never slow. */
const SHORT: Milliseconds = 250;

/**
 * Our own statements against what they usually take for a row. Twice as long: the next window is shorter
 * anyway (`domain/window.ts`); five times: a pause, then one more try.
 */
class Pulse {
  readonly #usual = new Map<string, { readonly perRow: number; readonly seen: number }>();
  readonly #slow = new Map<Side, { readonly until: number; readonly why: string }>();

  took({ side, what, tenant, ms, rows }: Took): void {
    const key = `${side} ${what} ${tenant}`;
    const perRow = ms / Math.max(rows, ROWS_LEAST);
    const usual = this.#usual.get(key) ?? { perRow, seen: 0 };
    const times = perRow / Math.max(usual.perRow, Number.MIN_VALUE);
    if (usual.seen >= LEARNED && times >= SLOW && ms > SHORT) {
      const why = `takes ${times.toFixed(1)} times as long as usual for ${what}`;
      this.#slow.set(side, { until: performance.now() + PAUSE, why });
    }
    const share = usual.seen < LEARNED ? 1 / (usual.seen + 1) : LEARNS;
    const learned = Math.min(times, usual.seen < LEARNED ? times : LEARNS_AT_MOST) * usual.perRow;
    this.#usual.set(key, { perRow: usual.perRow + share * (learned - usual.perRow), seen: usual.seen + 1 });
  }

  why(side: Side): string | null {
    const slow = this.#slow.get(side);
    return slow === undefined || performance.now() > slow.until ? null : slow.why;
  }
}
