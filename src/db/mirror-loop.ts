/**
 * What every worker process does besides Temporal's work, and goes on doing while Temporal is down: apply
 * the journals, purge those of tenants that do not migrate, and look whether capture still stands.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { SECOND, type Milliseconds } from '../domain/duration.ts';
import { isMirrored, STAGES, UNRESOLVED, type Stage } from '../domain/stage.ts';
import { lostCapture } from './capture-loss.ts';
import { declareLost } from './lost-capture.ts';
import { admitTenants } from './control.ts';
import { Mirror, purgeJournal, type MirrorResult } from './mirror.ts';
import { MirrorCounts } from './mirror-counts.ts';
import { MirrorTogether } from './mirror-together.ts';
import { deleteJournal, oldestOfEach } from './journal-rows.ts';
import { beatWorker, PRESENCE_EVERY } from './presence.ts';
import { heldTables, watchShapes } from './shapes.ts';
import { qualified, tenantLiteral } from './sql.ts';
import { admitStage, holdStages, stagesOf, startedTenants, type StageRow } from './stages.ts';
import { gatherTimeChanges } from './time-windows.ts';
import { loadTracked, trackedSince, type Pair, type Tracked } from './tracked.ts';

export interface LoopReport {
  readonly info: (message: string, fields?: Record<string, unknown>) => void;
  readonly warn: (message: string, fields?: Record<string, unknown>) => void;
  /** A stage was changed by the loop: tell the nodes. */
  readonly published: (row: StageRow) => Promise<void>;
  /** Of each try to mirror a tenant: journal rows that were applied; null: it failed. */
  readonly mirrored?: (rows: number | null) => void;
}

const MIRROR = 'mirror';
const TICK: Milliseconds = 100;
/**
 * Rows of a tenant that somebody waits for are its node's until they are late: a node that mirrors its own writes is slower
 * with a rival for the lock. What is found late nobody else mirrors, and the loop comes soon, for a while. A tenant that
 * somebody else was met at is left to them for a while, unless its rows are neglected.
 */
const LATE: Milliseconds = 50;
const SOON: Milliseconds = 10;
const SOON_FOR: Milliseconds = 30 * SECOND;
const NEGLECTED: Milliseconds = 150;
const LEFT_FOR: Milliseconds = 30 * SECOND;
/** Until reads move, a tenant is mirrored at most this often, by all processes together. */
const TURN_EVERY: Milliseconds = SECOND;
/** Lost capture is noticed within 5 s, the look and its consequences included. */
const CAPTURE_EVERY: Milliseconds = 3 * SECOND;
const SHAPES_EVERY: Milliseconds = 5 * SECOND;
const COUNTS_EVERY: Milliseconds = 5 * SECOND;
const BACKOFF_MAX: Milliseconds = 5 * SECOND;
const TENANTS_AT_ONCE = 4;

export class MirrorLoop {
  readonly #pair: Pair;
  readonly #report: LoopReport;
  readonly #counts: MirrorCounts;
  readonly #busy = new Set<string>();
  readonly #together = new MirrorTogether();
  readonly #retryAt = new Map<string, { at: number; wait: Milliseconds }>();
  readonly #stopping = new AbortController();
  /** Tenants, and until when the loop comes at once; until when they are left to somebody else. */
  readonly #soon = new Map<string, Milliseconds>();
  readonly #left = new Map<string, Milliseconds>();
  #mirror: Mirror | null = null;
  #tracked: Tracked | null = null;
  #trackedSince = '';
  #running: Promise<unknown> = Promise.resolve();

  constructor(pair: Pair, report: LoopReport) {
    this.#pair = pair;
    this.#report = report;
    this.#counts = new MirrorCounts(pair.source, pair.control);
  }

  start(): void {
    this.#running = Promise.all([
      this.#repeat(TICK, MIRROR, () => this.#tick()),
      this.#repeat(CAPTURE_EVERY, 'capture watch', () => this.#watchCapture()),
      this.#repeat(SHAPES_EVERY, 'schema watch', () => this.#watchShapes()),
      this.#repeat(COUNTS_EVERY, 'counts of the mirror', () => this.#counts.flush()),
      this.#repeat(PRESENCE_EVERY, 'presence', () => beatWorker(this.#pair.source, this.#pair.control)),
    ]);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #repeat(every: Milliseconds, what: string, work: () => Promise<void>): Promise<void> {
    let wait = every;
    while (!this.#stopping.signal.aborted) {
      try {
        await work();
        wait = every;
      } catch (error) {
        this.#report.warn(`${what} failed; it is tried again`, { error: message(error), inMs: wait });
        wait = Math.min(wait * 2, BACKOFF_MAX);
      }
      await this.#sleep(wait === TICK && this.#soon.size > 0 ? SOON : wait);
    }
  }

  async #sleep(wait: Milliseconds): Promise<void> {
    await sleep(wait, undefined, { signal: this.#stopping.signal }).catch(() => {});
  }

  /** Oldest journal row first. */
  async #tick(): Promise<void> {
    const { source, control } = this.#pair;
    for (const tenants of [this.#soon, this.#left])
      for (const [tenant, until] of tenants) if (until <= Date.now()) tenants.delete(tenant);
    const waiting = await source.rows(
      `SELECT o.tenant, TIMESTAMPDIFF(MICROSECOND, j.created_at, NOW(6)) DIV 1000 AS age FROM ${oldestOfEach(control)} ORDER BY o.id`,
    );
    if (waiting.length === 0) return;
    const stages = await stagesOf(
      source,
      control,
      waiting.map((row) => row['tenant']!),
    );
    const mirror = await this.#ready();
    const awaited = new Map<string, Milliseconds>();
    for (const row of waiting) {
      const tenant = row['tenant']!;
      if (this.#busy.has(tenant) || Date.now() < (this.#retryAt.get(tenant)?.at ?? 0)) continue;
      const stage = stages.get(tenant);
      if (stage !== undefined && STAGES[stage].awaitsMirror) {
        const age = Number(row['age']);
        if (age >= this.#patience(tenant)) awaited.set(tenant, age);
        continue;
      }
      if (this.#busy.size >= TENANTS_AT_ONCE) continue;
      if (stage === undefined && tenant !== UNRESOLVED) await admitStage(source, control, tenant);
      this.#spawn(tenant, () => this.#serve(mirror, tenant, stage));
    }
    if (awaited.size > 0 && !this.#together.isRunning) void this.#serveTogether(mirror, awaited);
  }

  #patience(tenant: string): Milliseconds {
    if (this.#soon.has(tenant)) return 0;
    return this.#left.has(tenant) ? NEGLECTED : LATE;
  }

  /** @param ages of each tenant's oldest row */
  async #serveTogether(mirror: Mirror, ages: ReadonlyMap<string, Milliseconds>): Promise<void> {
    const { applied, found, done, skipped, alone } = await this.#together.serve(mirror, [...ages.keys()]);
    for (const tenant of found)
      if (ages.get(tenant)! >= LATE) {
        this.#soon.set(tenant, Date.now() + SOON_FOR);
        this.#left.delete(tenant);
      }
    for (const tenant of skipped) {
      this.#soon.delete(tenant);
      this.#left.set(tenant, Date.now() + LEFT_FOR);
    }
    for (const tenant of done) this.#counts.add(tenant, 1, 0);
    if (done.length > 0) this.#report.mirrored?.(applied);
    for (const tenant of alone.slice(0, Math.max(0, TENANTS_AT_ONCE - this.#busy.size)))
      this.#spawn(tenant, () => this.#catchUp(mirror, tenant, 0));
  }

  async #catchUp(mirror: Mirror, tenant: string, turn: Milliseconds): Promise<void> {
    let { kind } = await this.#mirrorOnce(mirror, tenant, turn);
    while (kind === 'behind' && !this.#stopping.signal.aborted)
      ({ kind } = await this.#mirrorOnce(mirror, tenant, 0));
  }

  async #serve(mirror: Mirror, tenant: string, stage: Stage | undefined): Promise<void> {
    if (tenant === UNRESOLVED) {
      if ((await startedTenants(this.#pair.source, this.#pair.control)).length > 0) {
        await admitTenants(this.#pair.target, this.#pair.control, [UNRESOLVED]);
        await this.#mirrorOnce(mirror, UNRESOLVED, 0);
      } else {
        await purgeUnresolved(this.#pair);
      }
      return;
    }
    if (stage === undefined || !isMirrored(stage)) {
      await purgeJournal(this.#pair, tenant);
      return;
    }
    await this.#catchUp(mirror, tenant, TURN_EVERY);
  }

  async #mirrorOnce(mirror: Mirror, tenant: string, turn: Milliseconds): Promise<MirrorResult> {
    const result = await mirror.mirrorTenant(tenant, turn);
    this.#report.mirrored?.(result.applied);
    return result;
  }

  #spawn(tenant: string, work: () => Promise<void>): void {
    this.#busy.add(tenant);
    work()
      .then(() => {
        this.#retryAt.delete(tenant);
        this.#counts.add(tenant, 1, 0);
      })
      .catch((error: unknown) => {
        this.#counts.add(tenant, 1, 1);
        const wait = Math.min((this.#retryAt.get(tenant)?.wait ?? 100) * 2, BACKOFF_MAX);
        this.#retryAt.set(tenant, { at: Date.now() + wait, wait });
        this.#report.mirrored?.(null);
        this.#report.warn('mirror of a tenant failed; it is tried again', {
          tenant,
          error: message(error),
          inMs: wait,
        });
      })
      .finally(() => this.#busy.delete(tenant));
  }

  /** The tracked tables are read again when an install or a retry changed them. */
  async #ready(): Promise<Mirror> {
    const since = await trackedSince(this.#pair);
    if (this.#mirror === null || this.#tracked === null || since !== this.#trackedSince) {
      this.#tracked = await loadTracked(this.#pair);
      if (this.#mirror === null) this.#mirror = new Mirror(this.#pair, this.#tracked);
      else this.#mirror.retrack(this.#tracked);
      this.#trackedSince = since;
    }
    this.#mirror.hold(await heldTables(this.#pair, this.#tracked));
    return this.#mirror;
  }

  async #watchCapture(): Promise<void> {
    const lost = await lostCapture(this.#pair);
    if (lost.length > 0) {
      const { reason, marked, flipped } = await declareLost(this.#pair, lost);
      if (marked > 0) this.#report.warn('capture was lost: all tenants are dirty', { reason });
      for (const row of flipped) await this.#report.published(row);
    }
    await gatherTimeChanges(this.#pair);
  }

  async #watchShapes(): Promise<void> {
    for (const change of await watchShapes(this.#pair))
      this.#report.warn('a table was altered: its rows wait in the journal', { change });
  }
}

export async function purgeUnresolved(pair: Pair): Promise<void> {
  await pair.source.transaction(async (session) => {
    // A start waits for this, and so cannot miss a row that is dropped here.
    await holdStages(session, pair.control);
    if ((await startedTenants(session, pair.control)).length > 0) return;
    const rows = await session.rows(
      `SELECT id FROM ${qualified(pair.control, 'journal')} WHERE tenant = ${tenantLiteral(UNRESOLVED)} ORDER BY id LIMIT 1000`,
    );
    if (rows.length > 0) await pair.changed?.([UNRESOLVED]);
    await deleteJournal(
      session,
      pair.control,
      rows.map((row) => row['id']!),
    );
  });
}

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));
