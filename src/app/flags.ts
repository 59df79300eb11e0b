/**
 * Which stage each tenant is in, as this node knows it: a synchronous look into an immutable map.
 *
 * Truth is the stage table, polled every second. A hint from Redis counts at once if its epoch is newer, and
 * until a poll that began after it has ended: then the table alone decides. Only polls raise the version that
 * the node's lease acknowledges. While the table can't be read the last map stands (fail static); after a lease's
 * time without it the node is `cutOff`: the flip back may be what it missed.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { readJournalAges } from './journal-ages.ts';
import { ControlUnavailableError } from './errors.ts';
import type { Notices } from './notices.ts';
import type { Settings } from './options.ts';
import { Coalesced } from './coalesced.ts';
import { keep, readKept } from './snapshot-file.ts';
import type { StageHint } from './publish.ts';
import type { Stats } from './stats.ts';
import { errorType, safeMessage } from './telemetry.ts';
import type { Database } from '../db/database.ts';
import { installedCapture } from '../db/capture-install.ts';
import { endLease, readStages, renewLease, type StageRow } from '../db/stages.ts';
import type { Capture } from '../domain/capture.ts';
import { MINUTE, type Milliseconds } from '../domain/duration.ts';
import { SHARED, STAGES, UNRESOLVED, type Stage } from '../domain/stage.ts';

export interface Flag {
  readonly stage: Stage;
  readonly epoch: number;
  readonly version: number;
  /** Read from the source whatever the stage says: the mirror is behind, or capture was lost. */
  readonly dirty: boolean;
}

const UNKNOWN: Flag = { stage: 'source-only', epoch: 0, version: 0, dirty: false };

/** Between two polls; each copies them all. */
const HINTS_MAX = 1_000;

interface Hinted {
  readonly hint: StageHint;
  readonly heardAt: Milliseconds;
}

export interface FlagOptions extends Pick<
  Settings,
  'control' | 'node' | 'service' | 'leaseMs' | 'pollMs' | 'dirtyAfterMs' | 'snapshotFile'
> {
  readonly database: Database;
  readonly stats: Stats['flags'];
  readonly notices: Notices;
  /** Called when the map has changed stages in it. */
  readonly changed: () => void;
}

export class Flags {
  readonly #options: FlagOptions;
  readonly #poll = new Coalesced(() => this.#pollOnce());
  readonly #stopping = new AbortController();
  #snapshot: ReadonlyMap<string, Flag> = new Map();
  #truth: ReadonlyMap<string, StageRow> = new Map();
  #hints: ReadonlyMap<string, Hinted> = new Map();
  #behind: ReadonlySet<string> = new Set();
  #acknowledged = 0;
  #reachedAt: Milliseconds = Number.NEGATIVE_INFINITY;
  /** When the stages were last known to be true, epoch milliseconds of this machine. */
  #knownAt = 0;
  #keptAt: Milliseconds = Number.NEGATIVE_INFINITY;
  #capture: Capture = 'triggers';

  constructor(options: FlagOptions) {
    this.#options = options;
  }

  /** @throws ControlUnavailableError when there is no first snapshot to start from */
  async start(): Promise<void> {
    try {
      await this.#poll.request();
      this.#capture = (await installedCapture(this.#options.database, this.#options.control)) ?? 'triggers';
    } catch (cause) {
      if (await this.#startFromFile()) return void this.#keepPolling();
      const { control } = this.#options;
      throw new ControlUnavailableError(
        `the control schema ${control} on the source can't be read; run switchback install, or check the source's address and grants`,
        { cause },
      );
    }
    void this.#keepPolling();
  }

  get capture(): Capture {
    return this.#capture;
  }

  /** Since the stages were last read from the table. */
  get ageMs(): Milliseconds {
    return Math.max(0, Date.now() - this.#knownAt);
  }

  /** Was the stage table read since the start? Else they are those of the file. */
  get isFromTable(): boolean {
    return this.#reachedAt !== Number.NEGATIVE_INFINITY;
  }

  /** Tenants by stage, and how many are dirty. */
  census(): { stages: Partial<Record<Stage, number>>; dirty: number } {
    const stages: Partial<Record<Stage, number>> = {};
    let dirtyOnes = 0;
    for (const [tenant, { stage, dirty }] of this.#snapshot) {
      if (tenant === SHARED || tenant === UNRESOLVED) continue;
      stages[stage] = (stages[stage] ?? 0) + 1;
      if (dirty) dirtyOnes += 1;
    }
    return { stages, dirty: dirtyOnes };
  }

  get(tenant: string): Flag {
    return this.#snapshot.get(tenant) ?? UNKNOWN;
  }

  /** Is the control schema out of reach for longer than a lease? By the monotonic clock. */
  get cutOff(): boolean {
    return performance.now() - this.#reachedAt > this.#options.leaseMs;
  }

  /** The version of the stage table up to which this node has seen every change. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** An older epoch is ignored; a newer one counts until the table was read again, which begins at once. */
  hear(hint: StageHint): void {
    if (hint.epoch <= this.get(hint.tenant).epoch) return;
    const { stats } = this.#options;
    if (this.#hints.size >= HINTS_MAX && !this.#hints.has(hint.tenant)) {
      stats.hintsDropped += 1;
      return this.pollSoon();
    }
    stats.hints += 1;
    this.#hints = new Map([...this.#hints, [hint.tenant, { hint, heardAt: performance.now() }]]);
    this.#publish();
    this.#options.changed();
    this.pollSoon();
  }

  pollSoon(): void {
    if (!this.#stopping.signal.aborted) this.#poll.request().catch(() => {}); // counted where it failed
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    await this.#poll.idle();
    await endLease(this.#options.database, this.#options.control, this.#options.node);
  }

  async #keepPolling(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // Jitter, so that a fleet which was deployed together does not poll together.
      const pause = this.#options.pollMs * (0.9 + Math.random() * 0.2);
      await sleep(pause, undefined, { ref: false, signal }).catch(() => {});
      if (!signal.aborted) await this.#poll.request().catch(() => {}); // counted where it failed
    }
  }

  async #pollOnce(): Promise<void> {
    const { database, control, node, service, leaseMs, stats, changed } = this.#options;
    const beganAt = performance.now();
    stats.polls += 1;
    try {
      const rows = await readStages(database, control, this.#acknowledged);
      this.#reachedAt = beganAt;
      this.#knownAt = Date.now();
      this.#take(rows, beganAt);
      if (rows.length > 0 || beganAt - this.#keptAt > MINUTE) void this.#keep();
      if (rows.length > 0) changed();
      await renewLease(database, control, { node, service, version: this.#acknowledged, leaseMs });
      await this.#measureJournal();
    } catch (error) {
      stats.pollFailures += 1;
      const reason = errorType(error);
      const notice = { side: 'source', reason, error: safeMessage('source', error) } as const;
      this.#options.notices.warn('the stages could not be read', notice);
      throw error;
    }
  }

  async #startFromFile(): Promise<boolean> {
    const { snapshotFile, control } = this.#options;
    const kept = snapshotFile === null ? null : await readKept(snapshotFile, control);
    if (kept === null) return false;
    this.#knownAt = kept.savedAt;
    this.#capture = kept.capture;
    this.#truth = new Map(kept.stages.map((row) => [row.tenant, row]));
    this.#publish();
    return true;
  }

  /** A file that can't be written costs only the next start without the control schema. */
  async #keep(): Promise<void> {
    const { snapshotFile, control } = this.#options;
    if (snapshotFile === null) return;
    this.#keptAt = performance.now();
    const stages = [...this.#truth.values()];
    await keep(snapshotFile, { control, savedAt: this.#knownAt, capture: this.#capture, stages }).catch(
      () => {},
    );
  }

  #take(rows: readonly StageRow[], beganAt: Milliseconds): void {
    const truth = new Map(this.#truth);
    for (const row of rows) {
      truth.set(row.tenant, row);
      this.#acknowledged = Math.max(this.#acknowledged, row.version);
    }
    this.#truth = truth;
    // What was heard while the table was being read may be newer than what was read.
    this.#hints = new Map([...this.#hints].filter(([, { heardAt }]) => heardAt > beganAt));
    this.#publish();
  }

  async #measureJournal(): Promise<void> {
    const { database, control, dirtyAfterMs } = this.#options;
    const reading = [...this.#truth.values()].filter(({ stage }) => STAGES[stage].reads === 'target');
    const isSharedMirrored = STAGES[this.#truth.get(SHARED)?.stage ?? 'source-only'].mirrored;
    const ages =
      reading.length === 0
        ? new Map<string, Milliseconds>()
        : await readJournalAges(database, control, [
            ...reading.map(({ tenant }) => tenant),
            UNRESOLVED,
            ...(isSharedMirrored ? [SHARED] : []),
          ]);
    this.#behind = new Set([...ages].flatMap(([tenant, age]) => (age > dirtyAfterMs ? [tenant] : [])));
    this.#publish();
  }

  /** Swaps the map: whoever holds the one before keeps a consistent view. */
  #publish(): void {
    // A row that can't be told apart yet, or that all share, may be anybody's.
    const everybody = this.#isBehind(UNRESOLVED) || this.#isBehind(SHARED);
    const snapshot = new Map<string, Flag>();
    for (const { tenant, stage, epoch, version } of this.#truth.values()) {
      snapshot.set(tenant, { stage, epoch, version, dirty: everybody || this.#isBehind(tenant) });
    }
    for (const [tenant, { hint }] of this.#hints) {
      const { stage, epoch, version } = hint;
      const known = snapshot.get(tenant) ?? UNKNOWN;
      if (epoch > known.epoch) snapshot.set(tenant, { stage, epoch, version, dirty: known.dirty });
    }
    this.#snapshot = snapshot;
  }

  #isBehind(tenant: string): boolean {
    return this.#behind.has(tenant) || this.#truth.get(tenant)?.dirty === true;
  }
}
