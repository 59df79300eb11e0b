/**
 * The mirror: the journal applied to the target, oldest row first.
 *
 * `mirrorTenant` has two callers: an application node right after its commit, and the loop in every
 * worker process. The loop takes a tenant's turn with SKIP LOCKED on `mirror_turn` and then waits for
 * the tenant's lock: skipping there would starve behind the backfill's shared locks.
 */
import type { Milliseconds } from '../domain/duration.ts';
import { UNRESOLVED } from '../domain/stage.ts';
import { converge, type Converged, type ConvergeRequest } from './converge.ts';
import type { Session } from './database.ts';
import { Foresight } from './foresight.ts';
import { deleteJournal, type JournalRows } from './journal-rows.ts';
import { Leaving } from './leaving.ts';
import { qualified, tenantLiteral } from './sql.ts';
import { startedTenants } from './stages.ts';
import type { Pair, Tracked } from './tracked.ts';

const BATCH = 500;
/** After a full batch: what a batch costs whatever it holds, locks and looks at shapes, is then paid less often. */
const BACKLOG_BATCH = 2_000;
/** A late commit may carry a low id: the journal is read from its beginning again this often. */
const RESCAN_EVERY: Milliseconds = 3_000;

interface LowWater {
  id: string;
  limit: number;
  rescanAt: number;
}

export interface MirrorResult {
  readonly kind: 'drained' | 'behind' | 'busy';
  readonly applied: number;
}

export class Mirror {
  readonly #pair: Pair;
  readonly #lowWater = new Map<string, LowWater>();
  readonly #leaving: Leaving;
  readonly #foresight = new Foresight();
  #tracked: Tracked;
  #held: readonly number[] = [];

  constructor(pair: Pair, tracked: Tracked) {
    this.#pair = pair;
    this.#tracked = tracked;
    this.#leaving = new Leaving(pair);
  }

  /** Altered tables: their rows wait, those of the others go on. Only `drain`, which promises everything, asks for them. */
  hold(tables: readonly number[]): void {
    this.#held = tables;
  }

  /** After a change of the plan's tables. */
  retrack(tracked: Tracked): void {
    this.#tracked = tracked;
  }

  /**
   * Applies one batch of the tenant's journal.
   *
   * @param turn null: wait for the tenant's lock at once; a number: only when nobody else is at it and
   *   the last cycle, of any process, is at least so many milliseconds old
   */
  async mirrorTenant(tenant: string, turn: Milliseconds | null): Promise<MirrorResult> {
    const { id, limit } = this.#low(tenant);
    const result = await this.#batch(
      { after: new Map([[tenant, id]]), limit, without: this.#held },
      { turn },
    );
    this.#advance(tenant, result);
    if (result.kind === 'busy') return { kind: 'busy', applied: 0 };
    if (!result.full) await this.#leaving.settled(tenant);
    return { kind: result.full ? 'behind' : 'drained', applied: result.applied };
  }

  /**
   * Applies batches until one covered the whole journal, read from its beginning: whatever was committed
   * before the call is on the target when it returns, and no longer in the journal.
   */
  async drain(tenant: string): Promise<number> {
    const applied = await this.reach(tenant);
    await this.#leaving.settled(tenant);
    return applied;
  }

  /**
   * As `drain`, but the journal may still hold rows that are on the target already. It keeps a place of its own:
   * another caller's low water may stand above rows that nobody has applied yet.
   *
   * @param beforeReading called once the lock is held: what is committed when it resolves is covered, too
   * @returns journal rows that were applied
   */
  async reach(tenant: string, beforeReading?: () => Promise<void>): Promise<number> {
    const whole = { after: new Map([[tenant, '0']]), limit: BATCH };
    let result = await this.#batch(whole, beforeReading === undefined ? {} : { beforeReading });
    let { applied } = result;
    while (result.full) {
      const after = new Map([[tenant, result.lastIds.get(tenant) ?? '0']]);
      result = await this.#batch({ after, limit: BACKLOG_BATCH });
      applied += result.applied;
    }
    return applied;
  }

  /**
   * As `reach`, of several tenants in one transaction, which waits for nobody.
   *
   * @param beforeReading as of `reach`, with those whose locks are held
   * @returns those that were reached; left out are those that somebody else works at, and all of them where there is
   *   too much to do at once
   */
  async reachTogether(
    tenants: readonly string[],
    beforeReading?: ConvergeRequest['beforeReading'],
  ): Promise<ReadonlySet<string>> {
    const result = await this.#batch(
      { after: new Map(tenants.map((tenant) => [tenant, '0'])), limit: BATCH },
      { skipsLocked: true, ...(beforeReading === undefined ? {} : { beforeReading }) },
    );
    return new Set(result.full ? [] : result.tenants);
  }

  /**
   * One batch of several tenants' journals, in one transaction, which waits for nobody.
   *
   * @returns `reached`: those that nobody else works at; `found`: those of them whose journal held rows
   */
  async mirrorTogether(tenants: readonly string[]): Promise<{
    readonly reached: ReadonlySet<string>;
    readonly applied: number;
    readonly found: readonly string[];
  }> {
    const after = new Map(tenants.map((tenant) => [tenant, this.#low(tenant).id]));
    const result = await this.#batch(
      { after, limit: BACKLOG_BATCH, without: this.#held },
      { skipsLocked: true },
    );
    const reached = new Set(tenants.filter((tenant) => result.tenants.includes(tenant)));
    for (const tenant of reached) {
      this.#advance(tenant, result);
      if (!result.full) await this.#leaving.settled(tenant);
    }
    return { reached, applied: result.applied, found: [...result.lastIds.keys()] };
  }

  async #batch(
    journal: JournalRows,
    {
      turn = null,
      ...way
    }: Pick<ConvergeRequest, 'skipsLocked' | 'beforeReading'> & { turn?: Milliseconds | null } = {},
  ): Promise<Converged> {
    const own = [...journal.after.keys()];
    const [tenant] = own;
    const tenants = tenant === UNRESOLVED ? await this.#everybody() : own;
    const { control } = this.#pair;
    return converge(this.#pair, this.#tracked, {
      tenants,
      journal: { ...journal, leaving: this.#leaving.of(own) },
      keys: new Map(),
      applied: (ids) => this.#leaving.delete(ids),
      // Of the loop's batches most are empty: the nodes mirror what they write.
      ...(way.beforeReading === undefined ? {} : { foresight: this.#foresight }),
      ...way,
      ...(turn === null
        ? {}
        : {
            takeTurn: (target) => takeTurn(target, control, tenant!, turn),
            endTurn: (target) => endTurn(target, control, tenant!),
          }),
    });
  }

  async #everybody(): Promise<string[]> {
    return [UNRESOLVED, ...(await startedTenants(this.#pair.source, this.#pair.control))];
  }

  #low(tenant: string): LowWater {
    const low = this.#lowWater.get(tenant);
    if (low !== undefined && Date.now() < low.rescanAt) return low;
    const fresh = { id: '0', limit: low?.limit ?? BATCH, rescanAt: Date.now() + RESCAN_EVERY };
    this.#lowWater.set(tenant, fresh);
    return fresh;
  }

  #advance(tenant: string, result: Converged): void {
    const low = this.#lowWater.get(tenant);
    if (low === undefined || result.kind === 'busy') return;
    if (result.applied > 0) low.id = result.lastIds.get(tenant) ?? low.id;
    low.limit = result.full ? BACKLOG_BATCH : BATCH;
  }
}

async function takeTurn(
  target: Session,
  control: string,
  tenant: string,
  every: Milliseconds,
): Promise<boolean> {
  const rows = await target.rows(
    `SELECT tenant FROM ${qualified(control, 'mirror_turn')}
     WHERE tenant = ${tenantLiteral(tenant)} AND mirrored_at <= NOW(6) - INTERVAL ${every * 1_000} MICROSECOND FOR UPDATE SKIP LOCKED`,
  );
  return rows.length > 0;
}

async function endTurn(target: Session, control: string, tenant: string): Promise<void> {
  await target.run(
    `INSERT INTO ${qualified(control, 'mirror_turn')} VALUES (${tenantLiteral(tenant)}, NOW(6)) ON DUPLICATE KEY UPDATE mirrored_at = VALUES(mirrored_at)`,
  );
}

/**
 * Journal rows of a tenant that does not migrate are dropped, while its stage row is held shared: a start
 * that commits later finds every later write in the journal, and needs no barrier of its own.
 *
 * @returns rows dropped
 */
export async function purgeJournal(pair: Pair, tenant: string): Promise<number> {
  const bytes = tenantLiteral(tenant);
  return pair.source.transaction(async (session) => {
    const [row] = await session.rows(
      `SELECT stage FROM ${qualified(pair.control, 'stage')} WHERE tenant = ${bytes} LOCK IN SHARE MODE`,
    );
    if (row === undefined || row['stage'] !== 'source-only') return 0;
    const rows = await session.rows(
      `SELECT id FROM ${qualified(pair.control, 'journal')} WHERE tenant = ${bytes} ORDER BY id LIMIT 2000`,
    );
    if (rows.length > 0) await pair.changed?.([tenant]);
    await deleteJournal(
      session,
      pair.control,
      rows.map((found) => found['id']!),
    );
    return rows.length;
  });
}
