/**
 * Were the two sides different, or was something on its way?
 *
 * Two reads at two moments differ under writes, so a difference is never counted as it is seen. It is decided
 * where nothing moves: with the tenant locked and its whole journal just applied, source snapshot and target
 * say the same or they are different. Where the journal would not hold still, nothing is counted. Where there is
 * no journal, both answers have to stand still for the settle time first.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { compare, isDiffering, type CompareRule, type Comparison } from './comparator.ts';
import type { ReadFunction } from './handle.ts';
import type { Settings } from './options.ts';
import type { Replica, ReplicaLink } from './replica.ts';
import { outcomeIn } from './shadow-look.ts';
import { admitTenants } from '../db/control.ts';
import { converge } from '../db/converge.ts';
import type { Session } from '../db/database.ts';
import { list, qualified, tenantLiteral } from '../db/sql.ts';
import { SHARED, UNRESOLVED, type Side } from '../domain/stage.ts';
import { schemaOf } from '../domain/tenant-schema.ts';

const TRIES = 3;
const PAUSE_MS = 300;
const JOURNAL_LIMIT = 2_000;

/** A read that two sides answered differently at two moments. */
export interface Suspect {
  readonly tenant: string;
  readonly fn: ReadFunction<unknown>;
  readonly rule: CompareRule | undefined;
  /** What one side says now. */
  readonly look: (side: Side) => Promise<string>;
}

export interface Verdicts {
  readonly settings: Settings;
  readonly link: ReplicaLink;
  readonly isClosed: () => boolean;
}

/** @returns null when it can't be told: something was on its way whenever it was looked at */
export async function decide(parts: Verdicts, suspect: Suspect): Promise<Comparison | null> {
  for (let attempt = 1; attempt <= TRIES && !parts.isClosed(); attempt += 1) {
    if (attempt > 1) await sleep(PAUSE_MS, undefined, { ref: false });
    const { capture } = await parts.link.use(({ tracked }) => Promise.resolve(tracked));
    if (capture === 'application') return compareSettled(parts, suspect);
    const decided = await parts.link.use((replica) => compareAtOneInstant(parts, replica, suspect));
    if (decided !== null) return decided;
  }
  return null;
}

/** Both answers stood still for the settle time, so nothing was in flight, and they still differ. */
async function compareSettled(
  { settings, isClosed }: Verdicts,
  { look, rule }: Suspect,
): Promise<Comparison | null> {
  let before: string | null = null;
  for (let round = 1; round <= TRIES && !isClosed(); round += 1) {
    const source = await look('source');
    const target = await look('target');
    const seen = compare(source, target, rule);
    if (!isDiffering(seen)) return seen;
    const answers = JSON.stringify([source, target]);
    if (answers === before && source === (await look('source'))) return seen;
    before = answers;
    if (round < TRIES) await sleep(settings.settleMs, undefined, { ref: false });
  }
  return null;
}

/** @returns null when something of the tenant was still on its way */
async function compareAtOneInstant(
  { settings: { schema } }: Verdicts,
  { lent: pair, tracked }: Replica,
  { tenant, fn, rule }: Suspect,
): Promise<Comparison | null> {
  const hasShared = tracked.all().some(({ tenancy }) => tenancy.kind === 'shared');
  const others = hasShared && tenant !== SHARED ? [SHARED, UNRESOLVED] : [UNRESOLVED];
  const locked = hasShared ? [...new Set([tenant, SHARED])] : [tenant];
  await admitTenants(pair.target, pair.control, locked);
  let comparison: Comparison | null = null;
  const { covered } = await converge(pair, tracked, {
    tenants: locked,
    journal: { after: new Map([[tenant, '0']]), limit: JOURNAL_LIMIT },
    keys: new Map(),
    atOneInstant: async (source, target) => {
      comparison = null;
      if (await hasJournal(source, pair.control, others)) return;
      const answer = await outcomeIn(source, 'source', schemaOf(schema.source, tenant), fn);
      const other = await outcomeIn(target, 'target', schemaOf(schema.target, tenant), fn);
      comparison = compare(answer, other, rule);
    },
  });
  return covered ? comparison : null;
}

async function hasJournal(source: Session, control: string, tenants: readonly string[]): Promise<boolean> {
  const rows = await source.rows(
    `SELECT 1 FROM ${qualified(control, 'journal')} WHERE tenant IN (${list(tenants.map(tenantLiteral))}) LIMIT 1`,
  );
  return rows.length > 0;
}
