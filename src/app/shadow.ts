/**
 * Shadow reads: a sample of reads runs again on the other side, off the request path, and the answers are
 * compared. Nothing here is awaited by a request, and a full queue or an ill target only costs samples.
 *
 * Two reads at two moments differ under writes, so a difference is never counted as it is seen. It is decided
 * where nothing moves: with the tenant locked and its whole journal just applied, source snapshot and target
 * say the same or they are different. Where the journal would not hold still, nothing is counted. Where there is
 * no journal, both answers have to stand still for the settle time first.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { bulkhead, BulkheadRejectedError } from 'cockatiel';

import { canonical } from './canonical.ts';
import { compare, type Comparison } from './comparator.ts';
import { DeadlineError } from './errors.ts';
import type { Guard } from './guard.ts';
import { lendSession, NeedsAuthority, type ReadFunction } from './handle.ts';
import type { Settings } from './options.ts';
import { SideFault, type ApplicationPool } from './pool.ts';
import type { Replica, ReplicaLink } from './replica.ts';
import type { ShadowLedger } from './shadow-ledger.ts';
import type { Stats } from './stats.ts';
import { admitTenants } from '../db/control.ts';
import { converge } from '../db/converge.ts';
import type { Session } from '../db/database.ts';
import { stripError } from '../db/faults.ts';
import { ident, list, qualified, tenantLiteral } from '../db/sql.ts';
import { DatabaseError, TransientDatabaseError } from '../domain/errors.ts';
import { SHARED, UNRESOLVED, type Side } from '../domain/stage.ts';
import { schemaOf } from '../domain/tenant-schema.ts';

const AT_ONCE = 2;
const QUEUE = 100;
const DECISIONS_QUEUE = 50;
const TRIES = 3;
const PAUSE_MS = 300;
const JOURNAL_LIMIT = 2_000;
/** A longer answer costs more to keep than it proves. */
const ANSWER_MAX = 256 * 1024;

/** A read whose answer was just given to its caller. */
export interface Sample {
  readonly tenant: string;
  readonly name: string;
  readonly fn: ReadFunction<unknown>;
  /** Canonical text of the answer. */
  readonly answer: string;
  /** The side to read again. */
  readonly side: Side;
}

export interface ShadowParts {
  readonly settings: Settings;
  readonly pools: Readonly<Record<Side, ApplicationPool>>;
  /** Of target reads, those of requests included. */
  readonly guard: Guard;
  readonly link: ReplicaLink;
  readonly ledger: ShadowLedger;
  readonly stats: Stats['shadow'];
}

export class ShadowReader {
  readonly #parts: ShadowParts;
  readonly #reads = bulkhead(AT_ONCE, QUEUE);
  readonly #decisions = bulkhead(1, DECISIONS_QUEUE);
  #isClosed = false;

  constructor(parts: ShadowParts) {
    this.#parts = parts;
  }

  /** Returns at once. */
  offer(sample: Sample): void {
    if (sample.answer.length > ANSWER_MAX || this.#isClosed) this.#parts.stats.dropped += 1;
    else void this.#compareSoon(sample);
  }

  close(): void {
    this.#isClosed = true;
  }

  async #compareSoon(sample: Sample): Promise<void> {
    const { stats } = this.#parts;
    let other: string;
    try {
      other = await this.#reads.execute(() => this.#readOther(sample));
    } catch {
      stats.dropped += 1; // queue full, breaker open, or the side is ill: nothing was learnt
      return;
    }
    const seen = this.#compare(sample, sample.answer, other);
    if (seen !== 'differing') return this.#count(sample, seen);
    try {
      const decided = await this.#decisions.execute(() => this.#decide(sample));
      if (decided === null) stats.undecided += 1;
      else this.#count(sample, decided);
    } catch (error) {
      if (error instanceof BulkheadRejectedError) stats.dropped += 1;
      else stats.undecided += 1; // a side went away
    }
  }

  #readOther({ tenant, side, fn }: Sample): Promise<string> {
    const { pools, guard, settings } = this.#parts;
    if (this.#isClosed) return Promise.reject(new Error('closed'));
    const read = () => outcomeOf(() => pools[side].read(tenant, fn, { deadlineMs: settings.targetReadMs }));
    return side === 'target' ? guard.execute(read) : read();
  }

  async #decide(sample: Sample): Promise<Comparison | null> {
    for (let attempt = 1; attempt <= TRIES && !this.#isClosed; attempt += 1) {
      if (attempt > 1) await sleep(PAUSE_MS, undefined, { ref: false });
      const { capture } = await this.#parts.link.use(({ tracked }) => Promise.resolve(tracked));
      if (capture === 'application') return this.#compareSettled(sample);
      const decided = await this.#parts.link.use((replica) => this.#compareAtOneInstant(replica, sample));
      if (decided !== null) return decided;
    }
    return null;
  }

  /** Both answers stood still for the settle time, so nothing was in flight, and they still differ. */
  async #compareSettled(sample: Sample): Promise<Comparison | null> {
    let before: string | null = null;
    for (let look = 1; look <= TRIES && !this.#isClosed; look += 1) {
      const source = await this.#readOther({ ...sample, side: 'source' });
      const target = await this.#readOther({ ...sample, side: 'target' });
      const seen = this.#compare(sample, source, target);
      if (seen !== 'differing') return seen;
      const answers = JSON.stringify([source, target]);
      const stands = answers === before && source === (await this.#readOther({ ...sample, side: 'source' }));
      if (stands) return 'differing';
      before = answers;
      if (look < TRIES) await sleep(this.#parts.settings.settleMs, undefined, { ref: false });
    }
    return null;
  }

  /** @returns null when something of the tenant was still on its way */
  async #compareAtOneInstant({ pair, tracked }: Replica, sample: Sample): Promise<Comparison | null> {
    const { tenant, fn } = sample;
    const hasShared = tracked.all().some(({ tenancy }) => tenancy.kind === 'shared');
    const others = hasShared && tenant !== SHARED ? [SHARED, UNRESOLVED] : [UNRESOLVED];
    const locked = hasShared ? [...new Set([tenant, SHARED])] : [tenant];
    await admitTenants(pair.target, pair.control, locked);
    const { schema } = this.#parts.settings;
    let comparison: Comparison | null = null;
    const { covered } = await converge(pair, tracked, {
      tenants: locked,
      journal: { tenant, afterId: '0', limit: JOURNAL_LIMIT },
      keys: new Map(),
      atOneInstant: async (source, target) => {
        comparison = null;
        if (await hasJournal(source, pair.control, others)) return;
        const answer = await answerIn(source, 'source', schemaOf(schema.source, tenant), fn);
        const other = await answerIn(target, 'target', schemaOf(schema.target, tenant), fn);
        comparison = this.#compare(sample, answer, other);
      },
    });
    return covered ? comparison : null;
  }

  #compare({ name }: Sample, one: string, other: string): Comparison {
    return compare(one, other, this.#parts.settings.reads[name]?.compare);
  }

  #count({ tenant, name }: Sample, comparison: Comparison): void {
    const { stats, ledger } = this.#parts;
    stats.samples += 1;
    if (comparison === 'reordered') stats.reordered += 1;
    if (comparison === 'differing') stats.differing += 1;
    if (!ledger.add(tenant, name, comparison === 'differing')) stats.dropped += 1;
  }
}

async function hasJournal(source: Session, control: string, tenants: readonly string[]): Promise<boolean> {
  const rows = await source.rows(
    `SELECT 1 FROM ${qualified(control, 'journal')} WHERE tenant IN (${list(tenants.map(tenantLiteral))}) LIMIT 1`,
  );
  return rows.length > 0;
}

async function answerIn(
  session: Session,
  side: Side,
  schema: string,
  fn: ReadFunction<unknown>,
): Promise<string> {
  await session.run(`USE ${ident(schema)}`);
  const lent = lendSession(session, side === 'source');
  return outcomeOf(() => fn(lent.facade).finally(() => lent.close()));
}

/**
 * What a read came to. A statement that one side refuses, or an error of the application's own, is an answer
 * too: the other side must give the same.
 *
 * @throws what says that a side is ill, which is no answer
 */
async function outcomeOf(read: () => Promise<unknown>): Promise<string> {
  try {
    return canonical(await read());
  } catch (error) {
    const cause = stripError('shadow', error instanceof SideFault ? error.cause : error);
    if (cause instanceof TransientDatabaseError || cause instanceof DeadlineError) throw error;
    if (cause instanceof NeedsAuthority) throw error;
    return cause instanceof DatabaseError ? `refused ${cause.errno}` : `threw ${cause.name}`;
  }
}
