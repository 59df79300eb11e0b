/** Mirrors drifted rows from the source again, under the lock, and looks whether they are equal now. */
import { modeOf } from '../db/capture-mode.ts';
import { markRepaired, readDrift, type DriftRow } from '../db/ledger.ts';
import { appendAudit } from '../db/stages.ts';
import { loadTracked, type Pair, type Tracked } from '../db/tracked.ts';
import type { Handler } from './commands.ts';
import type { Context } from './context.ts';
import { dryRunOf } from './dry-run.ts';
import { CliFailure } from './exit.ts';
import type { Input } from './input.ts';
import { keyText } from './keys-text.ts';
import { oneLine } from './terminal.ts';

/** Keys of one transaction on the target: the tenant's lock is held meanwhile. */
const BATCH = 100;
const DRIFT_MAX = 10_000;

interface Repaired {
  readonly id: number;
  readonly table: string;
  readonly key: string;
  readonly class: string;
  /** Did the verdict find both sides equal, or the key in flight, afterwards? */
  readonly equal: boolean;
}

/** @returns what is open, and which of it was asked for */
async function choose(context: Context, input: Input): Promise<Record<'open' | 'chosen', DriftRow[]>> {
  const { tenant } = input;
  const id = input.count('drift');
  if (id !== null && input.has('all'))
    throw new CliFailure('usage', 'repair takes --drift ID or --all, not both');
  await context.who();
  const open = await readDrift(await context.pair(), tenant, true, DRIFT_MAX);
  const chosen = id === null ? open : open.filter((row) => row.id === id);
  if (id !== null && chosen.length === 0)
    throw new CliFailure('not-found', `${oneLine(tenant)} has no open drift ${id}`, {
      next: [context.line('why', tenant)],
    });
  if (chosen.length === 0) await context.tenant(tenant);
  return { open, chosen };
}

export const dryRun = dryRunOf(async (context, input) => {
  const { chosen } = await choose(context, input);
  const tracked = await loadTracked(await context.pair());
  return {
    changes: chosen.map(({ id, tableId, key, class: kind }) => {
      const { table } = tracked.source(tableId);
      const what = `drift #${id}: ${table.name} ${keyText(table, key)} on the target`;
      return { tenant: input.tenant, what, from: kind, to: 'as on the source' };
    }),
  };
});

export const run: Handler = async (context, input) => {
  const { tenant } = input;
  const { open, chosen } = await choose(context, input);
  const [who, pair] = await Promise.all([context.who(), context.pair()]);
  if (chosen.length === 0) {
    return {
      data: { tenant, repaired: [], left: 0 },
      lines: [`${oneLine(tenant)}: no open drift; nothing to repair.`],
      next: [context.line('why', tenant)],
    };
  }
  const tracked = await loadTracked(pair);
  const repaired: Repaired[] = [];
  for (const batch of batches(chosen)) repaired.push(...(await repairBatch(pair, tracked, tenant, batch)));
  const list = repaired.map(({ id: drift }) => `#${drift}`).join(', ');
  await appendAudit(pair.source, pair.control, {
    tenant,
    event: 'repair',
    before: null,
    after: `${repaired.length} ${repaired.length === 1 ? 'row' : 'rows'}`,
    epoch: null,
    requestId: null,
    actor: who.actor,
    reason: `${who.reason} (drift ${list})`,
  });
  const left = open.length - chosen.length;
  const differing = repaired.filter(({ equal }) => !equal);
  return {
    data: { tenant, repaired, left },
    lines: [
      `${oneLine(tenant)}: mirrored ${repaired.length} ${repaired.length === 1 ? 'row' : 'rows'} from the source again.`,
      ...repaired.map(
        ({ id: drift, table, key, class: kind, equal }) =>
          `  #${drift} ${table} ${oneLine(key)} (${kind}): ${equal ? 'equal now' : 'still differs'}`,
      ),
      ...(left > 0 ? [`${left} more are open.`] : []),
      differing.length > 0
        ? 'Rows that still differ are written by somebody else: look for triggers, jobs or users on the target.'
        : 'They count as repaired; a later pass has to read them equal.',
    ],
    next:
      left > 0 || differing.length > 0 ? [context.line('why', tenant)] : [context.change('retry', tenant)],
    kind: differing.length > 0 ? 'drift' : 'ok',
  };
};

function batches(rows: readonly DriftRow[]): DriftRow[][] {
  return [...groupByTable(rows).values()].flatMap((group) =>
    Array.from({ length: Math.ceil(group.length / BATCH) }, (_, index) =>
      group.slice(index * BATCH, (index + 1) * BATCH),
    ),
  );
}

function groupByTable(rows: readonly DriftRow[]): Map<number, DriftRow[]> {
  const groups = new Map<number, DriftRow[]>();
  for (const row of rows) groups.set(row.tableId, [...(groups.get(row.tableId) ?? []), row]);
  return groups;
}

async function repairBatch(
  pair: Pair,
  tracked: Tracked,
  tenant: string,
  batch: readonly DriftRow[],
): Promise<Repaired[]> {
  const { tableId } = batch[0]!;
  const { table } = tracked.source(tableId);
  const keys = [...new Set(batch.map((row) => row.key))];
  const mode = modeOf(tracked);
  await mode.repair(pair, tracked, { tenants: [tenant], tableId, keys });
  const judged = new Map(
    (await mode.compare(pair, tracked, { tenant, tableId, keys })).map((one) => [one.key, one.verdict.kind]),
  );
  const equal = (row: DriftRow): boolean => judged.get(row.key) !== 'drift';
  await markRepaired(
    pair,
    batch.filter(equal).map((row) => row.id),
  );
  return batch.map((row) => ({
    id: row.id,
    table: table.name,
    key: keyText(table, row.key),
    class: row.class,
    equal: equal(row),
  }));
}
