/**
 * Writes may have passed without a journal row: every tenant of the table is dirty at once, and reads go back.
 *
 * Whoever sees it first says so: the watch in every worker, or an install that is about to put the
 * triggers back and would otherwise hide that they were gone.
 */
import { isMirrored } from '../domain/stage.ts';
import { tripBack } from './migrations.ts';
import { markDirty, readStages, type StageRow } from './stages.ts';
import type { Pair } from './tracked.ts';

export interface Lost {
  readonly table: string;
  /** Tenant whose schema it is in; null: the table is every tenant's. */
  readonly owner: string | null;
  /** One sentence. */
  readonly why: string;
}

/** Of one tenant; of all, where they share a schema. */
export const lostFor = (lost: readonly Lost[], tenant: string): Lost[] =>
  lost.filter(({ owner }) => owner === null || owner === tenant);

export interface Declared {
  readonly reason: string;
  /** Tenants that were not dirty before. */
  readonly marked: number;
  /** Stage rows that were flipped back, to tell the nodes of. */
  readonly flipped: readonly StageRow[];
}

export async function declareLost(pair: Pair, lost: readonly Lost[]): Promise<Declared> {
  const reason = lost
    .map(({ why }) => why)
    .join('; ')
    .slice(0, 1_000);
  const rows = (await readStages(pair.source, pair.control, -1)).filter(
    (row) => isMirrored(row.stage) && lostFor(lost, row.tenant).length > 0,
  );
  const clean = rows.filter((row) => !row.dirty).map((row) => row.tenant);
  if (clean.length > 0) {
    await markDirty(pair.source, pair.control, clean, true, { actor: 'switchback', reason });
  }
  const flipped: StageRow[] = [];
  for (const { tenant } of rows.filter((row) => row.stage === 'read-target')) {
    const row = await tripBack(pair, tenant, 'switchback', `capture was lost: ${reason}`);
    if (row !== null) flipped.push(row);
  }
  return { reason, marked: clean.length, flipped };
}
