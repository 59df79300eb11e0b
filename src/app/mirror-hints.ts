/**
 * What follows a commit, and begins with it: the tenant's journal is applied to the target, by this node, now. A hint only: the
 * journal holds every write, and the mirror loop of the workers applies what is lost here.
 *
 * Until reads move, nothing waits for it, and it runs at most once a second per tenant. From `read-target` on
 * the write waits within its budget, so that the process reads its own writes; over budget the tenant is
 * `lagging` here, and read from the source, until a mirror that read after the write has ended.
 */
import { inTime } from './bounded.ts';
import { Coalesced } from './coalesced.ts';
import type { Flags } from './flags.ts';
import type { Notices } from './notices.ts';
import type { Settings } from './options.ts';
import { Reaching } from './reaching.ts';
import type { ReplicaLink } from './replica.ts';
import type { Stats } from './stats.ts';
import { errorType, safeMessage, type Telemetry } from './telemetry.ts';
import { SECOND, type Milliseconds } from '../domain/duration.ts';
import { STAGES } from '../domain/stage.ts';

const TURN_EVERY = SECOND;
const STUCK_MS = 200;
/** So long a mirror waits, its lock held, for commits that were sent, also meanwhile: each spares a mirror of its own. */
const COMMITS_MS: Milliseconds = 5;

/** One tenant's writes in this node, numbered by their commits. */
interface Lane {
  written: number;
  /** On the target up to this write. */
  mirrored: number;
  /** The last write that was told to its caller before it was on the target. */
  overdue: number;
  /** Up to this write a failed mirror was counted. */
  failed: number;
  /** Of the writes whose COMMIT was sent and is not answered. */
  readonly committing: Set<Promise<void>>;
  /** When the drain that runs began; null: none runs. */
  drainingSince: Milliseconds | null;
  /** Did the last drain fail? */
  isFailing: boolean;
  /** Does the drain that runs cover what is committed now? Until it reads the journal. */
  takesMore: boolean;
  lastTurn: Milliseconds;
  turn: NodeJS.Timeout | null;
  readonly drain: Coalesced;
}

/** A drain that failed, or that takes many budgets, is no slow one: waiting for the next would not help. */
const isInTrouble = ({ isFailing, drainingSince }: Lane, budget: Milliseconds): boolean =>
  isFailing || (drainingSince !== null && performance.now() - drainingSince > Math.max(STUCK_MS, 4 * budget));

export type Mirroring = Pick<
  MirrorHints,
  'beforeCommit' | 'afterCommit' | 'isLagging' | 'drainLagging' | 'close'
>;

/** Where the application writes the target itself, there is no journal to apply. */
export const NOT_OURS: Mirroring = {
  beforeCommit: () => () => {},
  afterCommit: () => Promise.resolve(),
  isLagging: () => false,
  drainLagging: () => {},
  close: () => {},
};

/** Who is told of it. */
export interface MirrorSeen {
  readonly stats: Stats;
  readonly telemetry: Telemetry;
  readonly notices: Notices;
}

export class MirrorHints {
  readonly #link: ReplicaLink;
  readonly #reaching: Reaching;
  readonly #flags: Flags;
  readonly #budget: Milliseconds;
  readonly #stats: Stats;
  readonly #seen: MirrorSeen;
  readonly #lanes = new Map<string, Lane>();
  readonly #retry: NodeJS.Timeout;

  constructor(link: ReplicaLink, flags: Flags, { mirrorBudgetMs }: Settings, seen: MirrorSeen) {
    this.#link = link;
    this.#reaching = new Reaching(link);
    this.#flags = flags;
    this.#budget = mirrorBudgetMs;
    this.#stats = seen.stats;
    this.#seen = seen;
    this.#retry = setInterval(() => this.drainLagging(), SECOND).unref();
  }

  /**
   * COMMIT was sent. Where the mirror will be awaited, it takes its lock meanwhile, and reads after the answer.
   *
   * @returns to be called right before `afterCommit`, however the commit ended
   */
  beforeCommit(tenants: readonly string[]): () => void {
    const waits = tenants
      .filter((tenant) => STAGES[this.#flags.get(tenant).stage].awaitsMirror)
      .map((tenant) => this.#lane(tenant))
      .filter((lane) => !isInTrouble(lane, this.#budget))
      .map(awaitCommit);
    return () => {
      for (const answered of waits) answered();
    };
  }

  /** Never throws: the write is committed. Resolves at once, or within the budget where it is awaited. */
  async afterCommit(tenant: string): Promise<void> {
    const { mirrored, awaitsMirror } = STAGES[this.#flags.get(tenant).stage];
    if (!mirrored) return;
    const lane = this.#lane(tenant);
    lane.written += 1;
    if (awaitsMirror) return this.#awaitDrain(tenant, lane, lane.written);
    // Nobody waits for it now; after a flip the tenant is read from the source until it is there.
    lane.overdue = lane.written;
    this.#scheduleTurn(tenant, lane);
  }

  /** Was a write of this node told to its caller before it was on the target, and is it still not there? */
  isLagging(tenant: string): boolean {
    const lane = this.#lanes.get(tenant);
    return lane !== undefined && lane.mirrored < lane.overdue;
  }

  /** Called every second, and when a tenant's reads may just have moved. */
  drainLagging(): void {
    for (const [tenant, lane] of this.#lanes) {
      const isAwaited = STAGES[this.#flags.get(tenant).stage].awaitsMirror;
      if (isAwaited && lane.mirrored < lane.overdue) lane.drain.request().catch(() => {}); // counted where it failed
    }
  }

  close(): void {
    clearInterval(this.#retry);
    for (const { turn } of this.#lanes.values()) if (turn !== null) clearTimeout(turn);
  }

  async #awaitDrain(tenant: string, lane: Lane, write: number): Promise<void> {
    const drained = lane.drain.request();
    drained.catch(() => {}); // counted where it failed
    if (isInTrouble(lane, this.#budget)) {
      // No further write pays for it.
      lane.overdue = Math.max(lane.overdue, write);
      return;
    }
    this.#stats.mirror.awaited += 1;
    const { telemetry, notices } = this.#seen;
    if (await telemetry.wait('switchback.mirror.wait', tenant, () => inTime(drained, this.#budget))) return;
    this.#stats.mirror.overBudget += 1;
    lane.overdue = Math.max(lane.overdue, write);
    notices.warn('a write did not wait for its mirror', { tenant, side: 'target', reason: 'over budget' });
  }

  #scheduleTurn(tenant: string, lane: Lane): void {
    if (lane.turn !== null) return;
    const pause = Math.max(0, lane.lastTurn + TURN_EVERY - performance.now());
    lane.turn = setTimeout(() => {
      lane.turn = null;
      lane.lastTurn = performance.now();
      void this.#takeTurn(tenant, lane);
    }, pause).unref();
  }

  async #takeTurn(tenant: string, lane: Lane): Promise<void> {
    const upTo = lane.written;
    try {
      const { kind } = await this.#link.use(({ mirror }) => mirror.mirrorTenant(tenant, TURN_EVERY));
      if (kind === 'behind') this.#scheduleTurn(tenant, lane);
      // `busy`: another process is at it, or was within the last second.
      lane.failed = Math.max(lane.failed, upTo);
    } catch (error) {
      this.#countFailure(tenant, lane, upTo, error);
    }
  }

  async #drain(tenant: string, lane: Lane): Promise<void> {
    let upTo = lane.written;
    lane.drainingSince = performance.now();
    lane.takesMore = true;
    const closes = (): void => {
      upTo = lane.written;
      lane.takesMore = false;
    };
    try {
      await this.#reaching.reach(tenant, lane.isFailing, { answered: () => commitsOf(lane), closes });
      lane.isFailing = false;
      lane.mirrored = upTo;
      lane.failed = Math.max(lane.failed, upTo);
    } catch (error) {
      lane.isFailing = true;
      if (lane.takesMore) closes();
      this.#countFailure(tenant, lane, upTo, error);
      throw error;
    } finally {
      lane.drainingSince = null;
      lane.takesMore = false;
    }
  }

  /** Each write counts once, however often its mirror is tried again. */
  #countFailure(tenant: string, lane: Lane, upTo: number, error: unknown): void {
    this.#stats['aurora.write.fail'] += Math.max(0, upTo - lane.failed);
    lane.failed = Math.max(lane.failed, upTo);
    const why = { reason: errorType(error), error: safeMessage('target', error) };
    this.#seen.notices.warn('the mirror of a write failed', { tenant, side: 'target', ...why });
  }

  #lane(tenant: string): Lane {
    const known = this.#lanes.get(tenant);
    if (known !== undefined) return known;
    const lane: Lane = {
      written: 0,
      mirrored: 0,
      overdue: 0,
      failed: 0,
      committing: new Set(),
      drainingSince: null,
      takesMore: false,
      isFailing: false,
      lastTurn: Number.NEGATIVE_INFINITY,
      turn: null,
      drain: new Coalesced(
        () => this.#drain(tenant, lane),
        () => lane.takesMore,
      ),
    };
    this.#lanes.set(tenant, lane);
    return lane;
  }
}

/** Asks for the drain that will cover it. @returns to be called with the answer */
function awaitCommit({ committing, drain }: Lane): () => void {
  let resolve = (): void => {};
  const promise = new Promise<void>((answered) => (resolve = answered));
  committing.add(promise);
  drain.request().catch(() => {}); // whoever waits for it asks again
  return () => {
    committing.delete(promise);
    resolve();
  };
}

/** Resolves when each of them is answered, and each that was sent meanwhile; after `COMMITS_MS` whatever is. */
export async function commitsOf({ committing }: Pick<Lane, 'committing'>): Promise<void> {
  const until = performance.now() + COMMITS_MS;
  while (committing.size > 0 && performance.now() < until) {
    const awaited = [...committing];
    await inTime(Promise.all(awaited), until - performance.now());
    // Nobody waits for one of them again, however long it takes.
    for (const commit of awaited) committing.delete(commit);
  }
}
