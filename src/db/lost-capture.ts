/**
 * Writes may have passed without a journal row: every tenant is dirty at once, and reads go back.
 *
 * Whoever sees it first says so: the watch in every worker, or an install that is about to put the
 * triggers back and would otherwise hide that they were gone.
 */
import { isMirrored } from '../domain/stage.ts';
import { tripBack } from './migrations.ts';
import { markDirty, readStages, type StageRow } from './stages.ts';
import type { Pair } from './tracked.ts';

export interface Declared {
  readonly reason: string;
  /** Tenants that were not dirty before. */
  readonly marked: number;
  /** Stage rows that were flipped back, to tell the nodes of. */
  readonly flipped: readonly StageRow[];
}

export async function declareLost(pair: Pair, lost: readonly { readonly why: string }[]): Promise<Declared> {
  const reason = lost
    .map(({ why }) => why)
    .join('; ')
    .slice(0, 1_000);
  const rows = (await readStages(pair.source, pair.control, -1)).filter((row) => isMirrored(row.stage));
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
